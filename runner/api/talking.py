"""Conversations with a run's model that is served, base beside tuned."""

from __future__ import annotations

from typing import Any

from runner.api.common import told
from runner.api.serving import Arm, arms_of
from runner.serving.dialogue import MOST_CALLS, Dialogue
from runner.serving.found import Served
from runner.serving.server import Running
from runner.serving.talk import Reply, Talk
from runner.serving.tools import tools as named

__all__ = ["MOST_CALLS", "Dialogue", "Reply", "Running", "Served", "dialogue", "tools"]


def dialogue(
    running: Running,
    arm: Arm = "both",
    *,
    system: str | None = None,
    max_tokens: int = 512,
    temperature: float = 0.0,
) -> Dialogue:
    """A conversation with each arm that is served, each with its own history: `.ask`, `.answer`, `.keep`, `.save`."""
    arms = [a for a in arms_of(arm) if a in running.models]
    return Dialogue(Talk(running.url), arms, system=system, max_tokens=max_tokens, temperature=temperature)


@told
def tools(name: str, of: Served) -> list[dict[str, Any]]:
    """The tools that `name` means: a source of the run or its tool set, else a JSON file. Raises UsageError."""
    return named(name, of)
