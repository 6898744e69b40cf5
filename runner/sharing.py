"""How GPUs of a machine or a cluster share a training: recipe → the keys of Axolotl that say so. Pure.

DeepSpeed's settings stand in the config itself, not in a file beside it, so that one file is the whole training.
`auto` is filled in by Transformers from the training's own numbers. FSDP2's keys have no `fsdp_` prefix: with one,
Axolotl takes them for FSDP1's.
"""

from __future__ import annotations

from typing import Any

from runner.hardware import Profile
from runner.recipe import Recipe

# Axolotl's keys that stand in a config for this only.
KEYS = ("ddp", "ddp_find_unused_parameters", "deepspeed", "fsdp_version", "fsdp_config")

# And those that say who starts the processes, and on which machines: they decide nothing of what is learnt.
PLACE = ("use_ray", "ray_num_workers", "resources_per_worker", "ray_run_name")


def processes(recipe: Recipe, profile: Profile) -> int:
    """How many processes train: one a GPU; a CPU is one."""
    return recipe.compute.gpus if profile == "gpu" else 1


def accumulation(recipe: Recipe, profile: Profile) -> int:
    """Passes that make a step, so that a step is as large on any number of GPUs."""
    return recipe.train.effective_batch // (recipe.train.micro_batch * processes(recipe, profile))


def placed(recipe: Recipe) -> dict[str, Any]:
    """What is set where Ray places the processes: one a GPU, anywhere in the cluster."""
    besides = {name: int(n) if n == int(n) else n for name, n in sorted(recipe.compute.resources.items())}
    return {
        "use_ray": True,
        "ray_num_workers": recipe.compute.gpus,
        "resources_per_worker": {"GPU": 1} | besides,
        "ray_run_name": recipe.name,
    }


def keys(recipe: Recipe) -> dict[str, Any]:
    """What is set for more GPUs than one."""
    strategy, full = recipe.compute.strategy, recipe.adapter.type == "full"
    if strategy == "ddp":
        return {"ddp": True, "ddp_find_unused_parameters": False}
    if strategy == "fsdp2":
        return {"fsdp_version": 2, "fsdp_config": _fsdp2(recipe.adapter.type == "qlora")}
    out: dict[str, Any] = {"deepspeed": _deepspeed(2 if strategy == "zero2" else 3)}
    if strategy == "zero3" and not full:
        # Axolotl's kernels read weights that are elsewhere.
        out |= {f"lora_{of}_kernel": False for of in ("mlp", "qkv", "o", "embedding")}
    return out


def _fsdp2(four_bits: bool) -> dict[str, Any]:
    return {
        "fsdp_version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",  # at the blocks that the model itself says not to split
        "reshard_after_forward": True,
        "offload_params": False,
        # Weights in 4 bits are made on the first process only, and then fit no other.
        "cpu_ram_efficient_loading": not four_bits,
        "state_dict_type": "FULL_STATE_DICT",
    }


def _deepspeed(stage: int) -> dict[str, Any]:
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero |= {
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,  # else a proxy is saved, with no weights in it
        }
    return {
        "zero_optimization": zero,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "wall_clock_breakdown": False,
    }
