"""Whether a LoRA adapter belongs on a model: by its matrices, before PEFT puts it on.

PEFT refuses an adapter only where a matrix has another size. One of a model with more layers, or with other module
names, is put on as far as it goes, and nothing is said of the rest.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

# A is (rank, what goes in), B is (what comes out, rank).
_MATRIX = re.compile(r"^base_model\.model\.(.+?)\.lora_(A|B)\.(?:\w+\.)?weight$")


_NAME = re.compile(r"[\w.-]{1,200}\Z")


def patterns(adapter: Path) -> str | None:
    """Which key of an adapter's settings names modules by a pattern, in words; None where all are names.

    PEFT gives them to Python's `re`, where a pattern of a stranger may take longer than anybody lives.
    """
    try:
        said = json.loads((adapter / "adapter_config.json").read_bytes())
    except (OSError, ValueError, RecursionError) as e:
        return f"adapter_config.json cannot be read ({e})"
    if not isinstance(said, dict):
        return "adapter_config.json is no map"
    for key in sorted(said):
        named = said[key]
        if not key.endswith(("_modules", "_pattern", "_to_save", "_to_transform", "_parameters")):
            continue
        listed = [named] if isinstance(named, str) else named if isinstance(named, list | dict) else []
        if wrong := next((x for x in listed if isinstance(x, str) and not _NAME.match(x)), None):
            return (
                f"adapter_config.json names modules by a pattern ({key}: {wrong[:60]!r}), which is not taken"
            )
    return None


def misfit(model: Any, adapter: Path) -> str | None:
    """Why an adapter folder does not belong on a model (`torch.nn.Module`), in words; None where it does."""
    from safetensors import SafetensorError, safe_open

    modules = dict(model.named_modules())
    try:
        with safe_open(adapter / "adapter_model.safetensors", framework="pt") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as e:
        return f"adapter_model.safetensors is damaged or cut short ({e})"
    for name, shape in sorted(shapes.items()):
        if (found := _MATRIX.match(name)) and (
            what := _unlike(modules.get(found[1]), found[2], shape, found[1])
        ):
            return f"{what}; it was trained on another base{_its_base(adapter)}: use that one"
    return None


def _unlike(module: Any, matrix: str, shape: tuple[int, ...], name: str) -> str | None:
    if module is None:
        return f"it has weights for {name}, which this model does not have"
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    ours, its = (sizes[0], shape[-1]) if matrix == "A" else (sizes[1], shape[0])
    if len(shape) != 2 or ours is None or ours == its:
        return None
    return f"its {name} {'takes' if matrix == 'A' else 'gives'} {its} numbers where this model's has {ours}"


def _its_base(adapter: Path) -> str:
    try:
        base = json.loads((adapter / "adapter_config.json").read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    return f" ({base})" if isinstance(base, str) and base else ""
