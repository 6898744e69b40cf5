"""Hours of a training: operations over what a GPU reaches, plus what must be moved; on a CPU, from a measured block.

docs/forecast.md has the formula and how far it was off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.forecast.machines import Machine
from runner.forecast.memory import compute_bytes, kept_by_block, weights
from runner.forecast.parameters import Trained
from runner.forecast.schedule import Passes, Steps
from runner.forecast.shapes import Shape

GPU_START = 90.0
"""Seconds until the first step on a GPU: imports, weights, quantization."""
GPU_STEP = 0.04
"""Seconds of the trainer's own work in a step: logging, the optimizer's many small kernels."""
LAUNCH = 0.0045
"""Seconds that starting one block's kernels takes in a pass, with gradient checkpointing: short passes wait for it."""
MOVED = 0.7
"""Share of a GPU's bandwidth that plain copies reach."""
TOUCHED = 6
"""How often what a block keeps is written or read, over forward, recomputation and backward."""
MEASURED_LENGTH = 256
"""Length of sequences at which attention's share is part of what is measured."""
CPU_STEP = 0.03
"""Seconds of the trainer's own work in a step on a CPU."""
CPU_START = 28
"""Starting Axolotl twice, to prepare its rows and to train, and the proof between, over importing PyTorch once."""


@dataclass(frozen=True)
class Duration:
    """Seconds."""

    start: float
    training: float

    @property
    def total(self) -> float:
        return self.start + self.training


def operations(shape: Shape, what: Trained, config: Mapping[str, Any], square: float) -> float:
    """Floating-point operations a token, forward and backward. `square`: tokens that a token attends to, twice over.

    Two a weight forward, two for the gradient of the input, two more for that of the weight where it is trained, and
    two for the forward pass again with gradient checkpointing.
    """
    forward = 2.0 * (shape.linear + shape.embedding)
    attention = 2.0 * shape.layers * shape.heads * shape.head * square  # half of the square is masked
    again = 1 if config.get("gradient_checkpointing") else 0
    products = forward * (2 + again) + 2.0 * what.parameters * (3 + again)
    if what.full:
        products = forward * (3 + again)
    return products + attention * (3.5 + again)


def on_gpu(
    shape: Shape,
    what: Trained,
    config: Mapping[str, Any],
    epoch: Passes,
    steps: Steps,
    machine: Machine,
    *,
    gpus: int = 1,
    validation: int = 0,
) -> Duration:
    """On `gpus` like this one. `validation`: tokens that evaluations read in all."""
    epochs = steps.passes / epoch.batches if epoch.batches else 0.0
    tokens = epoch.padded_tokens * epochs
    rate = machine.tflops * 1e12 * machine.reached
    moved = machine.bandwidth * 1e9 * MOVED
    compute = tokens * operations(shape, what, config, epoch.mean_square) / rate
    again = 3 if config.get("gradient_checkpointing") else 2
    unpacked = 2 * 2 * shape.linear if config.get("load_in_4bit") else 0  # written and read again, in 16 bits
    through = steps.passes * again * (weights(shape, config) + unpacked) / moved
    kept = tokens * TOUCHED * shape.layers * kept_by_block(shape, what, config) / moved
    logits = tokens * 8 * compute_bytes(config) * shape.vocabulary / moved
    evaluated = validation * 2.0 * (shape.linear + shape.embedding) / rate
    optimizer = steps.steps * (GPU_STEP + what.parameters * 28 / moved)
    launched = steps.passes * shape.layers * LAUNCH * again / 3
    busy = max(compute + through + kept + logits, launched)
    return Duration(GPU_START, (busy + evaluated) / gpus + optimizer)


@dataclass(frozen=True)
class Measured:
    """One block of the model, forward and backward with its adapter, as this machine's CPU does it.

    A pass takes `pass_` + `token` × tokens seconds a block; the head `label` seconds a token that is trained; the
    optimizer `step` seconds a step; `start` is what importing PyTorch took.
    """

    pass_: float
    token: float
    label: float
    step: float
    start: float


def on_cpu(
    shape: Shape,
    config: Mapping[str, Any],
    epoch: Passes,
    steps: Steps,
    measured: Measured,
    *,
    labelled: float = 1.0,
    validation: int = 0,
) -> Duration:
    """On this machine's CPU. `labelled`: share of the tokens that carry a label."""
    epochs = steps.passes / epoch.batches if epoch.batches else 0.0
    tokens, real = epoch.padded_tokens * epochs, epoch.tokens * epochs
    again = 4 / 3 if config.get("gradient_checkpointing") else 1.0
    mean = epoch.padded_tokens / max(epoch.batches * int(config["micro_batch_size"]), 1)
    # Attention grows with the square of a sequence, which the short ones measured do not show.
    longer = 3.5 * shape.heads * shape.head * max(mean - MEASURED_LENGTH, 0) / shape.block
    token = measured.token * (1 + longer * (1 if config.get("sample_packing") else 0.5))
    blocks = shape.layers * (measured.pass_ * steps.passes + token * tokens) * again
    head = real * labelled * measured.label
    evaluated = validation * (shape.layers * measured.token / 3 + measured.label / 2)
    return Duration(
        CPU_START * measured.start, blocks + head + evaluated + steps.steps * (CPU_STEP + measured.step)
    )
