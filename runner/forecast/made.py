"""One recipe on one kind of hardware: its Axolotl config, what it reads, trains and needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner import axolotl, hardware, hubcache
from runner.forecast import memory, parameters, schedule, shapes
from runner.forecast.lengths import Lengths
from runner.hardware import Profile
from runner.recipe import Recipe
from runner.steps import Plan
from runner.store import Store


@dataclass(frozen=True)
class Made:
    """`epoch` and `steps` are None until prepare has counted; `shape` and `what` for a model that is not known."""

    recipe: Recipe
    profile: Profile
    config: dict[str, Any]
    shape: shapes.Shape | None
    what: parameters.Trained | None
    lengths: Lengths | None
    epoch: schedule.Passes | None
    steps: schedule.Steps | None
    memory: memory.Memory | None


def shape_of(plan: Plan) -> shapes.Shape | None:
    """The base model's shape: from its folder or the hub's cache where it is there, else from the committed table."""
    model = plan.loaded.recipe.model
    if model is None:
        return None
    for step in plan.steps:
        made = (
            Store(plan.workspace.root).get(step.fingerprint, verify=False) if step.kind == "model" else None
        )
        if made is not None:
            return shapes.read(made.file("model"))
    folder = None if model.base.startswith("embedded/") else plan.workspace.find(model.base)
    if folder is not None and folder.is_dir():
        return shapes.read(folder)
    return shapes.known(model.base) or _cached(model.base, model.revision)


def _cached(base: str, revision: str | None) -> shapes.Shape | None:
    """From the hub's cache of this user, where the model was fetched before."""
    commit = hubcache.commit(base, revision)
    return shapes.read(hubcache.folder(base) / "snapshots" / commit) if commit else None


def make(
    recipe: Recipe,
    profile: Profile,
    template: str | None,
    shape: shapes.Shape | None,
    lengths: Lengths | None,
    *,
    counting: bool = True,
) -> Made:
    """Compile a recipe, which has a model, and work out all that does not hang on a single machine. `counting`: passes
    and steps too, which takes its time where there are many rows to pack."""
    paths = axolotl.Paths("MODEL", "TRAIN", "VALIDATION", "PREPARED", "OUTPUT")
    config = axolotl.config(recipe, profile, paths, template, bf16=hardware.bf16(profile))
    what = parameters.trained(shape, config) if shape else None
    gpus = recipe.compute.gpus if profile == "gpu" else 1
    epoch = steps = need = None
    if counting and lengths is not None and lengths.train:
        epoch = schedule.passes(lengths.train, config, recipe.seed)
        steps = schedule.steps(epoch, config, gpus)
    if shape is not None and what is not None:
        tokens, length = _pass(config, lengths)
        labelled = lengths.labelled if lengths and lengths.labelled is not None else 1.0
        setting = memory.Setting(profile == "cpu", gpus, recipe.compute.strategy, labelled)
        need = memory.peak(shape, what, config, tokens, length, setting)
    return Made(recipe, profile, config, shape, what, lengths, epoch, steps, need)


def _pass(config: dict[str, Any], lengths: Lengths | None) -> tuple[int, int]:
    """Tokens in the largest pass that can come, and the length of its sequences: in one order or another, the longest
    records may meet."""
    longest = int(config["sequence_len"])
    if lengths is not None and not config.get("pad_to_sequence_len"):
        longest = min(longest, max(lengths.train, default=longest))
    return int(config["micro_batch_size"]) * longest, longest
