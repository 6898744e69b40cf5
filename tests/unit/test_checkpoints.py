"""Checkpoints: what a kill, a full disk or a NaN has spoilt is never gone on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.train import checkpoints

torch = pytest.importorskip("torch", reason="torch is not installed")


def save(output: Path, step: int, log: list[dict[str, Any]] | None = None, **more: Any) -> Path:
    """A checkpoint as Transformers and PEFT write it, by the libraries that they write it with."""
    from safetensors.torch import save_file

    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    save_file({"a.lora_A.weight": torch.ones(4, 8)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"r": 4}')
    torch.save({"state": {0: torch.ones(1000)}, "param_groups": []}, folder / "optimizer.pt")
    torch.save({"last_epoch": step}, folder / "scheduler.pt")
    torch.save({"cpu": torch.random.get_rng_state()}, folder / "rng_state.pth")
    log = log or [{"step": step, "loss": 2.5, "grad_norm": 1.0}]
    state = {"global_step": step, "max_steps": 100, "log_history": log} | more
    (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder


def test_the_newest_whole_one_is_gone_on_from(tmp_path: Path) -> None:
    old, new = save(tmp_path, 5), save(tmp_path, 10)
    (tmp_path / "checkpoint-best").mkdir()  # no number: the trainer does not look at it either
    assert checkpoints.wrong(old) is None
    assert checkpoints.settle(tmp_path) == new
    assert old.is_dir() and new.is_dir()
    assert checkpoints.settle(tmp_path / "nowhere") is None


NAMES = ("adapter_model.safetensors", "adapter_config.json", "optimizer.pt", "scheduler.pt", "rng_state.pth",
         "trainer_state.json")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, None])
def test_a_file_cut_short_or_missing_spoils_its_checkpoint(
    tmp_path: Path, name: str, share: float | None
) -> None:
    """Transformers starts a missing optimizer or random state afresh without a word."""
    old, new = save(tmp_path, 5), save(tmp_path, 10)
    data = (new / name).read_bytes()
    if share is None:
        (new / name).unlink()
    else:
        (new / name).write_bytes(data[: int(len(data) * share)])
    assert checkpoints.wrong(new) is not None
    assert checkpoints.settle(tmp_path) == old
    assert not new.exists() and old.exists()


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth", "scheduler.pt"])
def test_a_changed_byte_in_an_archive_is_found(tmp_path: Path, name: str) -> None:
    new = save(tmp_path, 10)
    data = bytearray((new / name).read_bytes())
    data[data.index(b"\x80\x02") + 5] ^= 0xFF  # in the pickle, not in the padding before it
    (new / name).write_bytes(bytes(data))
    assert checkpoints.wrong(new) == f"{name} is cut short"


def test_none_is_whole(tmp_path: Path) -> None:
    for step in (5, 10):
        (save(tmp_path, step) / "optimizer.pt").unlink()
    assert checkpoints.settle(tmp_path) is None
    assert checkpoints.found(tmp_path) == []


def test_a_loss_that_is_no_number_spoils_the_checkpoint(tmp_path: Path) -> None:
    nan = float("nan")
    good = save(tmp_path, 5)
    save(tmp_path, 10, [{"step": 10, "loss": nan, "grad_norm": nan}])
    save(tmp_path, 15, [{"step": 15, "loss": 0.0, "grad_norm": nan}])  # as Transformers shows it
    assert checkpoints.settle(tmp_path) == good
    scaled = save(
        tmp_path, 20, [{"step": 20, "loss": 2.4, "grad_norm": float("inf")}]
    )  # fp16 looks for its scale
    assert checkpoints.settle(tmp_path) == scaled


def _shards(folder: Path) -> None:
    from safetensors.torch import save_file

    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_config.json").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for n, name in enumerate(names):
        save_file({f"w{n}": torch.ones(3)}, folder / name)
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _ranks(folder: Path) -> None:
    shutil.copyfile(folder / "rng_state.pth", folder / "rng_state_1.pth")
    (folder / "rng_state.pth").rename(folder / "rng_state_0.pth")


def _deepspeed(folder: Path) -> None:
    (folder / "global_step10").mkdir()
    shutil.move(
        folder / "optimizer.pt", folder / "global_step10" / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    )
    (folder / "scheduler.pt").unlink()


def _fsdp(folder: Path) -> None:
    for name, file in (
        ("pytorch_model_fsdp_0", "adapter_model.safetensors"),
        ("optimizer_0", "optimizer.pt"),
    ):
        (folder / name).mkdir()
        shutil.move(folder / file, folder / name / "__0_0.distcp")


SHAPES: dict[str, tuple[Callable[[Path], None], str]] = {
    "shards": (_shards, "model-00002-of-00002.safetensors"),
    "several processes": (_ranks, "rng_state_1.pth"),
    "DeepSpeed": (_deepspeed, "rng_state.pth"),
    "FSDP": (_fsdp, "scheduler.pt"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_other_kinds_of_checkpoint(tmp_path: Path, shape: str) -> None:
    make, needed = SHAPES[shape]
    folder = save(tmp_path, 10)
    make(folder)
    assert checkpoints.wrong(folder) is None
    (folder / needed).unlink()
    assert checkpoints.wrong(folder) == f"{needed} is missing"


def test_when_a_training_is_over(tmp_path: Path) -> None:
    stopped = {"TrainerControl": {"args": {"should_training_stop": True}}}
    for step, more, over in ((10, {}, False), (100, {}, True), (20, {"stateful_callbacks": stopped}, True)):
        assert checkpoints.ended(checkpoints.state(save(tmp_path, step, **more))) is over
    assert not checkpoints.ended(checkpoints.history(tmp_path / "nowhere"))
