"""Where a key belongs that stands where it has no place: one level up, one down, or in another part of the schema.

And what other tools call the things that a recipe has: who comes from them writes their words first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

ELSEWHERE = {
    "rank": "adapter.r", "lora_rank": "adapter.r", "lora_r": "adapter.r", "lora_alpha": "adapter.alpha",
    "lora_dropout": "adapter.dropout", "target_modules": "adapter.targets", "lora_target_modules": "adapter.targets",
    "use_dora": "adapter.dora", "use_rslora": "adapter.rslora", "lora": "adapter", "qlora": "adapter",
    "peft": "adapter", "lr": "train.learning_rate", "num_epochs": "train.epochs", "num_train_epochs": "train.epochs",
    "batch_size": "train.effective_batch", "micro_batch_size": "train.micro_batch",
    "per_device_train_batch_size": "train.micro_batch", "gradient_accumulation_steps": "train.effective_batch",
    "lr_scheduler": "train.schedule", "lr_scheduler_type": "train.schedule", "scheduler": "train.schedule",
    "warmup_ratio": "train.warmup", "sample_packing": "train.packing", "attn_implementation": "train.attention",
    "flash_attention": "train.attention", "bf16": "train.precision", "fp16": "train.precision",
    "optim": "train.optimizer", "training": "train", "base_model": "model.base", "model_name": "model.base",
    "model_name_or_path": "model.base", "sequence_len": "model.max_length", "max_seq_length": "model.max_length",
    "max_seq_len": "model.max_length", "chat_template": "model.template", "datasets": "sources", "dataset": "sources",
    "data": "sources", "val_set_size": "split.validation", "eval": "evaluate", "evaluation": "evaluate",
    "thresholds": "evaluate.gates", "wandb": "track.wandb", "deduplicate": "dedup", "deduplication": "dedup",
    "ratios": "mix.weights", "proportions": "mix.weights", "gpus": "compute.gpus", "deepspeed": "compute.strategy",
    "fsdp": "compute.strategy", "include": "extends", "base": "extends",
}  # fmt: skip
"""A word of Axolotl, PEFT or Transformers, or one that is at hand → the recipe's key."""


def resolved(schema: Any, root: Any) -> dict[str, Any]:
    """A schema behind its references, and the branch that is not null."""
    for _ in range(10):
        if not isinstance(schema, dict):
            return {}
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            some = [s for s in schema["anyOf"] if s.get("type") != "null"]
            schema = next((s for s in some if "$ref" in s or "properties" in s), some[0] if some else {})
        else:
            return schema
    return {}


def _chain(path: Path, root: Any) -> list[dict[str, Any]]:
    """The schema of the whole, and of each step down the path."""
    out = [resolved(root, root)]
    for key in path:
        here = out[-1]
        below = here.get("items", {}) if isinstance(key, int) else here.get("properties", {}).get(key, {})
        out.append(resolved(below, root))
    return out


def keys_at(path: Path, root: Any) -> dict[str, Any]:
    """The keys that the map at a path may have, and the schema of each."""
    keys: dict[str, Any] = _chain(path, root)[-1].get("properties", {})
    return keys


def place_of(key: str, path: Path, data: Any, root: Any) -> Path | None:
    """Where a key belongs that the map at `path` of `data` does not have; None where that is not sure."""
    chain = _chain(path, root)
    if key in chain[-1].get("properties", {}):
        return None
    here = data
    for step in path:
        here = here[step]
    below = {c: resolved(s, root).get("properties", {}) for c, s in chain[-1].get("properties", {}).items()}
    for child, properties in below.items():
        if child in here and key in properties:
            return (*path, child, key)
    if "minProperties" in chain[-1]:  # an item that names a plug-in: the one that has such an option
        having = [c for c, properties in below.items() if key in properties]
        return (*path, having[0], key) if len(having) == 1 else None
    for up in range(len(path) - 1, 0, -1):
        own = chain[up].get("properties", {})
        if key in own and "properties" not in own[key]:  # with properties of its own it is another plug-in
            return (*path[:up], key)
    found = [where for where in _places(root) if where[-1] == key]
    if len(found) == 1 and found[0] != (*path, key):
        return found[0]
    if key in ELSEWHERE and "recipe" in root.get("properties", {}):
        return tuple(ELSEWHERE[key].split("."))
    return None


def _places(root: Any) -> Iterator[Path]:
    """Where each key of the schema's first two levels stands."""
    for key, schema in root.get("properties", {}).items():
        yield (key,)
        for inner in resolved(schema, root).get("properties", {}):
            yield (key, inner)
