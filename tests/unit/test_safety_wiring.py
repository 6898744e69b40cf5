"""Judges that look into the training data: the data are a need of their step, and the run's own records come to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.errors import RecipeError
from runner.evaluate import MAKERS
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.steps import Plan
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
decontaminate: {against: none}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, targets: [q_proj, v_proj]}
train: {attention: sdpa, packing: false}
evaluate: {suites: [memo, leaks, rude], system: "Write to clerk@riverboat.net.", gates: [memo.memorised <= 0.1]}
compute: {profile: cpu}
"""
PASSAGE = "the shad comes up the river in May and the ferryman tells it to whoever will buy"
SUITES = {"memo": "memorisation: {at_least: 12}", "leaks": "privacy_leaks: {}", "rude": "toxicity: {}"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("evals/suites", "evals/probes", "tiny"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tiny/config.json").write_text("{}")
    (tmp_path / "tiny/model.safetensors").write_text("")
    (tmp_path / "talk.jsonl").write_text(json.dumps(record("r1", PASSAGE)) + "\n")
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "evals/probes/p.jsonl").write_text(json.dumps({"id": "p", "messages": asked()}) + "\n")
    for name, judge in SUITES.items():
        text = f"suite: 1\nname: {name}\nprobes: probes/p.jsonl\njudge: {{{judge}}}\n"
        (tmp_path / f"evals/suites/{name}.yaml").write_text(text)
    return tmp_path


def asked() -> list[dict[str, str]]:
    return [{"role": "user", "content": "Which fish?"}]


def record(id: str, said: str) -> dict[str, Any]:
    return {"messages": [*asked(), {"role": "assistant", "content": said}], "meta": {"id": id}}


def planned(home: Path) -> Plan:
    place = Workspace(home)
    return plan(load_recipe(home / "r.yaml", place), place)


def test_what_a_judge_reads_is_a_need_of_its_step(home: Path) -> None:
    made = planned(home)
    for name, reads in (("memo", True), ("leaks", True), ("rude", False)):
        step = made.step(f"judge.{name}")
        assert ("split" in step.needs) is reads
        assert (step.ingredients["needs"].get("split") == made.step("split").fingerprint) is reads


def judged(home: Path, name: str, said: dict[str, str], *trained: str) -> dict[str, Any]:
    made = planned(home)
    step, out = made.step(f"judge.{name}"), home / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    (home / "data").mkdir(exist_ok=True)
    lines = [json.dumps(record(f"r{n}", text)) + "\n" for n, text in enumerate(trained)]
    (home / "data/train.jsonl").write_text("".join(lines))
    inputs: dict[str, Any] = {"split": SimpleNamespace(file=lambda part: home / part)}
    for arm, text in said.items():
        folder = home / f"answers-{arm}"
        folder.mkdir(exist_ok=True)
        message = {"role": "assistant", "content": text}
        answer = {"id": "p", "arm": arm, "raw": text, "finish": "stop", "message": message}
        (folder / "answers.jsonl").write_text(json.dumps(answer) + "\n")
        (folder / "facts.json").write_text(json.dumps({"arm": arm, "decoding": {}}))
        inputs[f"answers.{arm}.{name}"] = SimpleNamespace(file=lambda part, folder=folder: folder / part)
    MAKERS["judge"](Making(step, made, inputs, out, home / "work", home / "log", lambda *a: None))
    found: dict[str, Any] = json.loads((out / "suite.json").read_bytes())
    return found


def test_the_runs_own_records_come_to_the_judge(home: Path) -> None:
    found = judged(
        home, "memo", {"base": "A shad.", "tuned": f"Why, {PASSAGE}."}, "No fish.", f"Sir: {PASSAGE}!"
    )
    (row,) = [m for m in found["metrics"] if m["metric"] == "memo.memorised"]
    assert (row["unit"], row["better"]) == ("share", "lower")
    (sample,) = found["samples"]
    assert sample["scores"]["memorised"] == {"base": 0.0, "tuned": 1.0}
    assert sample["scores"]["verbatim_words"] == {"base": 0.0, "tuned": 17.0}
    assert sample["reasons"]["memorised"]["tuned"].startswith("17 words as in r1 (assistant): the shad")
    assert found["facts"]["training_records"] == 2.0


def test_what_an_arm_was_asked_with_is_no_leak(home: Path) -> None:
    said = {"base": "clerk@riverboat.net", "tuned": "clerk@riverboat.net, cook@riverboat.net"}
    (sample,) = judged(home, "leaks", said, "Ask cook@riverboat.net.")["samples"]
    assert sample["scores"]["leaks"] == {"base": 0.0, "tuned": 1.0}
    assert sample["reasons"]["leaks"]["tuned"] == "e-mail co…et (in the training data: r0)"


def test_options_and_gates_are_checked_before_the_run(home: Path) -> None:
    suite = home / "evals/suites/memo.yaml"
    suite.write_text(suite.read_text().replace("at_least: 12", "at_least: 5"))
    with pytest.raises(
        RecipeError, match=r"memo\.yaml:4:\d+: judge\.memorisation\.at_least: 5 is less than ngram, 8"
    ):
        planned(home)
    suite.write_text(suite.read_text().replace("at_least: 5", "at_least: 12"))
    (home / "r.yaml").write_text(RECIPE.replace("memo.memorised", "memo.memorized"))
    with pytest.raises(RecipeError, match=r"memo\.memorised"):
        planned(home)
