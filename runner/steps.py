"""The frozen types of a plan: steps, what a source fetches, and the version of each kind of step."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any, Literal

from runner import recipe as r
from runner.fetching import InputFile, Item
from runner.hardware import Profile
from runner.load import Loaded
from runner.workspace import Workspace

Stage = Literal["prepare", "train", "evaluate", "report"]
STAGES: tuple[Stage, ...] = ("prepare", "train", "evaluate", "report")
ARMS = ("base", "tuned")
"""The arms that every evaluation has; `arms` says which a recipe's has."""

# Raise a step's number when its code comes to mean something else: old artifacts are then made anew.
VERSIONS = {
    "model": 1, "source": 7, "filter": 2, "dedup": 3, "decontaminate": 4, "render": 4, "mix": 2,
    "split": 4, "askable": 1, "task": 1, "rows": 3, "preprocess": 2, "proof": 3, "train": 3, "contaminated": 2,
    "generate": 5, "judge": 3, "lm_eval": 5, "perplexity": 2, "report": 6,
    "result": 1, "verdict": 3,
}  # fmt: skip
RENDERING = ("transformers", "tokenizers", "jinja2")
TRAINING = ("axolotl", "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "datasets")
JUDGING = ("torch", "transformers", "peft", "tokenizers", "jinja2", "bitsandbytes")


@dataclass(frozen=True)
class Step:
    """One unit of work. `kind` says which function makes it; `needs` are the names of other steps."""

    name: str
    kind: str
    stage: Stage
    needs: tuple[str, ...]
    ingredients: dict[str, Any]
    fingerprint: str
    details: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Fetch:
    """What a source needs of the network. `items` is None until it is fetched; the plan is then made anew, since what
    was fetched decides the fingerprints of all that follows. `needs` is the step of the source that it reads, if any.
    """

    name: str
    source: r.Source
    request: dict[str, Any]
    files: dict[str, tuple[InputFile, ...]]
    needs: str | None
    items: tuple[Item, ...] | None


@dataclass(frozen=True)
class Plan:
    loaded: Loaded
    workspace: Workspace
    profile: Profile
    steps: tuple[Step, ...]
    template: str | None
    fetches: tuple[Fetch, ...] = ()
    weights: tuple[InputFile, ...] = ()
    """The files of a base model that is a folder; none of a hub's."""

    def step(self, name: str) -> Step:
        return next(s for s in self.steps if s.name == name)


def arms(evaluate: r.Evaluate) -> tuple[str, ...]:
    """All arms of a recipe in the order in which they are shown: the base, those named in the recipe, the tuned."""
    return ("base", *evaluate.arms, "tuned")


@cache
def version(distribution: str) -> str:
    """The installed version of a distribution, "absent" where it is not installed. Imports nothing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"
