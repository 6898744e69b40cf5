"""LoRA on frozen 4-bit layers, for CPUs: the same numbers in fewer operations.

On a CPU a short batch is bound by the count of operations, not by their size. bitsandbytes unpacks each frozen weight
twice a step, though it never changes; PEFT makes some twenty small operations of each adapted layer. Here the weights
are unpacked once (NF4's own values, in the compute type), and layer and adapter are one function whose gradients are
written out. It pays for small models only: unpacked weights take two bytes a parameter.
"""

from __future__ import annotations

from typing import Any

import torch

MOST_UNPACKED_BYTES = 2 << 30


class _Adapted(torch.autograd.Function):
    """y = x Wᵀ + s (x Aᵀ) Bᵀ, of which A and B are trained and W is not. Products are in W's type, as in autocast."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, a: Any, b: Any, scale: float) -> Any:
        flat = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        low_a, low_b = a.to(weight.dtype), b.to(weight.dtype)
        hidden = flat @ low_a.t()
        ctx.save_for_backward(flat, hidden, weight, low_a, low_b)
        ctx.scale, ctx.dtype = scale, x.dtype
        y = torch.addmm(flat @ weight.t(), hidden, low_b.t(), alpha=scale)
        return y.to(x.dtype).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        flat, hidden, weight, low_a, low_b = ctx.saved_tensors
        g = grads[0].reshape(-1, grads[0].shape[-1]).to(weight.dtype)
        back = (g @ low_b) * ctx.scale
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.addmm(g @ weight, back, low_a).to(ctx.dtype).view(*grads[0].shape[:-1], -1)
        return grad_x, None, (back.t() @ flat).float(), ((g.t() @ hidden) * ctx.scale).float(), None


def unpack(layer: Any) -> Any:
    """The weights of a bitsandbytes Linear4bit as NF4 has them, in its compute type."""
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(
        layer.compute_dtype or torch.bfloat16
    )


def quicken(model: Any) -> int:
    """Replace what PEFT and bitsandbytes do in the adapted 4-bit layers of a small model; how many there were.

    Layers with dropout, bias, several adapters or variants of LoRA are left as they are.
    """
    from bitsandbytes.nn import Linear4bit

    found = [m for m in model.modules() if isinstance(getattr(m, "base_layer", None), Linear4bit)]
    plain = [m for m in found if _is_plain(m)]
    size = sum(m.base_layer.in_features * m.base_layer.out_features for m in plain)
    if size * 2 > MOST_UNPACKED_BYTES:
        return 0
    for layer in plain:
        _quicken(layer)
    return len(plain)


def _is_plain(layer: Any) -> bool:
    names = list(layer.lora_A)
    return (
        len(names) == 1
        and layer.base_layer.bias is None
        and not getattr(layer, "lora_variant", {})
        and isinstance(layer.lora_dropout[names[0]], torch.nn.Identity)
        and layer.lora_A[names[0]].bias is None
        and layer.lora_B[names[0]].bias is None
    )


def _quicken(layer: Any) -> None:
    (name,) = layer.lora_A
    a, b, scale = layer.lora_A[name], layer.lora_B[name], float(layer.scaling[name])
    weight = unpack(layer.base_layer)
    slow = layer.forward

    def forward(x: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or layer.disable_adapters or layer.merged:
            return slow(x, *args, **kwargs)
        return _Adapted.apply(x, weight, a.weight, b.weight, scale)

    layer.forward = forward
