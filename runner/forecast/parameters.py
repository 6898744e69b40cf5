"""How many parameters a training changes: exact, as PEFT counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.forecast.shapes import Shape


@dataclass(frozen=True)
class Trained:
    """What is trained: `modules` are the adapted layers of one block, as name → (inputs, outputs)."""

    kind: str
    """`qlora`, `lora` or `full`."""
    parameters: int
    modules: Mapping[str, tuple[int, int]]
    unknown: tuple[str, ...] = ()
    """Targets that the model has no layer for."""
    rank: int = 0

    @property
    def full(self) -> bool:
        return self.kind == "full"


def trained(shape: Shape, config: Mapping[str, Any]) -> Trained:
    """What an Axolotl config trains of a model. PEFT's rule: a target names every module whose name ends in it."""
    kind = config.get("adapter")
    if not kind:
        return Trained("full", shape.parameters, {})
    rank, dora = int(config["lora_r"]), bool(config.get("peft_use_dora"))
    targets: Sequence[str] = config.get("lora_target_modules") or []
    if isinstance(targets, str):
        targets = [] if targets == "all-linear" else [targets]
    if config.get("lora_target_linear") or config.get("lora_target_modules") == "all-linear":
        targets = [*targets, *(name.rpartition(".")[2] for name in shape.linears)]
    modules = {n: io for n, io in shape.linears.items() if any(_named(n, t) for t in targets)}
    outside = {"lm_head": (shape.hidden, shape.vocabulary), "embed_tokens": (shape.vocabulary, shape.hidden)}
    found = {n: io for n, io in outside.items() if n in targets}
    unknown = [t for t in targets if t not in outside and not any(_named(n, t) for n in shape.linears)]

    def adapter(inputs: int, outputs: int) -> int:
        return rank * (inputs + outputs) + (outputs if dora else 0)

    total = layers(shape, config) * sum(adapter(*io) for io in modules.values())
    total += sum(adapter(*io) for io in found.values())
    for name in config.get("lora_modules_to_save") or []:  # trained whole, beside the adapter
        total += shape.embedding if name in outside else 0
    return Trained(str(kind), total, modules, tuple(dict.fromkeys(unknown)), rank)


def layers(shape: Shape, config: Mapping[str, Any]) -> int:
    """Blocks that get an adapter."""
    only = config.get("peft_layers_to_transform")
    if only is None:
        return shape.layers
    return len(set(only)) if isinstance(only, list) else 1


def _named(module: str, target: str) -> bool:
    whole = f"model.layers.0.{module}"
    return whole == target or whole.endswith(f".{target}")
