"""The frozen types of a suite: what is judged, on which probes, by which judge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from runner.recipe import Count, Name, Part, Use

TaskName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=128, description="Name of a task.")
]


class LmEval(Part, frozen=True, kw_only=True):
    """Tasks of lm-eval."""

    tasks: Annotated[
        list[TaskName],
        Meta(
            min_length=1,
            description="Names of evals/tasks/*.yaml, or of tasks that lm-eval brings along, whose data a hub has.",
            examples=[["everyday_facts"], ["hellaswag", "arc_easy"]],
        ),
    ]
    revisions: Annotated[
        dict[TaskName, Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=100)]],
        Meta(
            description="Task of lm-eval's → commit of its data set: pinned. Else what is there is taken, and kept.",
            examples=[{"hellaswag": "218ec52e09a7e7462a5400043bb9a69a41d06b76"}],
        ),
    ] = field(default_factory=dict)
    limit: Annotated[Count | None, Meta(description="Only the first so many documents.")] = None
    fewshot: Annotated[int, Meta(ge=0, le=64, description="Solved examples before each.")] = 0
    multiturn: Annotated[bool, Meta(description="Each solved example is a turn of its own.")] = True


class Perplexity(Part, frozen=True, kw_only=True):
    """Mean loss of both arms on passages of held-out plain texts, by groups that you name."""

    texts: Annotated[
        dict[Name, Annotated[list[str], Meta(min_length=1)]],
        Meta(
            min_length=1,
            description="Group → globs of text files in the workspace.",
            examples=[{"same_author": ["held-out/twain/*.txt"]}],
        ),
    ]
    passages: Annotated[Count, Meta(description="Passages of each file.")] = 20
    words: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=100_000)], Annotated[int, Meta(ge=1, le=100_000)]],
        Meta(description="Fewest and most words of a passage."),
    ] = (80, 250)


class Decoding(Part, frozen=True, kw_only=True):
    """How answers are drawn; a part of what a score means. Greedy unless a temperature is given."""

    temperature: Annotated[
        float, Meta(ge=0, le=2, description="0: always the likeliest token; else at least 0.001.")
    ] = 0.0
    top_p: Annotated[
        float,
        Meta(gt=0, le=1, description="Only the likeliest tokens whose probabilities together reach this."),
    ] = 1.0
    repeats: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Answers to each probe, each drawn by a seed of its own; their scores are averaged.",
        ),
    ] = 1
    tool_choice: Annotated[
        Literal["auto", "required", "none"],
        Meta(
            description="Whether the model has to call a tool. Anything but `auto` needs an engine that can make it."
        ),
    ] = "auto"
    strict: Annotated[
        bool,
        Meta(
            description="Arguments are made to fit the tools' schemas while they are written; not with transformers."
        ),
    ] = False


class SuiteCommon(Part, frozen=True, kw_only=True):
    """A suite as its YAML stands, but for its judge, whose schema comes from the registry."""

    suite: Annotated[Literal[1], Meta(description="Version of the suite language.")]
    name: Annotated[Name, Meta(examples=["twain-style"])]
    description: Annotated[
        str,
        Meta(
            max_length=2000, description="What it judges.", examples=["Does it answer as the persona would?"]
        ),
    ] = ""
    probes: Annotated[
        str | None,
        Meta(
            description="JSONL of held-out prompts, under evals/.", examples=["probes/persona-prompts.jsonl"]
        ),
    ] = None
    max_new_tokens: Annotated[int, Meta(ge=1, le=100_000, description="Longest answer.")] = 128
    limit: Annotated[Count | None, Meta(description="Only the first so many probes.")] = None
    decoding: Decoding = Decoding()
    rounds: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="How often, in each of the user's turns, a probe's world answers calls before the talk ends.",
        ),
    ] = 4
    lm_eval: LmEval | None = None
    perplexity: Perplexity | None = None


class Suite(Struct, frozen=True):
    """A checked suite: its common keys and its judge, if it has one."""

    common: SuiteCommon
    judge: Use | None

    @property
    def metric_name(self) -> str:
        """The suite's name as gates write it."""
        return self.common.name.replace("-", "_")

    def task_metric(self, task: str, metric: str) -> str:
        """How gates write a metric of one of its lm-eval tasks."""
        return re.sub(r"[^a-z0-9_.]", "_", f"{self.metric_name}.{task}.{metric}".lower())

    def loss_metric(self, group: str) -> str:
        """How gates write the loss on a group of its texts."""
        return f"{self.metric_name}.{group.replace('-', '_')}.nats"


def alike(suites: Sequence[Suite]) -> Iterator[tuple[int, str]]:
    """Suites whose metrics would have the names of an earlier one's: which, and a sentence. The same one named twice
    is not meant."""
    first: dict[str, str] = {}
    for i, suite in enumerate(suites):
        name = suite.common.name
        other = first.setdefault(suite.metric_name, name)
        if other != name:
            yield i, f"{name!r} and {other!r} would both name their metrics {suite.metric_name}.…; rename one"


def alike_in(suite: Suite) -> Iterator[str]:
    """The same within a suite, of its tasks and of its groups of texts."""
    tasks = suite.common.lm_eval.tasks if suite.common.lm_eval else []
    groups = suite.common.perplexity.texts if suite.common.perplexity else []
    yield from _alike("tasks", {t: suite.task_metric(t, "") for t in tasks})
    yield from _alike("groups", {g: suite.loss_metric(g) for g in groups})


def _alike(kind: str, names: dict[str, str]) -> Iterable[str]:
    first: dict[str, str] = {}
    for name, metric in names.items():
        if (other := first.setdefault(metric, name)) != name:
            yield f"its {kind} {other!r} and {name!r} would name their metrics alike; rename one"
