"""Checkpoints of a training: which can be gone on from, and which a kill, a full disk or a NaN has spoilt.

The trainer does not look: it takes the newest folder, and where the optimizer's or the random state is not in it,
it starts those afresh without a word. So a checkpoint counts only when all its files are there and whole. Nothing
is unpickled for that: torch's archives are zip files, whose sums are read; safetensors files say how long they are.

`trainer_state.json` is the last file of a save, and old checkpoints are removed after it: the moment in which no
whole one exists ends with the first save.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

WEIGHTS = (
    "adapter_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model_fsdp_0",
)
OPTIMIZER = ("optimizer.pt", "optimizer.bin", "optimizer_0")


def settle(output: Path) -> Path | None:
    """Remove what is newer than the newest whole checkpoint of an output folder; that checkpoint, or None."""
    for checkpoint in reversed(found(output)):
        if wrong(checkpoint) is None:
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def found(output: Path) -> list[Path]:
    """Checkpoint folders, whole or not, by step."""
    there = [p for p in output.glob("checkpoint-*") if p.is_dir() and p.name[11:].isdigit()]
    return sorted(there, key=lambda p: int(p.name[11:]))


def state(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state. Raises OSError or ValueError where it is not whole."""
    data = json.loads((checkpoint / "trainer_state.json").read_bytes())
    if not (isinstance(data, dict) and isinstance(data.get("log_history"), list)):
        raise ValueError("no trainer's state")
    return data


def history(output: Path) -> dict[str, Any]:
    """The trainer's own account of the training so far, out of the newest checkpoint that has one."""
    for checkpoint in reversed(found(output)):
        try:
            return state(checkpoint)
        except (OSError, ValueError):
            continue
    return {"log_history": [], "global_step": 0}


def ended(data: dict[str, Any]) -> bool:
    """Whether a training was over at this state: all its steps done, or stopped early by its own rule.

    The trainer does not ask: it takes one step too many when it goes on from its own last checkpoint in the
    middle of an epoch, and forgets that it had stopped early.
    """
    control = data.get("stateful_callbacks", {}).get("TrainerControl", {})
    stopped = isinstance(control, dict) and control.get("args", {}).get("should_training_stop", False)
    return bool(stopped) or data.get("global_step", 0) >= data.get("max_steps", math.inf)


def not_a_number(entry: dict[str, Any]) -> bool:
    """Whether a logged step had no finite loss.

    Transformers logs such a loss as the mean of those before it, which is 0 where each step is logged; the
    gradient's norm gives it away. A norm alone may be infinite: fp16 looks for its scale that way.
    """
    loss, norm = entry.get("loss"), entry.get("grad_norm")
    if not isinstance(loss, int | float):
        return False
    if not math.isfinite(loss):
        return True
    return loss == 0 and isinstance(norm, int | float) and not math.isfinite(norm)


def wrong(checkpoint: Path) -> str | None:
    """Why one cannot go on from a checkpoint; None where one can. Reads every byte of its archives."""
    try:
        data = state(checkpoint)
    except (OSError, ValueError):
        return "trainer_state.json is not whole"
    if data.get("global_step") != int(checkpoint.name.rpartition("-")[2]):
        return "trainer_state.json is of another step"
    losses = [x for x in data["log_history"] if "loss" in x]
    if losses and not_a_number(losses[-1]):
        return "its loss is not a number"
    if (what := _missing(checkpoint)) is not None:
        return f"{what} is missing"
    checks: list[tuple[Callable[[Path], bool], Iterable[Path]]] = [
        (_archive, (p for pattern in ("*.pt", "*.pth", "*.bin") for p in checkpoint.glob(pattern))),
        (_safetensors, checkpoint.glob("*.safetensors")),
        (_json, checkpoint.glob("*.json")),
        (lambda p: p.stat().st_size > 0, (p for p in checkpoint.glob("*/*") if p.is_file())),
    ]
    for whole, files in checks:
        for file in files:
            if not whole(file):
                return f"{file.relative_to(checkpoint)} is cut short"
    return None


def _missing(checkpoint: Path) -> str | None:
    """What a checkpoint lacks. DeepSpeed and FSDP keep weights and optimizer in folders of their own."""
    names = {p.name for p in checkpoint.iterdir()}
    if not any(n.startswith("global_step") for n in names):
        if not names & set(WEIGHTS):
            return WEIGHTS[0]
        if not names & set(OPTIMIZER):
            return OPTIMIZER[0]
        if "scheduler.pt" not in names:
            return "scheduler.pt"
    if "adapter_model.safetensors" in names and "adapter_config.json" not in names:
        return "adapter_config.json"
    if "model.safetensors.index.json" in names and _json(checkpoint / "model.safetensors.index.json"):
        index = json.loads((checkpoint / "model.safetensors.index.json").read_bytes())
        for shard in sorted(set(index["weight_map"].values())):
            if shard not in names:
                return str(shard)
    if "rng_state.pth" in names:
        return None
    ranks = sum(n.startswith("rng_state_") for n in names)  # with several processes, one each
    wanted = [f"rng_state_{i}.pth" for i in range(max(2, ranks))] if ranks else ["rng_state.pth"]
    return next((n for n in wanted if n not in names), None)


def _archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError):
        return False


def _safetensors(path: Path) -> bool:
    try:
        return safetensors_end(path) == path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return False


def safetensors_header(path: Path) -> dict[str, Any]:
    """Name → dtype, shape and place of each tensor of a safetensors file. Raises ValueError where it is none."""
    with path.open("rb") as f:
        size = int.from_bytes(f.read(8), "little")
        if not 0 < size <= path.stat().st_size:
            raise ValueError(f"{path.name} is no safetensors file")
        data = json.loads(f.read(size))
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} is no safetensors file")
    data.pop("__metadata__", None)
    return data


def safetensors_end(path: Path) -> int:
    """How many bytes a safetensors file must have, by its own header."""
    with path.open("rb") as f:
        size = int.from_bytes(f.read(8), "little")
    return 8 + size + max((t["data_offsets"][1] for t in safetensors_header(path).values()), default=0)


def _json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True
