"""A file that changes between the plan and the end of the step that reads it: nothing made of it is ever kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner import fetch, run, stepping
from runner.errors import StepError
from runner.evaluate import lmeval
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.steps import Plan
from runner.store import Store
from runner.suite import LmEval, Suite, SuiteCommon
from runner.unchanged import Changed, digested, unchanged
from runner.workspace import Workspace

answers = import_module("runner.evaluate.answers")  # the package has a function of that name
RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
split: {validation: 0}
"""
ROW = '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "b"}]}\n'
GOOD, POISON = ROW % "good" * 3, ROW % "evil" * 3


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    Path("talk.jsonl").write_text(GOOD)
    old(Path("talk.jsonl"))
    Path("r.yaml").write_text(RECIPE)
    workspace = Workspace(tmp_path)
    return plan(load_recipe(Path("r.yaml"), workspace), workspace)


def old(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def poisoned(made: Plan) -> bool:
    artifact = Store(made.workspace.root).get(made.step("source.talk").fingerprint)
    return artifact is not None and "evil" in artifact.file("records.jsonl").read_text()


def before(work: Callable[[Making], None], m: Making) -> None:
    Path("talk.jsonl").write_text(POISON)
    work(m)


def after(work: Callable[[Making], None], m: Making) -> None:
    work(m)
    Path("talk.jsonl").write_text(POISON)


def there_and_back(work: Callable[[Making], None], m: Making) -> None:
    before(work, m)
    Path("talk.jsonl").write_text(GOOD)


def another_file(work: Callable[[Making], None], m: Making) -> None:
    Path("new").write_text(POISON)
    old(Path("new"))
    Path("new").rename("talk.jsonl")
    work(m)


def gone(work: Callable[[Making], None], m: Making) -> None:
    work(m)
    Path("talk.jsonl").unlink()


@pytest.mark.parametrize("how", [before, after, there_and_back, another_file, gone])
def test_a_source_that_changes_while_it_is_read(
    made: Plan, monkeypatch: pytest.MonkeyPatch, how: Callable[..., None]
) -> None:
    work = stepping.MAKERS["source"]
    with monkeypatch.context() as patch:
        patch.setattr(stepping, "MAKERS", {**stepping.MAKERS, "source": lambda m: how(work, m)})
        with pytest.raises(
            StepError, match=r"^source.talk: talk.jsonl changed while it was read; .*run it again$"
        ):
            run.run(made, to="prepare")
    assert not poisoned(made)
    Path("talk.jsonl").write_text(GOOD)
    assert run.run(made, to="prepare").executed and not poisoned(made)


def test_a_source_that_changed_since_the_plan(made: Plan) -> None:
    Path("talk.jsonl").write_text(POISON)
    with pytest.raises(StepError, match=r"talk.jsonl changed since the run began; run it again"):
        run.run(made, to="prepare")
    assert not poisoned(made)


def test_a_touched_file_is_the_same_file(made: Plan) -> None:
    os.utime("talk.jsonl")
    assert run.run(made, to="prepare").executed == 4


def test_files_that_a_fetch_reads(made: Plan, tmp_path: Path) -> None:
    """Their digests name the lock: nothing is locked under those of other bytes."""
    one = SimpleNamespace(
        name="fetch.x", files={"files": [digested("talk.jsonl", Path("talk.jsonl"))], "none": ()}
    )

    def items(*_: object) -> Any:
        Path("talk.jsonl").write_text(POISON)
        yield from ()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "items", items)
        patch.setattr(fetch.lock, "write", lambda *_: pytest.fail("it was locked"))
        with pytest.raises(Changed):
            fetch.run(one, None, tmp_path, tmp_path / "log", "log")  # type: ignore[arg-type]


def making(made: Plan, tmp_path: Path, **details: Any) -> Making:
    step = dataclasses.replace(made.step("source.talk"), name="x", kind="generate", details=details)
    (tmp_path / "work").mkdir(exist_ok=True)
    whole = dataclasses.replace(made, steps=(step,))
    return Making(step, whole, {}, tmp_path / "out", tmp_path / "work", tmp_path / "log", lambda *_: None)


def test_weights_that_change_while_answers_are_made(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers wait in the work folders of other steps, too: none of them may."""
    weights, probes = tmp_path / "model.safetensors", tmp_path / "probes.jsonl"
    weights.write_bytes(b"weights")
    probes.write_text('{"id": "p", "messages": [{"role": "user", "content": "a"}]}\n')
    suite = Suite(SuiteCommon(suite=1, name="s", probes="probes.jsonl"), None)
    m = making(
        made, tmp_path, suite=suite, arm="base", files=(digested("probes.jsonl", probes),), engine="transformers",
        weights="base", endpoint=None, model=None,
    )  # fmt: skip
    m = dataclasses.replace(
        m, plan=dataclasses.replace(m.plan, weights=(digested("base/model.safetensors", weights),))
    )

    def asked(m: Making, sets: list[dict[str, Any]], total: int) -> None:
        for one in sets:
            Path(one["out"]).parent.mkdir(parents=True, exist_ok=True)
            Path(one["out"]).write_text("{}\n")
        weights.write_bytes(b"WEIGHTS")

    monkeypatch.setattr(answers, "_ask", asked)
    with pytest.raises(Changed, match=r"base/model.safetensors changed while it was read"):
        answers._generate(m, [m.step])
    assert not list(tmp_path.rglob("answers.jsonl"))


def test_the_task_files_that_were_planned_with(made: Plan, tmp_path: Path) -> None:
    task = tmp_path / "t.yaml"
    task.write_text("task: t\n")
    m = making(made, tmp_path, tasks={"t": LmEval(tasks=["t"])}, task_files={"t": [digested("t.yaml", task)]})
    task.write_text("task: other\n")
    with pytest.raises(StepError, match=r"t.yaml changed since the run began"):
        lmeval.lm_eval(m)


def test_a_base_model_that_is_trained_on_and_changes(tmp_path: Path) -> None:
    """Touched is not changed: a training of hours is not lost to that."""
    path = tmp_path / "w"
    path.write_bytes(b"a")
    with unchanged("train", (), weights=[digested("w", path)]):
        old(path)
    with pytest.raises(Changed), unchanged("train", (), weights=[digested("w", path)]):
        path.write_bytes(b"b")


def test_which_steps_read_the_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base").mkdir()
    Path("base/config.json").write_text("{}")
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    Path("base/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    Path("talk.jsonl").write_text(GOOD)
    Path("r.yaml").write_text(RECIPE + "model: {base: base}\nevaluate: {suites: [safety]}\n")
    workspace = Workspace(tmp_path)
    whole = plan(load_recipe(Path("r.yaml"), workspace), workspace)
    assert {f.name for f in whole.weights} >= {"base/config.json", "base/model.safetensors"}
    reads = {s.kind for s in whole.steps if stepping._reads(whole, s)[1]}
    assert reads >= {"render", "preprocess", "proof", "train"}
    assert not reads & {"source", "split", "report"}
