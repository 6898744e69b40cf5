"""The tasks that lm-eval brings along: found by name, their data fetched from a hub, asked as lm-eval asks them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_hub import COMMIT, Hub

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from runner import lmtasks, settings
from runner.errors import RecipeError, StepError
from runner.evaluate import MAKERS
from runner.evaluating import plan
from runner.gatechecks import names_of
from runner.load import load_recipe, load_suite
from runner.making import Making
from runner.plan import plan as recipe_plan
from runner.run import run
from runner.settings import Settings
from runner.store import Store
from runner.workspace import Workspace


@pytest.fixture(autouse=True)
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lmtasks.index.cache_clear()
    yield
    lmtasks.index.cache_clear()


def suite(root: Path, lm_eval: str, name: str = "own") -> Workspace:
    (root / "evals/suites").mkdir(parents=True, exist_ok=True)
    (root / f"evals/suites/{name}.yaml").write_text(f"suite: 1\nname: {name}\nlm_eval: {lm_eval}\n")
    return Workspace(root)


def question(n: int) -> dict[str, Any]:
    """A row of HellaSwag's columns."""
    return {
        "ind": n, "activity_label": "Crossing a river", "ctx_a": f"The {'quick ' * (n % 5)}fox sees boat {n}.",
        "ctx_b": "the fox", "ctx": f"The fox sees boat {n}. the fox",
        "endings": [f"jumps over {n} boats.", "sleeps [step] and sleeps.", f"asks {n * 7 % 5} dogs.", "sinks."],
        "source_id": f"a~{n}", "split": "val", "split_type": "indomain", "label": str(n * 5 % 4),
    }  # fmt: skip


def lines(rows: int, first: int = 0) -> bytes:
    return "".join(json.dumps(question(first + n)) + "\n" for n in range(rows)).encode()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    files = {
        "train.jsonl": lines(6, 100),
        "validation.jsonl": lines(9),
        "test.jsonl": lines(2, 50),
        "README.md": b"---\nlicense: mit\n---\n",
    }
    server = Hub(files, "Rowan/hellaswag")
    yield server
    server.close()


def told(hub: Hub) -> Settings:
    values = {n: s.default for n, s in settings.SETTINGS.items()} | {"hub_url": hub.url, "allow": hub.url[7:]}
    return Settings(values, dict.fromkeys(values, "default"))


# -- found ------------------------------------------------------------------------------------------


def test_a_task_is_found_by_its_name_with_all_that_its_file_builds_on(tmp_path: Path) -> None:
    found = lmtasks.find("mmlu_anatomy")
    assert found is not None and found.name == "mmlu_anatomy.yaml"
    said = lmtasks.read(found)
    assert (said["dataset_path"], said["dataset_name"], said["test_split"]) == (
        "cais/mmlu",
        "anatomy",
        "test",
    )
    assert lmtasks.splits(said) == ["test", "dev"] and not lmtasks.unfit(said)
    swag = lmtasks.read(lmtasks.find("hellaswag") or Path())
    assert swag["process_docs"] == "!function utils.process_docs", "read as data: nothing is imported"
    assert lmtasks.find("mmlu") is None and lmtasks.index()["mmlu"] == "", "a group"
    assert lmtasks.find("everyday_facts") is None
    (kept,) = (tmp_path / "cache/mirepoix").iterdir()
    lmtasks.index.cache_clear()
    kept.write_text('{"tasks": {"x": "y.yaml"}}')
    assert lmtasks.index() == {"x": "y.yaml"}, "what was found once is kept"


def test_a_cache_that_cannot_be_written_or_read_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert "hellaswag" in lmtasks.index()


def test_metrics_are_those_of_its_file(tmp_path: Path) -> None:
    place = suite(tmp_path, "{tasks: [hellaswag, gsm8k, ifeval]}")
    names = names_of(load_suite("own", place), place)
    assert {
        "own.hellaswag.acc",
        "own.hellaswag.acc_norm",
        "own.gsm8k.exact_match.strict_match",
    } <= names.known
    assert "own.ifeval." in names.open, "a function scores it: what it gives, only the run will tell"


@pytest.mark.parametrize(
    ("lm_eval", "says"),
    [
        ("{tasks: [helaswag]}", r"own\.yaml:3:19: .*lm-eval has no such task \(did you mean hellaswag\?\)"),
        ("{tasks: [Hellaswag]}", r"did you mean hellaswag\?"),
        ("{tasks: [hellaswag, hellaswag]}", r"own\.yaml:3:30: .*'hellaswag' is named twice"),
        ("{tasks: [everyday_fact]}", r"did you mean everyday_facts\?"),
        ("{tasks: [mmlu]}", r"mmlu is a group of lm-eval's tasks; name those that you mean, such as mmlu_"),
        ("{tasks: [wikitext, hellaswag], revisions: {helaswag: abc}}", r"did you mean hellaswag\?"),
        ("{tasks: [everyday_facts], revisions: {everyday_facts: abc}}", r"this is a file"),
        ("{tasks: ['../x']}", r"own\.yaml:3:19"),
    ],
)
def test_what_is_none_is_said_at_its_place(tmp_path: Path, lm_eval: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        load_suite("own", suite(tmp_path, lm_eval))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"custom_dataset": "!function x.y"}, "code of its own"),
        ({"unsafe_code": True}, "runs the code that the model writes"),
        ({"dataset_path": "o/d", "dataset_kwargs": {"data_files": "x"}}, "options of its own (data_files)"),
        ({"dataset_path": "json", "test_split": "t"}, "none of a hub"),
        ({"dataset_path": "o/d"}, "names no split"),
        ({"dataset_path": "o/d", "test_split": "t", "dataset_kwargs": {"trust_remote_code": True}}, ""),
    ],
)
def test_what_cannot_be_run_from_rows(config: dict[str, Any], why: str) -> None:
    assert why in lmtasks.unfit(config) and bool(why) == bool(lmtasks.unfit(config))


# -- run --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forked_jobs")
def test_the_numbers_are_those_of_lm_eval_by_hand(tiny: Path, tmp_path: Path, hub: Hub) -> None:
    root = tmp_path / "home"
    suite(root, "{tasks: [hellaswag], limit: 8, fewshot: 2}")
    made = plan(str(tiny), ["own"], root, seed=7)
    assert made.steps[0].name == "task.hellaswag", "before all that takes long"
    report = json.loads((run(made, settings=told(hub)).folder / "report.json").read_bytes())
    ours = {m["metric"]: m["arms"]["base"]["value"] for m in report["suites"][0]["metrics"]}

    flags = ["--tasks", "hellaswag", "--limit", "8", "--num_fewshot", "2", "--apply_chat_template",
             "--fewshot_as_multiturn", "true", "--batch_size", "64", "--device", "cpu", "--seed", "7"]  # fmt: skip
    argv = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
            f"pretrained={tiny},dtype=float32,softmax_dtype=float32", *flags, "--output_path", str(tmp_path / "out")]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (tmp_path / "out").rglob("results_*.json")
    theirs = json.loads(path.read_text())["results"]["hellaswag"]
    assert ours == {f"own.hellaswag.{m}": theirs[f"{m},none"] for m in ("acc", "acc_norm")}


def test_its_data_are_fetched_once_and_their_commit_is_kept(tiny: Path, tmp_path: Path, hub: Hub) -> None:
    suite(tmp_path, "{tasks: [hellaswag], limit: 2, revisions: {hellaswag: main}}")
    step = plan(str(tiny), ["own"], tmp_path).step("task.hellaswag")
    assert (step.ingredients["splits"], step.ingredients["revision"]) == (["train", "validation"], "main")
    run(plan(str(tiny), ["own"], tmp_path), settings=told(hub), to="train")
    artifact = Store(tmp_path).get(step.fingerprint)
    assert artifact is not None
    facts = json.loads(artifact.file("facts.json").read_bytes())
    assert facts == {
        "path": "Rowan/hellaswag", "subset": None, "commit": COMMIT, "license": "cc0-1.0",
        "rows": {"train": 6, "validation": 9},
    }  # fmt: skip
    asked = len(hub.seen)
    run(plan(str(tiny), ["own"], tmp_path), settings=told(hub), to="train")
    assert len(hub.seen) == asked


def test_a_hub_out_of_reach_is_one_sentence(tiny: Path, tmp_path: Path, hub: Hub) -> None:
    suite(tmp_path, "{tasks: [arc_easy]}")
    with pytest.raises(StepError, match=r"hub has no data set allenai/ai2_arc"):
        run(plan(str(tiny), ["own"], tmp_path), settings=told(hub))


# -- not trained on -----------------------------------------------------------------------------------

RECIPE = """
recipe: 1
name: r
sources:
  - jsonl: {{files: [talk.jsonl]}}
    name: talk
decontaminate: {{against: {against}}}
model: {{base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}}
evaluate: {{suites: [own]}}
"""


@pytest.mark.parametrize("against", ["evals", "none"])
def test_what_they_ask_is_not_trained_on(tiny: Path, tmp_path: Path, hub: Hub, against: str) -> None:
    suite(tmp_path, "{tasks: [hellaswag]}")
    shutil.copytree(tiny, tmp_path / "tiny")
    asked, chosen = question(3)["ctx"] + " Was it so?", "He asks 3 dogs."
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": f"Number {n}."}]}
        for n, text in enumerate(("What is a boat?", asked, chosen, "And a river?"))
    ]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "r.yaml").write_text(RECIPE.format(against=against))
    place = Workspace(tmp_path)
    made = recipe_plan(load_recipe(tmp_path / "r.yaml", place), place)
    assert made.steps[0].name == "task.hellaswag"
    run(made, settings=told(hub), to="prepare")
    store = Store(tmp_path)
    split = store.get(made.step("split").fingerprint)
    assert split is not None
    kept = [
        line
        for n in ("train", "validation")
        for line in split.file(f"data/{n}.jsonl").read_text().splitlines()
    ]
    if against == "evals":
        assert len(kept) == 3 and asked not in "".join(kept)
        return
    assert len(kept) == 4
    step = made.step("contaminated")
    inputs = {n: artifact for n in step.needs if (artifact := store.get(made.step(n).fingerprint))}
    m = Making(step, made, inputs, tmp_path / "out", tmp_path / "work", tmp_path / "log", lambda *a: None)
    with pytest.raises(StepError, match=r"the document 4 of the task 'hellaswag' \(suite 'own'\) stands in"):
        MAKERS["contaminated"](m)
