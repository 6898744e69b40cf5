"""One thing of a run that may be asked for: what it is, and what made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.errors import UsageError
from runner.metrics import TUNED
from runner.provenance.chain import Follow
from runner.provenance.left import Left
from runner.wording import nearest


@dataclass(frozen=True)
class Thing:
    """`found` says what it is; `starts` are the steps that made it, by name and fingerprint."""

    kind: str
    found: dict[str, Any]
    starts: list[tuple[str, str]]
    follow: Follow = lambda one, name: True
    doubts: list[str] = field(default_factory=list)


def made(left: Left, step: str) -> list[tuple[str, str]]:
    """A step of the run by name and fingerprint; nothing where the run had none of that name."""
    return [(step, left.prints[step])] if step in left.prints else []


def arm_of(left: Left, arm: str, arms: Sequence[str]) -> str:
    """The arm that is asked for; where none is, the tuned model. Raises UsageError for one that is not among `arms`."""
    if arm and arm not in arms:
        raise UsageError(f"the run {left.name!r} has no arm {arm!r} there{nearest(arm, arms)}")
    return arm or (TUNED if TUNED in arms else arms[-1])
