"""The options that the LLM judges share, what is wrong with them and their files, and what gates may name of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.errors import Problem, RecipeError
from runner.judging import pairs as known_pairs
from runner.judging import rubrics as known_rubrics
from runner.judging.asking import Budget
from runner.record import Metric

Model = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="The judge, as its endpoint calls it; not the tuned model.",
        examples=["Qwen/Qwen2.5-72B-Instruct"],
    ),
]
Service = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9_]*$",
        max_length=32,
        description="Which endpoint of your settings is asked: `judge` (judge_url), `teacher` (teacher_url), or one "
        "that the setting endpoints names.",
    ),
]
Rubrics = Annotated[
    list[str],
    Meta(
        min_length=1,
        max_length=10,
        description="Files under evals/, one metric each.",
        examples=[["rubrics/wit.yaml"]],
        extra={"files": "evals"},
    ),
]
Pairs = Annotated[
    list[str],
    Meta(
        min_length=1,
        max_length=100,
        description="Files under evals/ with answers of known order, some for each rubric: what admits the judge.",
        examples=[["probes/judge-wit.jsonl"]],
        extra={"files": "evals"},
    ),
]
Structured = Annotated[
    Literal["probe", "never"],
    Meta(
        description="`probe`: answers are asked for by JSON Schema where a first request shows that the endpoint "
        "enforces it. `never`: in words alone. Either way they are checked."
    ),
]
MaxTokens = Annotated[int, Meta(ge=32, le=8192, description="Longest answer of the judge.")]
OptionalBudget = Annotated[Budget | None, Meta(description="What may be spent; the rest is missing.")]
EXAMINED = ("accuracy", "swap_consistency", "kappa", "null_wins", "answered", "known_pairs", "admitted")
COUNTED = (
    "schema_enforced", "requests", "tokens", "refused", "unreadable", "failed", "over_budget", "missing", "repeat_sd",
)  # fmt: skip
FEWEST = 8
"""Pairs of known order without which nothing can be said of a judge."""


def about_bars(count: str) -> Meta:
    """The description of the bars; `count` is what a judge below them gives in vain: "grades"."""
    return Meta(description=f"What the judge must reach before its {count} count.")


def problems(files: Mapping[str, Mapping[str, Path]]) -> Iterator[Problem]:
    """What is wrong with the files that a suite's LLM judge names, by option; those that are there."""
    known: set[str] = set()
    counts: dict[str, int] = {}
    sound = True
    for name, path in files.get("rubrics", {}).items():
        try:
            found = known_rubrics.load(path, name).name
            known.add(found)
            if found != stem(name):
                yield Problem(
                    name, 1, 1, "name", f"must be {stem(name)!r}, as the file is called; metrics go by it"
                )
        except RecipeError as e:
            sound = False
            yield from e.problems
    for name, path in files.get("pairs", {}).items():
        try:
            for pair in known_pairs.load(path, name):
                counts[pair.rubric] = counts.get(pair.rubric, 0) + 1
        except RecipeError as e:
            sound = False
            yield from e.problems
    for rubric in sorted(known) if sound and files.get("pairs") else ():
        if (n := counts.get(rubric, 0)) < FEWEST:
            what = f"{n} pairs of known order are for the rubric {rubric!r}; {FEWEST} are the fewest that tell a thing"
            yield Problem(next(iter(files["pairs"])), 0, 0, "", what)


def stem(file: str) -> str:
    """What a rubric's file says of its name."""
    return PurePosixPath(file).stem


def asked_service(options: Mapping[str, Any]) -> str:
    """The service of the user's settings that both judges ask."""
    return str(options["service"])


def names(
    options: Mapping[str, Any], suffix: str, own: Sequence[str] = (), unit: str = "share"
) -> dict[str, Metric | None]:
    """What gates may name: a metric a rubric, in `unit`, with facts of its `own`; and what is said of the judge."""
    rubrics = [stem(file).replace("-", "_") for file in options["rubrics"]]
    metrics = [f"{rubric}{suffix}" for rubric in rubrics]
    facts = [*EXAMINED, *COUNTED]
    facts += [f"{rubric}.{fact}" for rubric in rubrics for fact in EXAMINED] if len(rubrics) > 1 else []
    said = [*(f"{m}.{fact}" for m in metrics for fact in own), *(f"judge.{fact}" for fact in facts)]
    return dict.fromkeys(metrics, Metric(unit)) | dict.fromkeys(said)


def wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What types cannot say of both judges' options."""
    seen: list[str] = []
    for n, file in enumerate(options["rubrics"]):
        if stem(file) in seen:
            yield ("rubrics", n), f"another rubric is called {stem(file)!r} too"
        seen.append(stem(file))
    if "arm" in options and options["arm"] == options["against"]:
        yield ("against",), f"{options['arm']!r} cannot be compared with itself"
