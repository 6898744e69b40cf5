"""Templates of lm-eval tasks: rendered in Jinja's sandbox, paid for as chat templates are, compiled once.

lm-eval compiles a template anew for each document; here each is compiled once, which is more than paying costs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runner import linear
from runner.templates import Capped, compiled, review
from runner.templates.metering import environment
from runner.templates.review import Fault

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment


def sandboxed() -> SandboxedEnvironment:
    """lm-eval's own environment, in the sandbox, with its filter `regex_replace` in linear time."""
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    env = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True
    )
    env.filters["regex_replace"] = regex_replace
    return env


def regex_replace(text: object, pattern: str, new: str, count: int = 0) -> str:
    """lm-eval's filter of that name for templates, in linear time."""
    return linear.replaced(pattern, new, str(text), count)


@lru_cache(maxsize=1)
def _metered() -> SandboxedEnvironment:
    return environment(sandboxed())


@lru_cache(maxsize=256)
def from_string(text: str) -> Capped:
    """A template of a task. What it renders raises TooMuch where it would take without end."""
    return compiled(_metered, text)


def faults(text: str) -> list[Fault]:
    """What can be told of a task's template before it is rendered."""
    return review.faults(text, sandboxed)


class Environment:
    """What stands where lm-eval keeps its environment; it asks it for nothing else."""

    def from_string(self, text: str, *given: Any) -> Capped:
        return from_string(text)
