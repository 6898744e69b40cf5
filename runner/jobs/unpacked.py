"""Frozen 4-bit layers that keep their weights unpacked, for training small models on a CPU.

bitsandbytes unpacks each weight for the forward and again for the backward pass, though a frozen one never changes, and
that costs the same for a short batch as for a long one. Kept unpacked (the very numbers that NF4 stands for, in the
compute type, two bytes a parameter), small batches, and so many steps, cost little more than large ones.
"""

from __future__ import annotations

from typing import Any

MOST_BYTES = 2 << 30


def unpack(model: Any) -> int:
    """Do so with every bitsandbytes Linear4bit of a model that is small enough; how many there were."""
    from bitsandbytes.nn import Linear4bit

    layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
    if sum(layer.in_features * layer.out_features for layer in layers) * 2 > MOST_BYTES:
        return 0
    for layer in layers:
        _unpack(layer)
    return len(layers)


def _unpack(layer: Any) -> None:
    import torch
    from bitsandbytes.functional import dequantize_4bit

    dtype = layer.compute_dtype or torch.bfloat16
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype)

    def forward(x: Any) -> Any:
        bias = None if layer.bias is None else layer.bias.to(dtype)
        return torch.nn.functional.linear(x.to(dtype), weight, bias).to(x.dtype)

    layer.forward = forward
