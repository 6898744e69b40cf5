"""What both LLM judges do: read what they are given, be examined before, ask, and state the facts after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.errors import RecipeError, StepError
from runner.fetching import InputFile
from runner.judging import pairs as known_pairs
from runner.judging import rubrics as known_rubrics
from runner.judging.admission import Admission, Bars
from runner.judging.asking import Asker, Budget, Spent
from runner.judging.options import problems
from runner.judging.pairs import KnownPair
from runner.judging.prompts import Question
from runner.judging.replies import Said
from runner.judging.rubrics import Rubric
from runner.record import Score
from runner.registry import JudgeContext


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
