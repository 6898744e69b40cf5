"""What lm-eval says of an arm is what `lm_eval` says that is run by hand with the same flags, to the last digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from runner.jobs.lm_eval import LmEvalJob, evaluate
from runner.jobs.lm_served import Server

CHOOSE = """\
task: choose
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl, train: facts.jsonl}}
test_split: test
fewshot_split: train
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 1}
"""
SAY = """\
task: say
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl, train: facts.jsonl}}
test_split: test
fewshot_split: train
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {max_gen_toks: 8, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
metadata: {version: 1}
"""
# Metrics that are no mean over documents. (f1 and mcc are bootstrapped for minutes.)
WHOLE = """\
task: whole
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl, train: facts.jsonl}}
test_split: test
fewshot_split: train
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {max_gen_toks: 8, do_sample: false}
metric_list:
  - {metric: bleu, aggregation: bleu, higher_is_better: true}
  - {metric: chrf, aggregation: chrf, higher_is_better: true}
  - {metric: ter, aggregation: ter, higher_is_better: false}
metadata: {version: 1}
"""
MIDDLE = CHOOSE.replace("task: choose", "task: middle").replace("aggregation: mean", "aggregation: median")
ROLL = """\
task: roll
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}} {{choices[answer]}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
  - {metric: byte_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
  - {metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}
metadata: {version: 1}
"""
TASKS = {"choose": CHOOSE, "say": SAY, "whole": WHOLE, "middle": MIDDLE, "roll": ROLL}


def by_hand(forks: Any, folder: Path, kind: str, model: str, tasks: list[str], *flags: str) -> dict[str, Any]:
    out = folder / "by-hand"
    argv = ["-m", "lm_eval", "--model", kind, "--model_args", model,
            "--tasks", ",".join(tasks), "--include_path", str(folder),
            "--apply_chat_template", "--batch_size", "5", "--device", "cpu", "--seed", "7", "--limit", "12",
            "--log_samples", "--output_path", str(out), *flags]  # fmt: skip
    done = forks.python(argv, folder).done()
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = out.rglob("results_*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


HF = ",dtype=float32,softmax_dtype=float32"


def write_tasks(folder: Path) -> None:
    rows = [
        {
            "question": f"Is fox {i} over {i * 7 % 11}?",
            "choices": ["yes", "no indeed"],
            "answer": i * 5 % 3 % 2,
        }
        for i in range(16)
    ]
    (folder / "facts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text)


@pytest.mark.parametrize(("fewshot", "multiturn", "tuned"), [(2, True, True), (2, False, False)])
def test_to_the_last_digit(
    forks: Any,
    tiny: Path,
    tmp_path: Path,
    lora: Callable[[Path, Path], Path],
    fewshot: int,
    multiturn: bool,
    tuned: bool,
) -> None:
    write_tasks(tmp_path)
    worn = lora(tiny, tmp_path / "lora") if tuned else None
    job = LmEvalJob(
        model=str(tiny), arm="a", tasks=["choose", "say"], task_folder=str(tmp_path), out=str(tmp_path / "out"),
        batch=5, limit=12, fewshot=fewshot, multiturn=multiturn, seed=7, adapter=str(worn) if worn else None,
    )  # fmt: skip
    evaluate(job)
    ours = json.loads((tmp_path / "out/results.json").read_text())["results"]
    model = f"pretrained={tiny}" + (f",peft={worn}" if worn else "") + HF
    shots = ("--num_fewshot", str(fewshot), "--fewshot_as_multiturn", str(multiturn).lower())
    theirs = by_hand(forks, tmp_path, "hf", model, ["choose", "say"], *shots)["results"]
    assert {(r["task"], r["metric"]) for r in ours} == {
        ("choose", "acc"), ("choose", "acc_norm"), ("say", "exact_match"),
    }  # fmt: skip
    for r in ours:
        said = theirs[r["task"]]
        assert r["value"] == said[f"{r['metric']},none"], r
        assert r["stderr"] == said[f"{r['metric']}_stderr,none"], r
    assert len({r["value"] for r in ours}) > 1, "numbers that are all the same compare nothing"


def job(tiny: Path, folder: Path, tasks: list[str], **more: Any) -> LmEvalJob:
    return LmEvalJob(
        model=str(tiny), arm="a", tasks=tasks, task_folder=str(folder), out=str(folder / "out"), batch=5, limit=12,
        fewshot=0, seed=7, **more,
    )  # fmt: skip


def same(ours: list[dict[str, Any]], theirs: dict[str, Any]) -> set[str]:
    """That they are, to the last digit, stderr too; which metrics there are."""
    for r in ours:
        said = theirs[r["task"]]
        assert r["value"] == said[f"{r['metric']},none"], r
        stderr = said[f"{r['metric']}_stderr,none"]
        assert r["stderr"] == (None if stderr == "N/A" else stderr), r
    return {r["metric"] for r in ours}


WHOLES = {"bleu", "chrf", "ter", "acc", "acc_norm", "word_perplexity", "byte_perplexity", "bits_per_byte"}


def test_numbers_that_are_no_means(forks: Any, tiny: Path, tmp_path: Path) -> None:
    write_tasks(tmp_path)
    evaluate(job(tiny, tmp_path, ["whole", "middle", "roll"]))
    ours = json.loads((tmp_path / "out/results.json").read_text())["results"]
    theirs = by_hand(forks, tmp_path, "hf", f"pretrained={tiny}{HF}", ["whole", "middle", "roll"])["results"]
    assert same(ours, theirs) == WHOLES
    assert all(len(r["draws"]) == 2000 and not r["samples"] for r in ours)
    assert {r["aggregation"] for r in ours if r["task"] == "middle"} == {"median"}


def test_of_a_server(forks: Any, tiny: Path, tmp_path: Path) -> None:
    from completions_server import completions

    tasks = ["choose", "say", "whole", "roll"]
    write_tasks(tmp_path)
    with completions(tiny) as stub:
        served = Server(url=stub.url, model="base", engine="a stub", length=2048)
        evaluate(job(tiny, tmp_path, tasks, server=served))
        model = f"base_url={stub.url}/completions,model=base,tokenizer={tiny},tokenizer_backend=huggingface,max_length=2048"
        theirs = by_hand(forks, tmp_path, "local-completions", model, tasks)["results"]
    ours = json.loads((tmp_path / "out/results.json").read_text())["results"]
    assert same(ours, theirs) == WHOLES | {"exact_match"}
