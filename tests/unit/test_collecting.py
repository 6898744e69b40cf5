"""What is kept of a training: whole weights or none, the right base for its adapter, the checkpoint that was best."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import pytest

from runner import recipe as r
from runner.errors import StepError
from runner.evaluate import jobs
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.store import digest
from runner.train import collecting
from runner.workspace import Workspace

RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [rows.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
evaluate: {suites: [tool-use]}
compute: {profile: cpu}
"""
FULL, LORA, QLORA = r.Adapter(type="full"), r.Adapter(type="lora"), r.Adapter()


def making(root: Path, adapter: str, step: str, inputs: dict[str, Any] | None = None) -> Making:
    (root / "rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (root / "r.yaml").write_text(RECIPE + f"adapter: {adapter}\n")
    workspace = Workspace(root)
    made = plan(load_recipe(root / "r.yaml", workspace), workspace)
    return Making(made.step(step), made, inputs or {}, root / "out", root, root / "log", lambda *_: None)


def test_weights_are_all_there_or_none_is(tmp_path: Path) -> None:
    assert collecting.weights(tmp_path, LORA) == [] == collecting.weights(tmp_path, FULL)
    (tmp_path / "adapter_model.safetensors").touch()
    assert [p.name for p in collecting.weights(tmp_path, QLORA)] == ["adapter_model.safetensors"]
    assert collecting.weights(tmp_path, FULL) == []
    (tmp_path / "model.safetensors").touch()
    assert [p.name for p in collecting.weights(tmp_path, FULL)] == ["model.safetensors"]
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (tmp_path / shards["a"]).touch()
    assert collecting.weights(tmp_path, FULL) == [], "one shard is missing"
    (tmp_path / shards["b"]).touch()
    assert [p.name for p in collecting.weights(tmp_path, FULL)] == sorted(shards.values())
    collecting.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (QLORA, "nf4"),
        (r.Adapter(quant_type="fp4"), "fp4"),
        (r.Adapter(double_quant=False), "nf4-single"),
        (LORA, "as they are"),
        (FULL, "as they are"),
    ],
)
def test_what_an_adapter_stands_on(adapter: r.Adapter, said: str) -> None:
    assert collecting.base_weights(adapter) == said


def test_an_adapter_says_on_which_commit_it_was_trained(tmp_path: Path) -> None:
    m = making(tmp_path, "{}", "train")
    said = collecting.about(m)
    assert said == {
        "step": m.step.fingerprint,
        "template": digest(m.plan.template),
        "base_weights": "nf4",
    }
    hub = replace(m.step, ingredients={"model": {"base": "org/tiny", "revision": "a1" * 20}})
    assert collecting.about(replace(m, step=hub)) == said | {"revision": "a1" * 20}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"best_metric": 1.0, "best_global_step": 5},
        {"best_metric": float("nan"), "best_global_step": 5, "best_model_checkpoint": "checkpoint-5"},
        {"best_metric": float("inf"), "best_model_checkpoint": "checkpoint-5"},
    ],
)
def test_no_best_checkpoint_is_an_error_and_not_the_last_one(tmp_path: Path, state: dict[str, Any]) -> None:
    with pytest.raises(StepError, match="none is the best"):
        collecting._best(making(tmp_path, "{}", "train"), state)


@pytest.mark.parametrize(
    ("adapter", "arm", "wanted"),
    [
        ("{}", "base", {"adapter": None, "quant_type": "nf4", "double_quant": True}),
        ("{}", "tuned", {"adapter": "adapter", "nf4": True}),
        ("{quant_type: fp4, double_quant: false}", "tuned", {"adapter": "adapter", "quant_type": "fp4", "double_quant": False}),
        ("{type: lora}", "tuned", {"adapter": "adapter", "nf4": False}),
        ("{type: full}", "tuned", {"adapter": None, "model": "model", "revision": None, "nf4": False}),
        ("{type: full}", "base", {"adapter": None, "nf4": False}),
    ],
)  # fmt: skip
def test_each_arm_is_judged_on_what_it_is(
    tmp_path: Path, adapter: str, arm: Literal["base", "tuned"], wanted: dict[str, Any]
) -> None:
    artifact = SimpleNamespace(file=lambda name: tmp_path / "made" / name)
    inputs = {"model": artifact} | ({"train": artifact} if arm == "tuned" else {})
    m = making(tmp_path, adapter, "train", inputs)
    for folder in ("adapter", "model"):
        (tmp_path / "made" / folder).mkdir(parents=True)
        about = {"template": digest(m.plan.template)}
        (tmp_path / "made" / folder / "mirepoix.json").write_text(json.dumps(about))
    job = jobs.model_of(m, arm)
    where = str(tmp_path / "made")
    for key, value in wanted.items():
        made = f"{where}/{value}" if key in ("adapter", "model") and value else value
        assert job[key] == made, (key, job[key])


def test_the_base_is_loaded_in_the_bits_that_it_was_trained_in(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from runner.jobs.job import Job
    from runner.jobs.loading import _quantized

    job = Job(model="m", adapter="a", nf4=True, quant_type="fp4", double_quant=False)
    config = _quantized(job, torch.bfloat16)["quantization_config"]
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("fp4", False)
    assert _quantized(msgspec.structs.replace(job, adapter=None), torch.bfloat16) == {}
