"""lm-eval on a served model: the numbers of the Transformers back end, a proof of what is served, and words for the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from completions_server import Completions, completions

from runner.errors import StepError
from runner.jobs.lm_eval import LmEvalJob, evaluate
from runner.jobs.lm_served import Server
from runner.jobs.lm_weights import LmWeightsJob, write

TASK = """\
dataset_path: json
dataset_kwargs: {{data_files: {{test: facts.jsonl, train: facts.jsonl}}}}
test_split: test
fewshot_split: train
output_type: {kind}
doc_to_text: "{{{{question}}}}"
doc_to_target: "{target}"
metric_list: {metrics}
{more}
"""
TASKS = {
    "choose": TASK.format(
        kind="multiple_choice", target="{{answer}}", more='doc_to_choice: "{{choices}}"',
        metrics="[{metric: acc}, {metric: acc_norm}, {metric: brier_score}]",
    ),
    "say": TASK.format(
        kind="generate_until", target="{{choices[answer]}}",
        more="generation_kwargs: {until: [z], max_gen_toks: 8, do_sample: false, temperature: 0.7}",
        metrics="[{metric: exact_match}, {metric: chrf}]",
    ),
    "foresee": TASK.format(
        kind="loglikelihood", target=" {{choices[answer]}}", more="",
        metrics="[{metric: perplexity}, {metric: acc}]",
    ),
    "roll": TASK.format(
        kind="loglikelihood_rolling", target="{{question}} {{choices[1]}}", more="",
        metrics="[{metric: word_perplexity}, {metric: bits_per_byte}]",
    ).replace('doc_to_text: "{{question}}"', 'doc_to_text: ""'),
}  # fmt: skip


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {
            "question": f"Is fox {i} over {i * 7 % 11}?",
            "choices": ["yes", "no indeed"],
            "answer": i * 5 % 3 % 2,
        }
        for i in range(12)
    ]
    (folder / "facts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def merged(tiny: Path, lora: Callable[[Path, Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged")
    worn = lora(tiny, out / "lora")
    write(LmWeightsJob(model=str(tiny), adapter=str(worn), dtype="float32", out=str(out / "model")))
    return out


@pytest.fixture(scope="module")
def base(tiny: Path) -> Iterator[Completions]:
    with completions(tiny) as server:
        yield server


@pytest.fixture(scope="module")
def tuned(merged: Path) -> Iterator[Completions]:
    with completions(merged / "model") as server:
        yield server


def run(tiny: Path, tasks: Path, out: Path, names: list[str], **more: Any) -> dict[str, Any]:
    evaluate(
        LmEvalJob(
            model=str(tiny),
            arm="a",
            tasks=names,
            task_folder=str(tasks),
            out=str(out),
            batch=5,
            seed=7,
            **more,
        )
    )
    found: dict[str, Any] = json.loads((out / "results.json").read_bytes())
    return found


def served(server: Completions, **more: Any) -> Server:
    return Server(**{"url": server.url, "model": "tuned", "engine": "a stub", "length": 2048} | more)


@pytest.mark.parametrize("arm", ["base", "tuned"])
def test_the_numbers_are_those_of_transformers(
    tiny: Path, tasks: Path, merged: Path, tmp_path: Path, request: pytest.FixtureRequest, arm: str
) -> None:
    server: Completions = request.getfixturevalue(arm)
    worn = {"adapter": str(merged / "lora")} if arm == "tuned" else {}
    here = run(tiny, tasks, tmp_path / "here", list(TASKS), fewshot=2, **worn)
    expected = str(merged / "model/expected.json") if arm == "tuned" else None
    there = run(
        tiny,
        tasks,
        tmp_path / "there",
        list(TASKS),
        fewshot=2,
        server=served(server, expected=expected),
        **worn,
    )
    assert here["engine"].startswith("Transformers ") and there["engine"] == "a stub"
    assert (
        here["template_sha256"] == there["template_sha256"]
        and here["adapter_proof"] == there["adapter_proof"]
    )
    assert (there["served"] is None) == (arm == "base")
    assert [(r["task"], r["metric"]) for r in here["results"]] == [
        (r["task"], r["metric"]) for r in there["results"]
    ]
    for one, other in zip(here["results"], there["results"], strict=True):
        assert other["value"] == pytest.approx(one["value"], rel=1e-5), one["metric"]
        assert one["stderr"] is None or other["stderr"] == pytest.approx(one["stderr"], rel=1e-3), one[
            "metric"
        ]
        assert other["samples"] == pytest.approx(one["samples"], abs=1e-4)
        assert other["documents"] == one["documents"] and len(other["draws"]) == len(one["draws"])
    said = [
        [json.loads(line) for line in (tmp_path / x / "samples.jsonl").read_text().splitlines()]
        for x in ("here", "there")
    ]
    texts = [[s["filtered_resps"] for s in rows if s["task"] == "say"] for rows in said]
    assert texts[0] == texts[1] and len({str(t) for t in texts[0]}) > 1
    assert [s["prompt"] for s in said[0]] == [s["prompt"] for s in said[1]]
    generated = [a for a in server.asked if not a.get("echo")]
    assert {a["temperature"] for a in generated} == {0}, (
        "do_sample: false means greedy, whatever the temperature"
    )
    assert all(isinstance(p[0], int) for a in server.asked for p in a["prompt"]), "tokens, not text"


def test_a_server_that_serves_the_base_as_tuned_is_refused(
    tiny: Path, tasks: Path, merged: Path, tmp_path: Path, base: Completions, tuned: Completions
) -> None:
    how = {"expected": str(merged / "model/expected.json")}
    with pytest.raises(StepError, match="does not serve the tuned model: its log-probabilities are"):
        run(tiny, tasks, tmp_path, ["foresee"], server=served(base, **how))
    proof = run(tiny, tasks, tmp_path, ["foresee"], server=served(tuned, **how), limit=2)["served"]
    assert proof["from_merged"] < 1e-4 < 0.01 < proof["from_base"]


def test_the_merged_model_is_saved_as_it_was_proved(tiny: Path, merged: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(merged / "model")
    assert model.dtype == torch.float32, "in bfloat16 it would be another model than Transformers judges"
    with pytest.raises(StepError, match="nothing to merge"):
        write(LmWeightsJob(model=str(tiny), dtype="float32", out=str(tmp_path)))


@pytest.mark.parametrize(("task", "length"), [("foresee", 20), ("say", 60), ("roll", 12), ("choose", 20)])
def test_what_does_not_fit_is_refused_and_not_cut(
    tiny: Path, tasks: Path, tmp_path: Path, base: Completions, task: str, length: int
) -> None:
    with pytest.raises(StepError, match=rf"a document needs \d+ tokens, and the server holds {length - 1};"):
        run(tiny, tasks, tmp_path, [task], fewshot=2, server=served(base, length=length))


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        (
            (500, b'{"error": {"message": "EngineCore encountered an issue"}}'),
            "EngineCore encountered an issue",
        ),
        ((200, b"<html>no</html>"), "answered with what is no JSON"),
        ((404, b"{}"), "a stub refused a request: 404"),
    ],
)
@pytest.mark.parametrize("task", ["foresee", "say"])
def test_a_server_that_fails_is_said_in_words(
    tiny: Path, tasks: Path, tmp_path: Path, base: Completions, instead: Any, said: str, task: str
) -> None:
    base.instead = instead
    try:
        with pytest.raises(StepError, match=said):
            run(tiny, tasks, tmp_path, [task], server=served(base))
    finally:
        base.instead = None


def test_a_server_that_is_gone_or_tells_no_log_probabilities(
    tiny: Path, tasks: Path, merged: Path, tmp_path: Path, base: Completions
) -> None:
    how = {"expected": str(merged / "model/expected.json")}
    with pytest.raises(StepError, match="stopped answering"):
        run(tiny, tasks, tmp_path, ["say"], server=served(Completions("http://127.0.0.1:9/v1")))
    base.instead = (200, b'{"choices": [{"index": 0, "text": "x", "logprobs": null}]}')
    try:
        for more in (how, {}):
            with pytest.raises(StepError, match="tells no log-probabilities of a prompt"):
                run(tiny, tasks, tmp_path, ["foresee"], server=served(base, **more))
    finally:
        base.instead = None


def test_options_that_the_server_does_not_know_are_refused(
    tiny: Path, tasks: Path, tmp_path: Path, base: Completions
) -> None:
    (tmp_path / "beams.yaml").write_text(TASKS["say"].replace("do_sample: false", "num_beams: 4"))
    (tmp_path / "facts.jsonl").write_bytes((tasks / "facts.jsonl").read_bytes())
    with pytest.raises(StepError, match=r"generation_kwargs\.num_beams is not taken"):
        run(tiny, tmp_path, tmp_path / "out", ["beams"], server=served(base))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[{metric: acc}, {metric: acc_norm}, {metric: brier_score}]",
            "[{metric: f1}]",
            "could not do odd: ValueError: ",
        ),
        ("{{question}}", "{{qestion}}", "could not do odd: UndefinedError: 'qestion' is undefined"),
    ],
)
def test_what_lm_eval_cannot_do_is_said(
    tiny: Path, tmp_path: Path, base: Completions, old: str, new: str, said: str
) -> None:
    assert old in TASKS["choose"]
    (tmp_path / "odd.yaml").write_text(TASKS["choose"].replace(old, new))
    rows = [{"question": f"Is it {i}?", "choices": ["a", "b", "c"], "answer": i % 3} for i in range(6)]
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(StepError, match=said):
        run(tiny, tmp_path, tmp_path / "out", ["odd"], server=served(base))
