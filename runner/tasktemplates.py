"""Templates of lm-eval tasks: rendered in Jinja's sandbox, paid for as chat templates are, compiled once.

lm-eval compiles a template anew for each document; here each is compiled once, which is more than paying costs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runner import linear
from runner.errors import StepError
from runner.shown import cut
from runner.templates import Capped, TooMuch, compiled, review
from runner.templates.metering import environment
from runner.templates.review import Fault

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

KEYS = ("description", "doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix")
SHOWN = 200  # characters of a document that an error shows


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
    """What stands where lm-eval keeps its environment; it asks it for nothing else. What is too much is told of the
    tasks that a template belongs to, as far as `belong` was told."""

    def __init__(self) -> None:
        self._of: dict[str, list[str]] = {}

    def belong(self, task: str, config: Mapping[str, Any]) -> None:
        """The templates of a task."""
        for key, text in written(config):
            self._of.setdefault(text, []).append(f"{key} of the task {task}")

    def from_string(self, text: str) -> Template:
        whose = self._of.get(text) or ["of a task"]
        return Template(text, whose[0] if len(whose) == 1 else f"{whose[0]} (and {whose[1]})")


class Template:
    """A template of a task; `whose` says in words which."""

    def __init__(self, text: str, whose: str) -> None:
        self.text, self.whose = text, whose

    def render(self, **document: Any) -> str:
        """Raises StepError where it would take without end, TemplateError for what else goes wrong in it."""
        try:
            return from_string(self.text).render(**document)
        except TooMuch as e:
            shown = json.dumps(document, ensure_ascii=False, default=str)
            what = f"the template {self.whose} {e}, with the document {cut(shown, SHOWN)}"
            raise StepError("lm_eval", f"{what}; correct the task") from None


def written(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, text) of all that is rendered of a task."""
    for key in KEYS:
        said = config.get(key)
        for one in said if isinstance(said, list) else [said]:
            if isinstance(one, str):
                yield key, one
