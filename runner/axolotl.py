"""Recipe → Axolotl config. Pure: paths come in as they shall stand in the file.

Every key here is known to Axolotl's own model (tests ask it), because Axolotl drops unknown keys in
silence. What it does without saying so, and why each key is set, stands in docs/axolotl.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner import sharing
from runner.hardware import Profile
from runner.recipe import Adapter, Recipe, Train
from runner.recipe.overrides import GPU_ONLY
from runner.trainchecks import CPU_OPTIMIZERS

# Keys that only tell others how the training goes.
TRACKING = (
    "use_wandb", "wandb_project", "wandb_mode", "wandb_name", "wandb_entity", "use_tensorboard",
    "use_trackio", "trackio_project_name", "trackio_run_name",
)  # fmt: skip
CPU_PLUGINS = ["runner.jobs.axolotl_cpu.CpuPlugin", "runner.jobs.axolotl_cpu.LabelledLogitsPlugin"]
SEEDING = "runner.jobs.axolotl_seeding.SeedingPlugin"
STOPPING = "runner.jobs.axolotl_stopping.StoppingPlugin"
TRACKIO = "runner.jobs.axolotl_trackio.TrackioPlugin"


@dataclass(frozen=True)
class Paths:
    """Where Axolotl reads and writes, relative to the workspace."""

    model: str
    train: str
    validation: str | None
    prepared: str
    output: str


def _dataset(path: str, roles: Sequence[str]) -> dict[str, Any]:
    return {
        "path": path,
        "ds_type": "json",
        "split": "train",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": list(roles),
        "train_on_eos": "turn",
        "message_field_training": "train",
    }


def config(
    recipe: Recipe, profile: Profile, paths: Paths, template: str | None, *, bf16: bool
) -> dict[str, Any]:
    """The Axolotl config of a recipe that has a model. `template` is Jinja text; None: the tokenizer's own.
    `bf16`: whether `precision: auto` means that on this CPU (`hardware.bf16`)."""
    model, adapter, train = recipe.model, recipe.adapter, recipe.train
    if model is None:
        raise ValueError("a recipe without a model compiles to no Axolotl config")
    out: dict[str, Any] = {"base_model": paths.model, "trust_remote_code": False}
    # Else Transformers takes a pickle where a model has nothing else.
    out["overrides_of_model_kwargs"] = {"use_safetensors": True}
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
        "datasets": [_dataset(paths.train, train.roles)],
        "dataset_prepared_path": paths.prepared,
        "dataset_num_proc": 1,
        "shuffle_merged_datasets": False,
        "shuffle_before_merging_datasets": False,
    }
    if paths.validation:
        out["test_datasets"] = [_dataset(paths.validation, train.roles)]
    else:
        out["val_set_size"] = 0.0
    out |= {
        "sequence_len": model.max_length,
        "excess_length_strategy": "raise",
        "sample_packing": train.packing,
        "eval_sample_packing": train.evaluation_packing,
        "pad_to_sequence_len": train.packing,
        # Else, with packing, the last batch of the validation split is left out of its loss.
        "dataloader_drop_last": False,
        "num_epochs": train.epochs,
        "micro_batch_size": train.micro_batch,
        "gradient_accumulation_steps": sharing.accumulation(recipe, profile),
        "learning_rate": train.learning_rate,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "optimizer": train.optimizer,
        "gradient_checkpointing": train.gradient_checkpointing,
        "attn_implementation": train.attention,
        "seed": recipe.seed % 2**31,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": train.save_every,
        "save_total_limit": train.keep_checkpoints,
        "save_only_model": False,
        "auto_resume_from_checkpoints": True,
        "output_dir": paths.output,
    }
    if train.group_by_length:
        out["curriculum_sampling"] = True  # rows are trained in the order of the file, which is ours
    if train.max_steps:
        out["max_steps"] = train.max_steps
    if train.neftune_alpha:
        out["neftune_noise_alpha"] = train.neftune_alpha
    out |= _adapter(adapter) | _schedule(train)
    if paths.validation:
        out |= _evaluation(train)
    out |= _gpu(recipe) if profile == "gpu" else _cpu(recipe, bf16)
    if plugins := [*(CPU_PLUGINS if profile == "cpu" else ()), *_plugins(recipe)]:
        out["plugins"] = plugins
    out |= {k: v for k, v in recipe.axolotl.given.items() if profile == "gpu" or k not in GPU_ONLY}
    return out | _tracking(recipe)


def alone(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what many GPUs and trackers need: what is left decides the rows that are prepared."""
    return {k: v for k, v in untold(config).items() if k not in sharing.KEYS}


def untold(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what tells others how the training goes, and where its processes are: neither decides any of
    it."""
    out = {k: v for k, v in config.items() if k not in (*TRACKING, *sharing.PLACE)}
    if "plugins" in out:
        out["plugins"] = [name for name in out["plugins"] if name != TRACKIO]
    return out


def _adapter(adapter: Adapter) -> dict[str, Any]:
    """Without `adapter`, Axolotl trains every weight."""
    if adapter.type == "full":
        return {"load_in_4bit": False}
    out: dict[str, Any] = {
        "adapter": adapter.type,
        "load_in_4bit": adapter.type == "qlora",
        "lora_r": adapter.r,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "lora_target_modules": list(adapter.targets),
    }
    if adapter.dora:
        out["peft_use_dora"] = True
    if adapter.rslora:
        out["peft_use_rslora"] = True
    if adapter.modules_to_save:
        out["lora_modules_to_save"] = list(adapter.modules_to_save)
    if adapter.type == "qlora":
        out["bnb_config_kwargs"] = {
            "bnb_4bit_quant_type": adapter.quant_type,
            "bnb_4bit_use_double_quant": adapter.double_quant,
        }
    return out


def _schedule(train: Train) -> dict[str, Any]:
    """`constant` without a warm-up is the same as Transformers' own of that name."""
    name = "constant_with_warmup" if train.schedule == "constant" else train.schedule
    out: dict[str, Any] = {"lr_scheduler": name}
    out |= (
        {"warmup_ratio": train.warmup} if train.warmup_steps is None else {"warmup_steps": train.warmup_steps}
    )
    if train.schedule == "cosine" and train.min_lr:
        out["cosine_min_lr_ratio"] = train.min_lr
    if train.schedule == "warmup_stable_decay":
        more = {"min_lr_ratio": train.min_lr} if train.min_lr else {}
        out["lr_scheduler_kwargs"] = {"num_decay_steps": train.decay_steps} | more
    if train.schedule == "cosine_with_restarts":
        out["lr_scheduler_kwargs"] = {"num_cycles": train.cycles}
    return out


def _evaluation(train: Train) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if train.evaluate_every:
        out |= {"eval_strategy": "steps", "eval_steps": train.evaluate_every}
    if train.best:
        out |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}
    if train.early_stopping:
        out["early_stopping_patience"] = train.early_stopping
    return out


def _plugins(recipe: Recipe) -> list[str]:
    """Our own Axolotl plug-ins that the training needs, whatever it runs on; see their module."""
    train = recipe.train
    wanted = {SEEDING: True, STOPPING: train.early_stopping, TRACKIO: recipe.track.trackio}
    return [name for name, asked in wanted.items() if asked]


def _tracking(recipe: Recipe) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if wandb := recipe.track.wandb:
        out |= {"use_wandb": True, "wandb_project": wandb.project, "wandb_mode": wandb.mode}
        out |= {"wandb_name": recipe.name} | ({"wandb_entity": wandb.entity} if wandb.entity else {})
    if recipe.track.tensorboard:
        out["use_tensorboard"] = True
    if trackio := recipe.track.trackio:
        out |= {"use_trackio": True, "trackio_project_name": trackio.project, "trackio_run_name": recipe.name}
    return out


def _gpu(recipe: Recipe) -> dict[str, Any]:
    wanted = recipe.train.precision
    shared = sharing.keys(recipe) if recipe.compute.gpus > 1 else {}
    if recipe.compute.engine == "ray":
        shared |= sharing.placed(recipe)
    return shared | {
        "bf16": "auto" if wanted == "auto" else wanted == "bf16",
        "fp16": wanted == "fp16",
        "tf32": True,
    }


def _cpu(recipe: Recipe, bf16: bool) -> dict[str, Any]:
    """No CUDA kernels; attention that exists there; our own plug-ins (see their module), and no others ever."""
    wanted = recipe.train.precision
    out: dict[str, Any] = {
        "bf16": bf16 if wanted == "auto" else wanted == "bf16",
        "fp16": False,
        "tf32": False,
        "attn_implementation": "eager" if recipe.train.attention == "eager" else "sdpa",
        "optimizer": recipe.train.optimizer if recipe.train.optimizer in CPU_OPTIMIZERS else "adamw_torch",
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
    }
    if recipe.adapter.type != "full":
        out |= {"lora_mlp_kernel": False, "lora_qkv_kernel": False, "lora_o_kernel": False}
    return out
