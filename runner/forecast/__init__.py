"""What a recipe will take, before it is run: rows, tokens, steps, parameters, memory, disk, hours and cost.

Pure arithmetic on the recipe, on what prepare has counted and on the base model's shape; docs/forecast.md has the
formulas and how far off they were. The one thing that is measured is this machine's CPU (`cpu`), once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runner import recipe as r
from runner.forecast import cpu, fitting, lengths, machines, made, timing
from runner.forecast.cpu import Tell
from runner.forecast.disk import disk
from runner.forecast.machines import GPUS, NAMES, Machine
from runner.hardware import Profile
from runner.recipe import Recipe
from runner.steps import Plan

__all__ = ["GPUS", "NAMES", "Forecast", "On", "forecast"]


@dataclass(frozen=True)
class On:
    """A recipe on one machine. `memory` and `limit` are bytes a device; `remedy` says what would make it fit."""

    name: str
    about: str
    memory: int | None
    limit: int | None
    duration: timing.Duration | None
    cost: float | None
    remedy: fitting.Remedy | None

    @property
    def fits(self) -> bool | None:
        return None if self.memory is None or self.limit is None else self.memory <= self.limit


@dataclass(frozen=True)
class Forecast:
    base: str
    made: made.Made
    disk: dict[str, int]
    on: tuple[On, ...]
    said: tuple[str, ...] = field(default=())

    def data(self) -> dict[str, Any]:
        """As data, with stable names: bytes, seconds, US dollars. What is not known is null."""
        from runner.forecast.asdata import data

        return data(self)


def forecast(plan: Plan, gpu: str | None = None, tell: Tell = lambda _: None) -> Forecast | None:
    """The forecast of a plan; None for a recipe without a model. `gpu`: one of NAMES, to judge that machine alone.

    For a recipe that trains on this machine's CPU, and is counted, that CPU is measured, where it has not been yet:
    `tell` is then told so, since it takes some seconds.
    """
    recipe = plan.loaded.recipe
    if recipe.model is None:
        return None
    profile: Profile = "gpu" if gpu else plan.profile
    shape, counted = made.shape_of(plan), lengths.counted(plan)
    whole = made.make(recipe, profile, plan.template, shape, counted)
    tokens = sum(counted.train) + sum(counted.validation) if counted else None
    steps = whole.steps.steps if whole.steps else None
    seen = (
        [machines.gpu(gpu)] if gpu else [m for m in [machines.seen()] if m and profile == "gpu"] or list(GPUS)
    )

    def needs(changed: Recipe) -> int:
        again = made.make(changed, profile, plan.template, shape, counted, counting=False)
        return again.memory.total if again.memory else 0

    on = [_on_cpu(whole, needs, tell)] if profile == "cpu" else [_on_gpu(whole, m, needs) for m in seen]
    return Forecast(
        recipe.model.base,
        whole,
        disk(shape, whole.what, whole.config, tokens, steps),
        tuple(on),
        _said(whole),
    )


def _said(whole: made.Made) -> tuple[str, ...]:
    out = []
    if whole.lengths is None:
        out.append("rows and tokens are not counted yet: recipe run --to prepare")
    if whole.shape is None:
        out.append("the shape of this base model is not known: no parameters, memory or hours")
    if whole.what and whole.what.unknown:
        out.append(f"the model has no module named {', '.join(whole.what.unknown)}")
    if whole.steps is not None:
        out += _scheduled(whole.recipe.train, whole.steps.steps)
    return tuple(out)


def _scheduled(train: r.Train, steps: int) -> Iterator[str]:
    """What a schedule asks of more steps than there are."""
    warmup = math.ceil(train.warmup * steps) if train.warmup_steps is None else train.warmup_steps
    asked = warmup + (train.decay_steps or 0)
    if asked > steps:
        yield f"warm-up and decay take {asked} steps, more than the training has, {steps}: it will be refused"
    if train.evaluate_every is not None and train.evaluate_every > steps:
        yield f"evaluate_every is {train.evaluate_every}: in {steps} steps it is never evaluated on the way"


def _evaluated(whole: made.Made) -> int:
    """Tokens of the validation split that are read while it trains."""
    every = whole.config.get("eval_steps")
    if not every or whole.steps is None or whole.lengths is None:
        return 0
    return int(whole.steps.steps // every) * sum(whole.lengths.validation)


def _on_gpu(whole: made.Made, machine: Machine, needs: fitting.Needs) -> On:
    limit, gpus = fitting.room(machine.memory), whole.recipe.compute.gpus
    duration = cost = remedy = None
    if whole.shape and whole.what and whole.epoch and whole.steps:
        duration = timing.on_gpu(
            whole.shape,
            whole.what,
            whole.config,
            whole.epoch,
            whole.steps,
            machine,
            gpus=gpus,
            validation=_evaluated(whole),
        )
        cost = duration.total / 3600 * machine.price * gpus
    memory = whole.memory.total if whole.memory else None
    if memory is not None and memory > limit:
        remedy = fitting.remedy(whole.recipe, needs, limit)
    return On(machine.name, machine.about, memory, limit, duration, cost, remedy)


def _on_cpu(whole: made.Made, needs: fitting.Needs, tell: Tell) -> On:
    duration = remedy = None
    if whole.shape and whole.what and whole.epoch and whole.steps:
        found = cpu.measured(whole.shape, whole.what, whole.config, tell)
        if found is not None:
            labelled = whole.lengths.labelled if whole.lengths and whole.lengths.labelled is not None else 0.5
            duration = timing.on_cpu(
                whole.shape,
                whole.config,
                whole.epoch,
                whole.steps,
                found,
                labelled=labelled,
                validation=_evaluated(whole),
            )
    memory, there = whole.memory.total if whole.memory else None, cpu.memory()
    limit = None if there is None else int(there * fitting.FULL)
    if memory is not None and limit is not None and memory > limit:
        remedy = fitting.remedy(whole.recipe, needs, limit, cpu=True)
    return On("cpu", "this machine", memory, limit, duration, None, remedy)
