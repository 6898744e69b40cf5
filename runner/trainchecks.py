"""What training settings must satisfy together, beyond what each may be alone: said at `recipe check`, where it stands.

What depends on the machine (`machine`) is asked again when a plan is made, for the profile that was found there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from runner import recipe as r
from runner import settings as user_settings
from runner.errors import Problem
from runner.hardware import Profile
from runner.recipe.overrides import BESIDE
from runner.yaml12 import Path, Yaml

Found = Iterator[Problem]

# bitsandbytes' and DeepSpeed's and PyTorch's ways of cutting tensors up do not go together in every pair.
_WHOLE = frozenset({"adamw_torch", "adamw_torch_fused", "sgd"})
OPTIMIZERS = {
    "zero2": _WHOLE | {"adamw_8bit"},
    "zero3": _WHOLE,
    "fsdp2": _WHOLE | {"adamw_torch_8bit"},
}
CPU_OPTIMIZERS = _WHOLE | {"adafactor"}
SHARED_WEIGHTS = ("zero3", "fsdp2")


def settings(doc: Yaml, parts: dict[str, Any]) -> Found:
    """All such problems of a recipe's parts; those that are None have shape errors and are left alone."""
    train: r.Train | None = parts["train"]
    adapter: r.Adapter | None = parts["adapter"]
    compute: r.Compute | None = parts["compute"]
    further: r.Overrides | None = parts["axolotl"]
    if train is not None:
        yield from _batches(doc, train, compute)
        yield from _schedule(doc, train)
        yield from _evaluation(doc, train, parts["split"])
    if adapter is not None:
        yield from _adapter(doc, adapter)
    if adapter is not None and train is not None:
        if adapter.type == "full" and train.precision == "fp16":
            what = "fp16 cannot scale the gradients of weights that are fp16 themselves; with full, use bf16 or fp32"
            yield doc.problem(("train", "precision"), what, at_value=True)
        if compute is not None:
            yield from _compute(doc, adapter, train, compute)
    if further is not None:
        yield from _further(doc, further, parts)


def tracking(doc: Yaml, track: r.Track | None, trusted: frozenset[str], trust: list[Problem]) -> None:
    """What sends data to a tracker joins `trust`, unless the command line or the user's settings allow it."""
    if track is None or track.wandb is None or track.wandb.mode != "online" or "trackers" in trusted:
        return
    if "wandb" not in user_settings.load().trackers:
        what = (
            "online sends metrics and the Axolotl config to Weights & Biases: allow it with --trust trackers (for all "
            "recipes: the setting trackers, wandb), or make the mode offline"
        )
        trust.append(doc.problem(("track", "wandb", "mode"), what, at_value=True))


def _batches(doc: Yaml, train: r.Train, compute: r.Compute | None) -> Found:
    gpus = compute.gpus if compute else 1
    whole: Path = ("train", "effective_batch")
    path = doc.own(whole, ("train", "micro_batch"), ("compute", "gpus"))
    batch = f"{train.effective_batch}" if path == whole else f"effective_batch, {train.effective_batch},"
    if train.effective_batch % train.micro_batch:
        yield doc.problem(path, f"{batch} is no multiple of micro_batch, {train.micro_batch}")
    elif train.effective_batch % (train.micro_batch * gpus):
        at_once = train.micro_batch * gpus
        what = (
            f"{batch} is no multiple of micro_batch times compute.gpus, {train.micro_batch} × {gpus}; "
            f"{-(-train.effective_batch // at_once) * at_once} is the next"
        )
        yield doc.problem(path, what)
    if train.packing and train.group_by_length:
        what = "packed sequences all have the same length; set one of packing and group_by_length to false"
        yield doc.problem(doc.own(("train", "group_by_length"), ("train", "packing")), what)
    if train.evaluation_packing and not train.packing:
        what = "the validation split is packed as the training is: set packing to true, or this to false"
        yield doc.problem(("train", "evaluation_packing"), what)


def _schedule(doc: Yaml, train: r.Train) -> Found:
    schedule = train.schedule
    wanted = {"decay_steps": "warmup_stable_decay", "cycles": "cosine_with_restarts"}
    for key, of in wanted.items():
        given = getattr(train, key) is not None
        if given and schedule != of:
            yield doc.problem(("train", key), f"goes with schedule: {of}, not {schedule}; leave it out")
        if not given and schedule == of:
            yield doc.problem(("train", "schedule"), f"{of} needs {key} beside it", at_value=True)
    if train.min_lr and schedule not in ("cosine", "warmup_stable_decay"):
        what = f"goes with schedule: cosine or warmup_stable_decay; {schedule} does not ask for it"
        yield doc.problem(("train", "min_lr"), what)
    warmup = (
        math.ceil(train.warmup * (train.max_steps or 0)) if train.warmup_steps is None else train.warmup_steps
    )
    steps = warmup + (train.decay_steps or 0)
    if train.max_steps and steps > train.max_steps:
        what = f"warm-up and decay take {steps} steps, more than max_steps, {train.max_steps}"
        key = "decay_steps" if train.warmup_steps is None else "warmup_steps"
        yield doc.problem(("train", key), what, at_value=True)


def _evaluation(doc: Yaml, train: r.Train, split: r.Split | None) -> Found:
    """The best checkpoint is one that was evaluated *and* saved: Transformers takes another without a word."""
    if not train.best:
        if train.evaluate_every is not None and split is not None and not split.validation:
            what = "there is no validation split to evaluate on; give split.validation a share, or leave this out"
            yield doc.problem(("train", "evaluate_every"), what)
        return
    key = "early_stopping" if train.early_stopping is not None else "keep_best"
    path: Path = ("train", key)
    if split is not None and not split.validation:
        yield doc.problem(path, "there is no validation split to go by; give split.validation a share")
    if train.evaluate_every is None:
        what = f"needs the validation loss; set evaluate_every to {train.save_every}, as save_every is"
        yield doc.problem(path, what)
    elif train.evaluate_every != train.save_every:
        what = (
            f"the best checkpoint must be one that is evaluated and saved; evaluate_every is {train.evaluate_every} "
            f"and save_every {train.save_every}: give both the same number"
        )
        yield doc.problem(path, what)
    elif train.max_steps and train.evaluate_every > train.max_steps:
        what = f"evaluate_every is {train.evaluate_every} and max_steps {train.max_steps}: nothing would be evaluated"
        yield doc.problem(path, what)


def _adapter(doc: Yaml, adapter: r.Adapter) -> Found:
    if adapter.type == "full":
        for key in ("dora", "rslora", "modules_to_save"):
            if getattr(adapter, key):
                what = "goes with an adapter (type qlora or lora); with full every weight is trained anyway"
                yield doc.problem(("adapter", key), what)
    if adapter.type != "qlora" and adapter.quant_type != "nf4":
        what = f"only qlora holds its base in 4 bits; type is {adapter.type}"
        yield doc.problem(("adapter", "quant_type"), what)
    if adapter.type != "qlora" and not adapter.double_quant:
        what = f"only qlora holds its base in 4 bits; type is {adapter.type}"
        yield doc.problem(("adapter", "double_quant"), what)


def _compute(doc: Yaml, adapter: r.Adapter, train: r.Train, compute: r.Compute) -> Found:
    """Pairs that fail on many GPUs, hours after they were asked for, and what works in their place."""
    if compute.profile == "cpu" and compute.gpus > 1:
        yield doc.problem(("compute", "gpus"), "there are none with profile: cpu; set one of the two")
    if compute.profile == "cpu":
        yield from machine(doc, train, "cpu")
    strategy = compute.strategy
    path: Path = ("compute", "strategy")
    if strategy == "ddp":
        return
    if compute.gpus == 1:
        yield doc.problem(
            path, f"{strategy} shares among GPUs; set compute.gpus to 2 or more, or strategy to ddp"
        )
    if train.optimizer not in OPTIMIZERS[strategy]:
        what = (
            f"{train.optimizer} does not work on tensors that {strategy} has cut up; "
            f"use {', '.join(sorted(OPTIMIZERS[strategy]))}"
        )
        yield doc.problem(("train", "optimizer"), what, at_value=True)
    if strategy == "zero3" and adapter.type == "qlora":
        what = "zero3 gathers weights that qlora holds in 4 bits; use fsdp2, or zero2 or ddp, or type: lora"
        yield doc.problem(path, what, at_value=True)
    if strategy in SHARED_WEIGHTS:
        for key in ("dora", "modules_to_save"):
            if getattr(adapter, key) and adapter.type != "full":
                what = f"needs whole weights, which {strategy} has cut up; use strategy zero2 or ddp"
                yield doc.problem(("adapter", key), what)


def machine(doc: Yaml, train: r.Train, profile: Profile) -> Found:
    """What cannot be trained on such a machine, and has no like there."""
    if profile == "cpu" and train.optimizer not in CPU_OPTIMIZERS and "adamw" not in train.optimizer:
        what = f"{train.optimizer} needs a GPU, and this is a CPU; use {', '.join(sorted(CPU_OPTIMIZERS))}"
        yield doc.problem(("train", "optimizer"), what, at_value=True)


def _further(doc: Yaml, further: r.Overrides, parts: dict[str, Any]) -> Found:
    """Keys that would do nothing, or that Axolotl refuses beside others."""
    given = further.given
    for key, other in BESIDE.items():
        if key in given and not given.get(other):
            yield doc.problem(
                ("axolotl", key), f"does nothing without {other}; set it too, or leave this out"
            )
    train, adapter, compute = parts["train"], parts["adapter"], parts["compute"]
    if train is not None:
        for key in ("activation_offloading", "selective_checkpointing", "gradient_checkpointing_kwargs"):
            if given.get(key) and not train.gradient_checkpointing:
                yield doc.problem(("axolotl", key), "needs train.gradient_checkpointing: true")
        if "cosine_constant_lr_ratio" in given and not (train.schedule == "cosine" and train.min_lr):
            what = "needs train.schedule: cosine and a train.min_lr above 0"
            yield doc.problem(("axolotl", "cosine_constant_lr_ratio"), what)
        for key in ("adam_beta1", "adam_beta2", "adam_epsilon"):
            if key in given and "adamw" not in train.optimizer:
                yield doc.problem(("axolotl", key), f"is AdamW's; train.optimizer is {train.optimizer}")
        if given.get("sdpa_varlen") and not (train.attention == "sdpa" and train.packing):
            yield doc.problem(
                ("axolotl", "sdpa_varlen"), "needs train.attention: sdpa and train.packing: true"
            )
    offloading = given.get("activation_offloading")
    if given.get("selective_checkpointing"):
        if offloading and offloading != "hidden_states":
            what = "goes with activation_offloading: hidden_states only"
            yield doc.problem(("axolotl", "selective_checkpointing"), what)
        if (given.get("gradient_checkpointing_kwargs") or {}).get("use_reentrant"):
            what = "needs gradient_checkpointing_kwargs: {use_reentrant: false}"
            yield doc.problem(("axolotl", "selective_checkpointing"), what)
    if "embedding_lr" in given and "embedding_lr_scale" in given:
        yield doc.problem(("axolotl", "embedding_lr_scale"), "say it once: embedding_lr is given too")
    if adapter is not None and adapter.type == "full":
        for key in given:
            if key.startswith(("lora", "peft_")):
                yield doc.problem(("axolotl", key), "goes with an adapter (adapter.type qlora or lora)")
    if compute is not None and compute.gpus == 1:
        for key in given:
            if key.startswith("ddp_"):
                yield doc.problem(("axolotl", key), "needs compute.gpus of 2 or more")
