"""Axolotl plug-ins for training on a CPU, named in `plugins:` as `runner.jobs.axolotl_cpu.CLASS`.

`CpuPlugin` lets `bf16: true` train at all: Transformers refuses bf16 where it finds no accelerator unless
it is told that the CPU is meant. It also keeps bitsandbytes' inference layout, whose gradients are wrong,
out of training. `LabelledLogitsPlugin` only saves time: it computes logits for the positions that carry
labels and for no others. The loss is the same; evaluation is left alone.
Only jobs import this module; no other plug-in is ever emitted.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from axolotl.integrations.base import BasePlugin

MOST_UNPACKED_BYTES = 2 << 30
# Models whose loss is plain cross-entropy of `lm_head(hidden)`: no scaling or capping of logits.
PLAIN_LOSS = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


class CpuPlugin(BasePlugin):
    """Says `use_cpu` to the training arguments, keeps bitsandbytes' inference layout out of training, and unpacks
    the frozen 4-bit weights of a small model once instead of twice a step."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"use_cpu": True}

    def post_model_load(self, cfg: Any, model: Any) -> None:
        # On AVX512-BF16, the first evaluation repacks 4-bit weights for a kernel without gradients,
        # and they stay so: every later training step silently gets wrong gradients.
        from bitsandbytes.nn import Linear4bit

        layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
        for layer in layers:
            layer.support_avx512bf16_for_cpu = False
        # The weights never change, so neither do the numbers that NF4 stands for. Unpacking them costs the same for
        # a short batch as for a long one: kept unpacked, small batches (more steps of training) cost little more.
        if sum(layer.in_features * layer.out_features for layer in layers) * 2 <= MOST_UNPACKED_BYTES:
            for layer in layers:
                _unpack(layer)


def _unpack(layer: Any) -> None:
    """Let a Linear4bit multiply by its weights as NF4 has them, unpacked to the compute type beforehand."""
    import torch
    from bitsandbytes.functional import dequantize_4bit

    dtype = layer.compute_dtype or torch.bfloat16
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype)

    def forward(x: Any) -> Any:
        bias = None if layer.bias is None else layer.bias.to(dtype)
        return torch.nn.functional.linear(x.to(dtype), weight, bias).to(x.dtype)

    layer.forward = forward


class LabelledLogitsPlugin(BasePlugin):
    """Skips the output layer where nothing is trained; only for models that it is known to be right for."""

    def post_model_load(self, cfg: Any, model: Any) -> None:
        from torch.nn.functional import cross_entropy
        from transformers.modeling_outputs import CausalLMOutputWithPast

        if model.config.model_type not in PLAIN_LOSS:
            return
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        forward = base.forward

        @wraps(forward)
        def labelled(*args: Any, labels: Any = None, num_items_in_batch: Any = None, **kwargs: Any) -> Any:
            if labels is None or not base.training:
                return forward(*args, labels=labels, num_items_in_batch=num_items_in_batch, **kwargs)
            hidden = base.model(*args, **kwargs).last_hidden_state[:, :-1]
            targets = labels[:, 1:]
            kept = targets != -100
            logits = base.lm_head(hidden[kept]).float()
            total = cross_entropy(logits, targets[kept], reduction="sum")
            count = kept.sum() if num_items_in_batch is None else num_items_in_batch
            return CausalLMOutputWithPast(loss=total / count, logits=logits)

        base.forward = labelled
