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

from runner.jobs.unpacked import unpack

# Models whose loss is plain cross-entropy of `lm_head(hidden)`: no scaling or capping of logits.
PLAIN_LOSS = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


class CpuPlugin(BasePlugin):
    """Says `use_cpu` to the training arguments, keeps bitsandbytes' inference layout out of training, and keeps
    the weights of a small model unpacked (`unpacked`)."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"use_cpu": True}

    def post_model_load(self, cfg: Any, model: Any) -> None:
        # On AVX512-BF16, the first evaluation repacks 4-bit weights for a kernel without gradients,
        # and they stay so: every later training step silently gets wrong gradients.
        from bitsandbytes.nn import Linear4bit

        for module in model.modules():
            if isinstance(module, Linear4bit):
                module.support_avx512bf16_for_cpu = False
        unpack(model)


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
