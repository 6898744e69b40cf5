"""What both LLM judges share: their options, what they are given, the examination before, the facts after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.errors import Problem, RecipeError, StepError
from runner.fetching import InputFile
from runner.judging import pairs as known_pairs
from runner.judging import rubrics as known_rubrics
from runner.judging.admission import Admission, Bars
from runner.judging.asking import Asker, Budget, Spent
from runner.judging.pairs import KnownPair
from runner.judging.prompts import Question
from runner.judging.replies import Said
from runner.judging.rubrics import Rubric
from runner.record import Score
from runner.registry import JudgeContext

Model = Annotated[
    str,
    Meta(
        min_length=1, max_length=200, description="The judge, as its endpoint calls it; not the tuned model."
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
EXAMINED = ("accuracy", "swap_consistency", "kappa", "null_wins", "answered", "known_pairs", "admitted")
COUNTED = (
    "schema_enforced", "requests", "tokens", "refused", "unreadable", "failed", "over_budget", "missing", "repeat_sd",
)  # fmt: skip
FEWEST = 8
"""Pairs of known order without which nothing can be said of a judge."""


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


def names(options: Mapping[str, Any], suffix: str, own: Sequence[str] = ()) -> frozenset[str]:
    """What gates may name: a metric a rubric, with facts of its `own`; and what is said of the judge."""
    rubrics = [stem(file).replace("-", "_") for file in options["rubrics"]]
    metrics = [f"{rubric}{suffix}" for rubric in rubrics]
    facts = [*EXAMINED, *COUNTED]
    facts += [f"{rubric}.{fact}" for rubric in rubrics for fact in EXAMINED] if len(rubrics) > 1 else []
    return frozenset(
        [*metrics, *(f"{m}.{fact}" for m in metrics for fact in own), *(f"judge.{fact}" for fact in facts)]
    )


def options_wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What types cannot say of both judges' options."""
    seen: list[str] = []
    for n, file in enumerate(options["rubrics"]):
        if stem(file) in seen:
            yield ("rubrics", n), f"another rubric is called {stem(file)!r} too"
        seen.append(stem(file))
    if "arm" in options and options["arm"] == options["against"]:
        yield ("against",), f"{options['arm']!r} cannot be compared with itself"


def same_model(judge: str, base: str) -> bool:
    """Whether a judge seems to be the model that is tuned: one name, whoever serves it and however it is spelt."""
    return _bare(judge) == _bare(base)


def _bare(model: str) -> str:
    last = model.rstrip("/").rpartition("/")[2].casefold()
    return last.partition(":")[0].partition("@")[0].replace("_", "-").removeprefix("meta-")


@dataclass
class Bench:
    """One judge at work: its rubrics, each with its pairs of known order, and the way to ask."""

    context: JudgeContext
    asker: Asker
    rubrics: list[tuple[Rubric, list[KnownPair]]]
    admissions: dict[str, Admission]

    @classmethod
    def of(
        cls,
        context: JudgeContext,
        examine: Callable[
            [Rubric, Sequence[KnownPair], Callable[[Sequence[Question]], list[Said]]], Admission
        ],
        *,
        model: str,
        service: str,
        structured: str,
        max_tokens: int,
        budget: Budget | None,
        bars: Bars | None,
    ) -> Bench:
        """Read what the suite names, and examine the judge by each rubric. Raises RecipeError, StepError."""
        if context.base and same_model(model, context.base):
            what = f"the judge {model!r} is the model that is tuned, and would judge itself; name another"
            raise StepError("judge", what)
        if wrong := list(problems(_paths(context.files))):
            raise RecipeError(wrong)
        if context.ask is None:
            raise StepError("judge", "there is no way to ask a service here")
        asker = Asker(context.ask, service, model, max_tokens, Spent(budget or Budget()))
        known = [p for f in context.files["pairs"] for p in known_pairs.load(f.path, f.name)]
        rubrics = [known_rubrics.load(f.path, f.name) for f in context.files["rubrics"]]
        bench = cls(context, asker, [(r, [p for p in known if p.rubric == r.name]) for r in rubrics], {})
        if structured == "probe":
            asker.probe()
        for rubric, some in bench.rubrics:
            found = examine(rubric, some, partial(bench.ask, f"admission, {rubric.name}"))
            bench.admissions[rubric.name] = found.held_against(bars or Bars(), asker.spent.over)
        asker.faults.clear()  # those of the examination are in its share of answers
        return bench

    def ask(self, what: str, questions: Sequence[Question]) -> list[Said]:
        """All questions of one kind, with their progress told."""

        def tell(done: int) -> None:
            self.context.progress(done, len(questions), what)

        return self.asker.all(questions, tell)

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(a.arm for a in self.context.answers))

    def facts(self, scores: Sequence[Score]) -> dict[str, float]:
        """The judge's own numbers, and what went wrong. Of several rubrics the worst admission is the judge's."""
        out: dict[str, float] = {}
        for admission in self.admissions.values():
            for name, value in admission.facts.items():
                worst = max if name == "null_wins" else min
                out[f"judge.{name}"] = worst(out.get(f"judge.{name}", value), value)
        if len(self.admissions) > 1:
            for rubric, admission in self.admissions.items():
                metric = rubric.replace("-", "_")
                out |= {f"judge.{metric}.{name}": value for name, value in admission.facts.items()}
        faults, spent = self.asker.faults, self.asker.spent
        return out | {
            "judge.schema_enforced": float(self.asker.structured),
            "judge.requests": float(spent.requests),
            "judge.tokens": float(spent.tokens),
            "judge.refused": float(faults["refused"]),
            "judge.unreadable": float(faults["unreadable"]),
            "judge.failed": float(faults["failed"]),
            "judge.over_budget": float(faults["budget"]),
            "judge.missing": float(sum(s.value is None for s in scores)),
        }


def _paths(files: Mapping[str, Sequence[InputFile]]) -> dict[str, dict[str, Path]]:
    return {option: {f.name: f.path for f in found} for option, found in files.items()}
