"""Recipe → Axolotl config. Pure: paths come in as they shall stand in the file.

Every key here is known to Axolotl's own model (tests ask it), because Axolotl drops unknown keys in
silence. What it does without saying so, and why each key is set, stands in docs/axolotl.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.hardware import Profile
from runner.recipe import Recipe

CPU_PLUGINS = ["runner.jobs.axolotl_cpu.CpuPlugin", "runner.jobs.axolotl_cpu.LabelledLogitsPlugin"]


@dataclass(frozen=True)
class Paths:
    """Where Axolotl reads and writes, relative to the workspace."""

    model: str
    train: str
    validation: str | None
    prepared: str
    output: str


def _dataset(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "ds_type": "json",
        "split": "train",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }


def config(recipe: Recipe, profile: Profile, paths: Paths, template: str | None) -> dict[str, Any]:
    """The Axolotl config of a recipe that has a model. `template` is Jinja text; None: the tokenizer's own."""
    model, adapter, train = recipe.model, recipe.adapter, recipe.train
    if model is None:
        raise ValueError("a recipe without a model compiles to no Axolotl config")
    out: dict[str, Any] = {"base_model": paths.model, "trust_remote_code": False}
    if model.revision:
        out["revision_of_model"] = model.revision
    out |= (
        {"chat_template": "jinja", "chat_template_jinja": template}
        if template is not None
        else {"chat_template": "tokenizer_default"}
    )
    if model.end_of_turn:
        out["eot_tokens"] = [model.end_of_turn]
    out |= {
        "datasets": [_dataset(paths.train)],
        "dataset_prepared_path": paths.prepared,
        "dataset_num_proc": 1,
        "shuffle_merged_datasets": False,
        "shuffle_before_merging_datasets": False,
    }
    if paths.validation:
        out["test_datasets"] = [_dataset(paths.validation)]
    else:
        out["val_set_size"] = 0.0
    out |= {
        "sequence_len": model.max_length,
        "excess_length_strategy": "raise",
        "sample_packing": train.packing,
        "eval_sample_packing": False,
        "pad_to_sequence_len": train.packing,
        "adapter": adapter.type,
        "load_in_4bit": adapter.type == "qlora",
        "lora_r": adapter.r,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "lora_target_modules": list(adapter.targets),
        "num_epochs": train.epochs,
        "micro_batch_size": train.micro_batch,
        "gradient_accumulation_steps": train.effective_batch // train.micro_batch,
        "learning_rate": train.learning_rate,
        "lr_scheduler": "constant_with_warmup" if train.schedule == "constant" else train.schedule,
        "warmup_ratio": train.warmup,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "optimizer": train.optimizer,
        "gradient_checkpointing": train.gradient_checkpointing,
        "attn_implementation": train.attention,
        "seed": recipe.seed % 2**31,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": train.save_every,
        "save_total_limit": 2,
        "save_only_model": False,
        "auto_resume_from_checkpoints": True,
        "output_dir": paths.output,
    }
    if train.group_by_length:
        out["curriculum_sampling"] = True  # rows are trained in the order of the file, which is ours
    if train.max_steps:
        out["max_steps"] = train.max_steps
    if adapter.type == "qlora":
        out["bnb_config_kwargs"] = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    if paths.validation and train.evaluate_every:
        out |= {"eval_strategy": "steps", "eval_steps": train.evaluate_every}
    out |= _gpu(recipe) if profile == "gpu" else _cpu(recipe)
    wandb = recipe.track.wandb
    if wandb:
        out |= {"use_wandb": True, "wandb_project": wandb.project, "wandb_mode": wandb.mode}
    return out


def _gpu(recipe: Recipe) -> dict[str, Any]:
    wanted = recipe.train.precision
    return {
        "bf16": "auto" if wanted == "auto" else wanted == "bf16",
        "fp16": wanted == "fp16",
        "tf32": True,
    }


def _cpu(recipe: Recipe) -> dict[str, Any]:
    """No CUDA kernels; attention that exists there; our own plug-ins (see their module), and no others ever."""
    bf16 = recipe.train.precision in ("bf16", "auto")
    out: dict[str, Any] = {
        "bf16": bf16,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa"
        if recipe.train.attention == "flash_attention_2"
        else recipe.train.attention,
        "lora_mlp_kernel": False,
        "lora_qkv_kernel": False,
        "lora_o_kernel": False,
        "optimizer": "adamw_torch" if "8bit" in recipe.train.optimizer else recipe.train.optimizer,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "plugins": list(CPU_PLUGINS),
    }
    return out
