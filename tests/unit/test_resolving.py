"""A hub's model without a commit: looked up once, locked, and a part of what decides all that follows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import hubcache
from runner.errors import UsageError
from runner.evaluating import plan as evaluation
from runner.load import load_recipe
from runner.plan import plan
from runner.serving.found import find
from runner.steps import Plan
from runner.store import Store, digest
from runner.workspace import Workspace

FIRST, SECOND = "a1" * 20, "b2" * 20
RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: org/tiny, template: model, max_length: 512}
train: {attention: sdpa, packing: false}
evaluate: {suites: [tool-use, capability]}
compute: {profile: cpu}
"""


@pytest.fixture
def home(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace, and a hub's cache with two commits of one model."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    root = tmp_path / "w"
    root.mkdir()
    talk = [{"role": "user", "content": "Which fish?"}, {"role": "assistant", "content": "The shad."}]
    rows = [{"messages": [talk[0], {**talk[1], "content": f"Shad, {n}."}]} for n in range(20)]
    (root / "talk.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    (root / "r.yaml").write_text(RECIPE)
    for commit in (FIRST, SECOND):
        shutil.copytree(tiny, hubcache.folder("org/tiny") / "snapshots" / commit)
    at(FIRST)
    return root


def at(commit: str, ref: str = "main") -> None:
    path = hubcache.folder("org/tiny") / "refs" / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit)


def planned(root: Path) -> Plan:
    place = Workspace(root)
    return plan(load_recipe(root / "r.yaml", place), place)


def prints(made: Plan) -> dict[str, str]:
    return {s.name: s.fingerprint for s in made.steps}


def recipe(root: Path, *argv: str) -> dict[str, Any]:
    """In a process of its own: huggingface_hub reads where its cache is when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", "from runner.cli import main; main()", *argv, "--json"],
        cwd=root, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_run_is_pinned_to_what_the_hub_said_first(home: Path) -> None:
    before = planned(home)
    assert before.loaded.recipe.model and before.loaded.recipe.model.revision is None
    done = recipe(home, "run", "r.yaml", "--to", "prepare")
    assert done["ok"], done
    first = planned(home)
    assert first.loaded.recipe.model and first.loaded.recipe.model.revision == FIRST, "all jobs get it, too"
    for name in ("render", "train", "answers.base.tool-use", "lm-eval.base"):
        assert first.step(name).ingredients.get("model", {"base": "org/tiny", "revision": FIRST}) == {
            "base": "org/tiny",
            "revision": FIRST,
        }
        assert prints(first)[name] != prints(before)[name]
    assert first.step("train").ingredients["config"]["revision_of_model"] == FIRST
    at(SECOND)  # the hub's main branch moves
    done = recipe(home, "run", "r.yaml", "--to", "prepare")
    assert done["executed"] == 0 and prints(planned(home)) == prints(first)
    done = recipe(home, "run", "r.yaml", "--to", "prepare", "--refresh", "all")
    assert done["ok"] and done["executed"] > 0, done
    second = planned(home)
    assert second.loaded.recipe.model and second.loaded.recipe.model.revision == SECOND
    changed = {n for n, mark in prints(second).items() if prints(first)[n] != mark}
    assert {"render", "train", "answers.base.tool-use", "answers.tuned.tool-use", "lm-eval.base"} <= changed
    assert "filter" not in changed


def test_a_branch_is_looked_up_and_a_commit_is_not(home: Path) -> None:
    text = RECIPE.replace("base: org/tiny", "base: org/tiny, revision: old")
    (home / "r.yaml").write_text(text)
    at(SECOND, "old")
    assert recipe(home, "run", "r.yaml", "--to", "prepare")["ok"]
    made = planned(home)
    assert made.loaded.recipe.model and made.loaded.recipe.model.revision == SECOND
    locks = list((home / ".mirepoix/fetched/locks").iterdir())
    (home / "r.yaml").write_text(text.replace("old", FIRST))
    assert recipe(home, "run", "r.yaml", "--to", "prepare")["ok"]
    assert list((home / ".mirepoix/fetched/locks").iterdir()) == locks
    assert planned(home).step("render").ingredients["model"]["revision"] == FIRST


def test_a_model_that_nobody_has_is_one_sentence(home: Path) -> None:
    (home / "r.yaml").write_text(RECIPE.replace("org/tiny", "org/none"))
    done = recipe(home, "run", "r.yaml")
    assert done["exit"] == 3 and len(done["errors"]) == 1
    said = done["errors"][0]["what"]
    assert said.startswith("model: 'org/none' is not on this machine, and the hub cannot be reached"), said
    assert not (home / ".mirepoix/artifacts").exists(), "before the first step"


def test_an_evaluation_of_a_hub_model_is_keyed_by_its_commit(home: Path) -> None:
    marks = []
    for commit in (FIRST, SECOND):
        at(commit)
        made = evaluation("org/tiny", ["tool-use"], home)
        assert made.loaded.recipe.model and made.loaded.recipe.model.revision == commit
        assert made.step("answers.base.tool-use").ingredients["model"] == {
            "base": "org/tiny",
            "revision": commit,
        }
        marks.append(made.step("answers.base.tool-use").fingerprint)
    assert len(set(marks)) == 2
    with pytest.raises(
        UsageError, match="'org/none' is not in the local cache; fetch it: hf download org/none"
    ):
        evaluation("org/none", ["tool-use"], home)


@pytest.mark.parametrize("text", ["", "main", "a1" * 19, "../" * 10 + "a1" * 5, "\x00" * 40])
def test_a_reference_that_is_no_commit_is_none(home: Path, text: str) -> None:
    at(text)
    assert hubcache.commit("org/tiny") is None
    assert hubcache.commit("org/tiny", FIRST) == FIRST


def test_a_run_is_served_on_the_commit_that_it_was_trained_on(home: Path) -> None:
    made = {"step": "train", "needs": {}, "model": {"base": "org/tiny", "revision": FIRST}}
    with Store(home).making("train", digest(made), made) as out:
        (out / "x").write_text("x")
    run = home / "runs/r"
    (run / "adapter").mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (run / "adapter" / name).write_text("{}")
    about = {"step": digest(made), "template": digest(None), "base_weights": "as they are"}
    (run / "adapter/mirepoix.json").write_text(json.dumps(about))
    (run / "recipe.yaml").write_text(RECIPE)
    at(SECOND)
    assert find("r", home).base.revision == FIRST
    judged = evaluation("r", ["tool-use"], home, name="again")
    assert judged.step("answers.base.tool-use").ingredients["model"]["revision"] == FIRST
    shutil.rmtree(home / ".mirepoix/artifacts")
    assert find("r", home).base.revision is None, "adapters of the first days do not say it"
    (run / "adapter/mirepoix.json").write_text(json.dumps(about | {"revision": FIRST}))
    assert find("r", home).base.revision == FIRST
    (run / "recipe.yaml").write_text(RECIPE.replace("base: org/tiny", "base: org/tiny, revision: main"))
    assert find("r", home).base.revision == FIRST
