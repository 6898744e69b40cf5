"""A run that will not fit: which setting would make it fit. Each is tried on the forecast itself before it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from runner.forecast.memory import GIB
from runner.recipe import Recipe

FULL = 0.97
"""Share of a device's memory that a run may take."""
SHORTEST = 512


@dataclass(frozen=True)
class Change:
    """One setting of the recipe, `PART.KEY`, as it is and as it should be."""

    setting: str
    before: object
    after: Any

    def apply(self, recipe: Recipe) -> Recipe:
        part, _, key = self.setting.partition(".")
        changed = replace(getattr(recipe, part), **{key: self.after})
        return replace(recipe, **{part: changed})


@dataclass(frozen=True)
class Remedy:
    """Changes that make a run fit, and the memory in bytes that it then takes."""

    changes: tuple[Change, ...]
    bytes: int


def room(gib: float) -> int:
    """Bytes of a device that a run may take."""
    return int(gib * FULL * GIB)


def _checkpointing(r: Recipe) -> Iterator[Change]:
    if not r.train.gradient_checkpointing:
        yield Change("train.gradient_checkpointing", False, True)


def _attention(r: Recipe) -> Iterator[Change]:
    if r.train.attention == "eager":
        yield Change("train.attention", "eager", "sdpa")


def _micro(r: Recipe) -> Iterator[Change]:
    """Smaller passes, the largest first; a step stays what it is, so the result does too."""
    now, step = r.train.micro_batch, r.train.effective_batch // r.compute.gpus
    for smaller in range(now - 1, 0, -1):
        if step % smaller == 0:
            yield Change("train.micro_batch", now, smaller)


def _optimizer(r: Recipe) -> Iterator[Change]:
    if r.train.optimizer in ("adamw_torch", "adamw_torch_fused", "paged_adamw_32bit"):
        yield Change("train.optimizer", r.train.optimizer, "adamw_8bit")


def _adapter(r: Recipe) -> Iterator[Change]:
    for kind in {"full": ("lora", "qlora"), "lora": ("qlora",)}.get(r.adapter.type, ()):
        yield Change("adapter.type", r.adapter.type, kind)


def _length(r: Recipe) -> Iterator[Change]:
    assert r.model is not None
    shorter = r.model.max_length
    while shorter // 2 >= SHORTEST:
        shorter //= 2
        yield Change("model.max_length", r.model.max_length, shorter)


Way = Callable[[Recipe], Iterator[Change]]
Needs = Callable[[Recipe], int]
# The mild ones change neither what is learnt nor from what.
_MILD: tuple[Way, ...] = (_checkpointing, _attention, _micro, _optimizer)
_HARD: tuple[Way, ...] = (_adapter, _length)


def remedy(recipe: Recipe, needs: Needs, limit: int, *, cpu: bool = False) -> Remedy | None:
    """What makes `needs` bytes of a recipe no more than `limit`: one mild setting, else several, else a hard one, else
    all together; None where nothing does. On a CPU, settings that only a GPU heeds are left out."""
    changes: list[Change] = []
    for ways in (tuple(w for w in _MILD if not (cpu and w is _optimizer)), _HARD):
        for way in ways:
            for change in way(recipe):
                if (size := needs(change.apply(recipe))) <= limit:
                    return Remedy((change,), size)
        for way in ways:
            changes += _strongest(way, _applied(recipe, changes), needs, limit)
            if needs(_applied(recipe, changes)) <= limit:
                return _fewest(recipe, changes, needs, limit)
    return None


def _applied(recipe: Recipe, changes: Sequence[Change]) -> Recipe:
    for change in changes:
        recipe = change.apply(recipe)
    return recipe


def _strongest(way: Way, recipe: Recipe, needs: Needs, limit: int) -> list[Change]:
    """Of one way the mildest change that is enough, else the strongest, if it helps at all."""
    found, least = list[Change](), needs(recipe)
    for change in way(recipe):
        if (size := needs(change.apply(recipe))) < least:
            found, least = [change], size
        if size <= limit:
            break
    return found


def _fewest(recipe: Recipe, changes: list[Change], needs: Needs, limit: int) -> Remedy:
    """The changes without those that are not needed after all."""
    for change in list(changes):
        fewer = [c for c in changes if c is not change]
        if needs(_applied(recipe, fewer)) <= limit:
            changes = fewer
    return Remedy(tuple(changes), needs(_applied(recipe, changes)))
