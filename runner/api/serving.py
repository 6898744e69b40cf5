"""A run's model behind an OpenAI-compatible server on this machine, and conversations with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runner.api.common import Name, settings_of, told

if TYPE_CHECKING:
    from runner.serving.dialogue import Dialogue
    from runner.serving.engines import Engine
    from runner.serving.found import Served
    from runner.serving.server import Running
    from runner.serving.talk import Reply as Reply

Arm = Literal["both", "tuned", "base"]
Wanted = Literal["auto", "vllm", "transformers"]


@told
def served(run: str, workspace: Name = ".", engine: Wanted = "auto") -> tuple[Served, Engine]:
    """A run that can be served, and what would answer: vLLM where it is installed and can run, else Transformers.
    `Engine.why` says why. Raises UsageError for a run that trained nothing, and where no engine is installed."""
    from runner.hardware import profile
    from runner.serving.engines import choose
    from runner.serving.found import find

    found = find(run, Path(workspace))
    return found, choose(engine, profile() == "gpu", settings_of()["vllm_python"])


def serving(
    of: Served,
    engine: Engine,
    arm: Arm = "both",
    *,
    port: int = 0,
    max_length: int = 0,
    tell: Callable[[str], None] = lambda what: None,
) -> AbstractContextManager[Running]:
    """A server that answers for as long as the block lasts: `.url`, `.models` (tuned, base), `.ended`, `.log`.

    `port` 0 takes a free one of 127.0.0.1; `max_length` are tokens of prompt and answer together (0: the model's).
    Raises StepError where it does not come up.
    """
    from runner.serving.server import serving as running

    return running(of, engine, arms=arms_of(arm), port=port, limit=max_length, tell=tell)


def arms_of(arm: Arm) -> tuple[str, ...]:
    """The names of the arms that are meant."""
    from runner.serving.server import ARMS

    return ARMS if arm == "both" else (arm,)


def log_shown(running: Running) -> str:
    """Where a server's log is, in words."""
    from runner.serving.server import shown

    return shown(running.log)


def dialogue(
    running: Running,
    arm: Arm = "both",
    *,
    system: str | None = None,
    max_tokens: int = 512,
    temperature: float = 0.0,
) -> Dialogue:
    """A conversation with each arm that is served, each with its own history: `.ask`, `.answer`, `.keep`, `.save`."""
    from runner.serving.dialogue import Dialogue
    from runner.serving.talk import Talk

    arms = [a for a in arms_of(arm) if a in running.models]
    return Dialogue(Talk(running.url), arms, system=system, max_tokens=max_tokens, temperature=temperature)


def reply() -> Reply:
    """An answer that is still to come."""
    from runner.serving.talk import Reply

    return Reply()


def most_calls() -> int:
    """How often in a row an arm may call tools before the next question."""
    from runner.serving.dialogue import MOST_CALLS

    return MOST_CALLS


@told
def tools(name: str, of: Served) -> list[dict[str, Any]]:
    """The tools that `name` means: a source of the run or its tool set, else a JSON file. Raises UsageError."""
    from runner.serving.tools import tools as named

    return named(name, of)
