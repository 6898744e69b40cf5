"""A run's model behind an OpenAI-compatible server on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runner.api.common import Name, settings_of, told

if TYPE_CHECKING:
    from runner.serving.engines import Engine as Engine
    from runner.serving.found import Served as Served
    from runner.serving.server import Running as Running

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
