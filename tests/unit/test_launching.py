"""A training is started on as many GPUs as its recipe says, whatever the machine has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import axolotl, sharing
from runner.errors import RecipeError, StepError
from runner.hardware import gpus
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.train import launching
from runner.workspace import Workspace

RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [rows.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
train: {micro_batch: 2, effective_batch: 16, attention: sdpa, MORE}
compute: {COMPUTE}
"""


def making(root: Path, compute: str, more: str = "") -> Making:
    (root / "rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (root / "r.yaml").write_text(RECIPE.replace("COMPUTE", compute).replace("MORE", more))
    workspace = Workspace(root)
    made = plan(load_recipe(root / "r.yaml", workspace), workspace)
    return Making(made.step("train"), made, {}, root, root, root / "train.log", lambda *_: None)


def test_which_gpus_there_are(tmp_path: Path) -> None:
    for name in ("nvidia1", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus({}, tmp_path) == ["0", "1"]  # CUDA's numbers, not the driver's
    assert gpus({"CUDA_VISIBLE_DEVICES": "5, 2,GPU-ab"}, tmp_path) == ["5", "2", "GPU-ab"]
    assert (
        gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == gpus({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == []
    )


@pytest.mark.parametrize(
    ("compute", "seen"), [("profile: gpu", "4"), ("profile: gpu, gpus: 2", "4,5"), ("profile: cpu", "")]
)
def test_no_more_are_seen_than_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compute: str, seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert launching.devices(making(tmp_path, compute)) == seen


def test_too_few_gpus_are_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(StepError, match=r"trains on 4 GPUs .* and 1 GPU can be seen"):
        launching.devices(making(tmp_path, "profile: gpu, gpus: 4"))


def test_how_processes_are_started(tmp_path: Path) -> None:
    assert launching.arguments(making(tmp_path, "profile: gpu"), "train") == ["--launcher", "python"]
    assert launching.arguments(making(tmp_path, "profile: gpu, gpus: 4"), "preprocess")[:1] != ["--launcher"]
    found = launching.arguments(making(tmp_path, "profile: gpu, gpus: 4"), "train")
    assert found[:4] == ["--launcher", "accelerate", "--", "--config_file"]
    assert json.loads(Path(found[4]).read_text())["num_processes"] == 4


def test_accelerate_reads_the_file_as_we_mean_it(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from accelerate.commands.config.config_args import load_config_from_file

    found = launching.arguments(making(tmp_path, "profile: gpu, gpus: 4"), "train")
    config = load_config_from_file(found[4])
    assert (config.num_processes, str(config.distributed_type.value), config.num_machines) == (
        4,
        "MULTI_GPU",
        1,
    )


@pytest.mark.parametrize(("count", "passes"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_a_step_is_as_large_on_any_number_of_gpus(tmp_path: Path, count: int, passes: int) -> None:
    made = making(tmp_path, f"profile: gpu, gpus: {count}").plan
    paths = axolotl.Paths("MODEL", "T", None, "P", "O")
    config = axolotl.config(made.loaded.recipe, made.profile, paths, made.template, bf16=True)
    assert config["gradient_accumulation_steps"] == passes
    assert config.get("ddp", False) == (count > 1)


def test_a_cpu_is_one_process_whatever_the_recipe_says_of_gpus(tmp_path: Path) -> None:
    recipe = making(tmp_path, "profile: gpu, gpus: 4, strategy: fsdp2").plan.loaded.recipe
    assert sharing.processes(recipe, "cpu") == 1 and sharing.accumulation(recipe, "cpu") == 8


def test_strategies(tmp_path: Path) -> None:
    def keys(strategy: str, kind: str) -> dict[str, object]:
        (tmp_path / "rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
        text = RECIPE.replace("COMPUTE", f"profile: gpu, gpus: 2, strategy: {strategy}").replace(", MORE", "")
        (tmp_path / "r.yaml").write_text(text + f"adapter: {{type: {kind}}}\n")
        return sharing.keys(load_recipe(tmp_path / "r.yaml", Workspace(tmp_path)).recipe)

    for strategy in ("zero2", "zero3", "fsdp2"):
        found = keys(strategy, "lora")
        assert ("deepspeed" in found) != ("fsdp_config" in found)
        assert set(found) <= {*sharing.KEYS, *(f"lora_{x}_kernel" for x in ("mlp", "qkv", "o", "embedding"))}
    assert keys("fsdp2", "qlora")["fsdp_config"]["cpu_ram_efficient_loading"] is False  # type: ignore[index]
    assert keys("fsdp2", "full")["fsdp_config"]["cpu_ram_efficient_loading"] is True  # type: ignore[index]
    zero = keys("zero3", "full")["deepspeed"]["zero_optimization"]  # type: ignore[index]
    assert zero["stage"] == 3 and zero["stage3_gather_16bit_weights_on_model_save"]
    assert not any("kernel" in key for key in keys("zero3", "full"))


def test_what_no_cpu_can_do_is_told_when_the_plan_is_made(tmp_path: Path) -> None:
    made = making(tmp_path, "profile: gpu", "optimizer: lion_8bit").plan
    with pytest.raises(RecipeError, match=r"r.yaml:6:\d+: train.optimizer: lion_8bit needs a GPU"):
        plan(made.loaded, made.workspace, "cpu")


def test_sharing_and_trackers_are_no_matter_of_the_rows(tmp_path: Path) -> None:
    def prints(compute: str) -> dict[str, str]:
        return {s.name: s.fingerprint for s in making(tmp_path, compute).plan.steps}

    one, many = prints("profile: gpu"), prints("profile: gpu, gpus: 4, strategy: zero2")
    changed = {n for n in one if one[n] != many[n]}
    assert changed == {"train", "report"}
