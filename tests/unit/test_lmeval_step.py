"""Step `lm-eval.ARM` on vLLM: which weights are served, in which type, and what becomes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from completions_server import completions

from runner.errors import StepError, UsageError
from runner.evaluate import MAKERS, lmeval
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.serving.engines import Engine
from runner.serving.found import Served
from runner.steps import Plan
from runner.store import Artifact, Store, digest
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
evaluate: {engine: vllm, suites: [facts]}
compute: {profile: cpu}
"""


@pytest.fixture
def home(tmp_path: Path, tiny: Path, lora: Any) -> Path:
    root = tmp_path / "w"
    (root / "evals/suites").mkdir(parents=True)
    shutil.copytree(tiny, root / "tiny")
    (root / "talk.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "Hi."}]}) + "\n")
    (root / "r.yaml").write_text(RECIPE)
    (root / "evals/suites/facts.yaml").write_text(
        "suite: 1\nname: facts\nlm_eval: {tasks: [everyday_facts], limit: 6}\n"
    )
    lora(tiny, root / "trained/adapter")
    return root


def planned(home: Path, engine: str = "vllm") -> Plan:
    (home / "r.yaml").write_text(RECIPE.replace("engine: vllm", f"engine: {engine}"))
    place = Workspace(home)
    made = plan(load_recipe(home / "r.yaml", place), place)
    (home / "trained/adapter/mirepoix.json").write_text(json.dumps({"template": digest(made.template)}))
    return made


def make(home: Path, made: Plan, arm: str) -> tuple[dict[str, Any], Making]:
    step = made.step(f"lm-eval.{arm}")
    out = home / "out" / arm
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    inputs: Any = {"train": Artifact(home / "trained", None)} if arm == "tuned" else {}  # type: ignore[arg-type]
    m = Making(step, made, inputs, out, Store(home).work(step.fingerprint), home / "log", lambda *_: None)
    MAKERS["lm_eval"](m)
    (path,) = out.glob("*/results.json")
    return json.loads(path.read_bytes()), m


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What servers were started with; each computes with the model that it is told of, or with `started.instead`."""
    found: list[Any] = []
    monkeypatch.setattr(lmeval.engines, "choose", lambda *_: Engine("vllm", "py", False, "vLLM 9"))

    @contextmanager
    def serving(
        served: Served, engine: Engine, *, arms: tuple[str, ...], dtype: str, made: Path | None
    ) -> Iterator[Any]:
        lmeval.server.log_of(served).parent.mkdir(parents=True, exist_ok=True)
        found.append(SimpleNamespace(served=served, arms=arms, dtype=dtype))
        with completions(served.whole or Path(served.model)) as stub:
            yield SimpleNamespace(url=stub.url)

    monkeypatch.setattr(lmeval.server, "serving", serving)
    return found


@pytest.mark.usefixtures("forked_jobs")
def test_each_arm_is_served_whole_and_in_float32(home: Path, started: list[Any]) -> None:
    made = planned(home)
    base, _ = make(home, made, "base")
    tuned, m = make(home, made, "tuned")
    one, two = started
    assert {s.dtype for s in started} == {"float32"} and [s.arms for s in started] == [("base",), ("tuned",)]
    assert one.served.model == str((home / "tiny").resolve())
    assert one.served.adapter is None and one.served.whole is None
    assert two.served.whole == m.work / "merged" and two.served.adapter is None and two.served.four_bits == {}
    assert not (m.work / "merged").exists(), "four bytes a parameter are not kept"
    assert base["engine"] == tuned["engine"] == "vLLM 9 in float32"
    assert base["adapter_proof"] is None is base["served"]
    assert tuned["adapter_proof"]["max_logit_difference"] > 0 and tuned["served"]["from_merged"] < 1e-4
    here, _ = make(home, planned(home, "transformers"), "tuned")
    assert len(started) == 2 and here["engine"].startswith("Transformers")
    assert [r["samples"] for r in here["results"]] == [r["samples"] for r in tuned["results"]]
    assert [r["value"] for r in here["results"]] == [r["value"] for r in tuned["results"]]


@pytest.mark.usefixtures("forked_jobs")
def test_a_server_of_other_weights_ends_the_step(
    home: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = lmeval.server.serving

    @contextmanager
    def another(served: Served, engine: Engine, **how: Any) -> Iterator[Any]:
        from dataclasses import replace

        with serving(replace(served, whole=None, model=str(home / "tiny")), engine, **how) as running:
            yield running

    monkeypatch.setattr(lmeval.server, "serving", another)
    with pytest.raises(
        StepError, match=r"lm-eval\.tuned: .*vLLM 9 in float32 does not serve the tuned model"
    ):
        make(home, planned(home), "tuned")


def test_without_vllm_nothing_is_merged(
    home: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> Engine:
        raise UsageError("vLLM is not installed; install it")

    monkeypatch.setattr(lmeval.engines, "choose", none)
    monkeypatch.setattr(lmeval.jobs, "on_weights", None)
    with pytest.raises(StepError, match=r"lm-eval\.tuned: vLLM is not installed"):
        make(home, planned(home), "tuned")
    assert not started


def test_the_engine_and_its_version_decide_the_step(home: Path) -> None:
    there, here = planned(home), planned(home, "transformers")
    for arm in ("base", "tuned"):
        a, b = (p.step(f"lm-eval.{arm}") for p in (there, here))
        assert (
            a.fingerprint != b.fingerprint and a.ingredients["engine"] == "vllm" and "vllm" in a.ingredients
        )
        assert "vllm" not in b.ingredients


@pytest.mark.usefixtures("forked_jobs")
def test_a_model_that_was_trained_whole_is_served_as_it_is(
    home: Path, whole_model: Path, started: list[Any]
) -> None:
    recipe = RECIPE.replace("{type: lora, targets: [q_proj, v_proj]}", "{type: full}")
    (home / "r.yaml").write_text(recipe)
    place = Workspace(home)
    made = plan(load_recipe(home / "r.yaml", place), place)
    (whole_model / "mirepoix.json").write_text(json.dumps({"template": digest(made.template)}))
    found, _ = make(home, made, "tuned")
    (one,) = started
    assert one.served.whole == whole_model and one.arms == ("tuned",) and one.dtype == "float32"
    assert found["adapter_proof"] is None is found["served"] and found["engine"] == "vLLM 9 in float32"
    assert whole_model.is_dir(), "what was trained is not thrown away"


@pytest.fixture
def whole_model(home: Path, tiny: Path) -> Path:
    shutil.copytree(tiny, home / "trained/model")
    return home / "trained/model"


def test_a_vllm_that_is_not_here_is_noticed_before_anything_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner import run, settings

    def none(*_: Any) -> Engine:
        raise UsageError("vLLM is not installed; install it")

    monkeypatch.setattr(lmeval.engines, "choose", none)
    with pytest.raises(StepError, match=r"lm-eval\.base: evaluate.engine is vllm: vLLM is not installed"):
        run._all_set(planned(home), Store(home), "report", settings.load())
    run._all_set(planned(home), Store(home), "train", settings.load())
    run._all_set(planned(home, "transformers"), Store(home), "report", settings.load())
