"""Peak memory of a training, part by part, in bytes. docs/forecast.md has the formula and where each term comes from.

The greatest moment is one of two: the loss, when logits of the whole vocabulary stand in memory, or the backward pass
of the last block. What was kept for the backward pass of the other blocks is there in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.forecast.parameters import Trained
from runner.forecast.shapes import Shape

GIB = float(1 << 30)
CUDA_CONTEXT = 0.65 * GIB
"""The driver's context, cuBLAS's workspaces, bitsandbytes' tables."""
PROCESS = 1.3 * GIB
"""A Python process with Axolotl's libraries in it (CPU)."""
SLACK = 0.05
"""What the allocator holds and cannot use, as a share of what comes and goes."""
LOGIT = 12
"""Bytes a logit at its worst, beside the compute type's own, in fp32: log-softmax, and two gradients."""
_FUSED = ("cut_cross_entropy", "chunked_cross_entropy", "liger_fused_linear_cross_entropy")
_SHARED = {
    "zero2": ("gradients", "optimizer"),
    "zero3": ("weights", "trained", "gradients", "optimizer"),
    "fsdp2": ("weights", "trained", "gradients", "optimizer"),
}
UNPACKED = 2 << 30
"""Frozen 4-bit layers of a model up to so many bytes are kept unpacked on a CPU (jobs/unpacked.py)."""


@dataclass(frozen=True)
class Memory:
    """Bytes. `parts` sum to `total`."""

    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def compute_bytes(config: Mapping[str, Any]) -> int:
    """Bytes of a number of the compute type."""
    return 2 if config.get("bf16") or config.get("fp16") else 4


def weights(shape: Shape, config: Mapping[str, Any]) -> float:
    """The base model's own weights as they stand in memory."""
    wide = compute_bytes(config)
    rest = (shape.parameters - shape.linear) * wide
    if config.get("load_in_4bit"):
        quant = config.get("bnb_config_kwargs") or {}
        blocks = shape.linear / 64  # each has a scale: a byte that is scaled itself by 256, or 4 bytes
        scales = blocks * (1 + 4 / 256) if quant.get("bnb_4bit_use_double_quant", True) else blocks * 4
        return shape.linear / 2 + scales + rest
    if config.get("load_in_8bit"):
        return shape.linear + rest
    return shape.parameters * wide


def kept_by_block(shape: Shape, what: Trained, config: Mapping[str, Any], *, cpu: bool = False) -> float:
    """Bytes that one block keeps a token for its backward pass.

    A norm keeps its input in fp32, the activation gate and up, attention its inputs and output. A frozen layer keeps
    nothing; an adapter its input, in the compute type, once for each adapted layer, and a mask where dropout is on: of
    bytes on a GPU, of fp32 on a CPU.
    """
    wide = compute_bytes(config)
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    norms = 2 * 4 * shape.hidden
    if shape.family in ("qwen3", "olmo2"):
        norms += 4 * (queries + keys)
    attention = wide * (2 * queries + 2 * keys) + 4 * shape.heads
    gated = 3 * wide * shape.ffn
    if what.full:
        # The norms' outputs too, and the inputs of layers; those that layers share count once.
        return norms + attention + gated + wide * (4 * shape.hidden + shape.ffn)
    mask = (4 if cpu else 1) if config.get("lora_dropout") else 0
    inputs = sum(i for i, _ in what.modules.values())
    return norms + attention + gated + (wide + mask) * inputs + wide * what.rank * len(what.modules)


def scores(shape: Shape, tokens: int, length: int, config: Mapping[str, Any]) -> float:
    """Bytes of attention scores that one block keeps, where attention writes them out (eager)."""
    if config.get("attn_implementation") != "eager":
        return 0
    return shape.heads * tokens * length * (compute_bytes(config) + 4)


def optimizer_bytes(config: Mapping[str, Any], wide: int) -> float:
    """Bytes of optimizer state a trained parameter, whose own type has `wide` bytes."""
    name = str(config.get("optimizer") or "adamw_torch")
    if "8bit" in name:  # and a scale for each 256
        return (1 if "lion" in name else 2) * (1 + 4 / 256)
    if name.startswith("sgd"):
        return 0
    if name == "adafactor":
        return 0.02  # a row and a column of each matrix
    if "lion" in name:
        return wide
    return 2 * wide


@dataclass(frozen=True)
class Setting:
    """Where it runs: `gpus` share by `strategy`. `labelled`: share of the tokens that carry a label; only the CPU
    plug-in leaves out the logits of the others."""

    cpu: bool
    gpus: int = 1
    strategy: str = "ddp"
    labelled: float = 1.0


def peak(
    shape: Shape, what: Trained, config: Mapping[str, Any], tokens: int, length: int, setting: Setting
) -> Memory:
    """Peak memory of one device, in passes of so many tokens, padding included, in sequences of `length`."""
    cpu = setting.cpu
    wide = compute_bytes(config)
    own = wide if what.full else 4  # adapters stay in fp32 over a base in 16 bits
    parts: dict[str, float] = {"weights": 0 if what.full else weights(shape, config)}
    if cpu and config.get("load_in_4bit") and 2 * shape.linear <= UNPACKED:
        parts["weights"] += wide * shape.linear
    parts["trained"] = what.parameters * own
    parts["gradients"] = what.parameters * own
    parts["optimizer"] = what.parameters * optimizer_bytes(config, own)
    for name in _SHARED.get(setting.strategy, ()) if setting.gpus > 1 else ():
        parts[name] /= setting.gpus
    block = tokens * kept_by_block(shape, what, config, cpu=cpu) + scores(shape, tokens, length, config)
    largest = max(i * o for i, o in shape.linears.values())
    working: float = 3 * wide * tokens * shape.ffn + (
        wide * largest if config.get("load_in_4bit") and not cpu else 0
    )
    if config.get("gradient_checkpointing"):
        parts["activations"] = shape.layers * tokens * shape.hidden * wide
        if config.get("activation_offloading"):
            parts["activations"] /= shape.layers
        working += block
    else:
        parts["activations"] = shape.layers * block
    logits = (
        tokens * (setting.labelled if cpu else 1) * shape.vocabulary * (LOGIT + (wide if wide < 4 else 0))
    )
    if any(config.get(k) for k in _FUSED):
        logits /= 16
    parts["logits" if logits >= working else "working"] = max(logits, working)
    come_and_go = parts["activations"] + max(logits, working)
    parts["overhead"] = (PROCESS if cpu else CUDA_CONTEXT) + SLACK * come_and_go
    return Memory({name: round(n) for name, n in parts.items()})
