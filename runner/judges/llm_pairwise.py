"""Judge `llm_pairwise`: a model compares the answers of two arms, in both orders, after it was itself examined.

Each prompt is asked about twice, with the answers in either place. Where the two verdicts disagree it is a tie, and how
often they agree is told: a judge with a liking for a place shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Annotated

from msgspec import Meta

from runner.errors import StepError
from runner.judging import options
from runner.judging.admission import Bars, credit, examine_comparing
from runner.judging.agreement import share
from runner.judging.bench import Bench
from runner.judging.prompts import Question, compared, conversation, spoken
from runner.judging.replies import Said, one_line
from runner.record import Probe, Score, Verdict
from runner.registry import JudgeContext, judge

Arm = Annotated[str, Meta(min_length=1, max_length=100, description="An arm of the evaluation.")]


@judge(
    "llm_pairwise",
    version=1,
    libraries=("jsonschema",),
    check=options.wrong,
    asks=options.asked_service,
    look=options.problems,
    metrics=lambda chosen: options.names(chosen, "_win", ("swap_consistency", "wins", "ties", "losses")),
)
def llm_pairwise(
    context: JudgeContext,
    *,
    model: options.Model,
    rubrics: options.Rubrics,
    pairs: options.Pairs,
    arm: Annotated[Arm, Meta(description="The arm that should win.")] = "tuned",
    against: Annotated[Arm, Meta(description="The arm that it is compared with.")] = "base",
    service: options.Service = "judge",
    structured: options.Structured = "probe",
    max_tokens: options.MaxTokens = 512,
    budget: options.OptionalBudget = None,
    bars: Annotated[Bars | None, options.about_bars("verdicts")] = None,
) -> Verdict:
    """Which of two arms' answers is the better one by rubrics: 1, 0, or 0.5 for a tie, from a model behind an
    OpenAI-compatible endpoint, asked in both orders and first examined by answers of known order."""
    bench = Bench.of(
        context,
        examine_comparing,
        model=model,
        service=service,
        structured=structured,
        max_tokens=max_tokens,
        budget=budget,
        bars=bars,
    )
    for named in (arm, against):
        if named not in bench.arms:
            raise StepError("judge", f"there is no arm {named!r}; there are {', '.join(bench.arms)}")
    rows = list(_together(context, arm, against))
    scores: list[Score] = []
    facts: dict[str, float] = {}
    for rubric, _ in bench.rubrics:
        why = bench.admissions[rubric.name].why
        settled: dict[int, Said] = {}
        waiting: list[int] = []
        questions: list[Question] = []
        for row, (probe, mine, other) in enumerate(rows):
            if why or mine is None or other is None:
                settled[row] = Said(None, why or "no answer")
            elif mine == other:
                settled[row] = Said(0.5, "both arms say the same")
            elif not mine or not other:
                settled[row] = Said(float(bool(mine)), "one of the answers is empty")
            else:
                prompt = conversation(probe)
                waiting.append(row)
                questions += [
                    compared(rubric, prompt, mine, other, salt=[]),
                    compared(rubric, prompt, other, mine, salt=[]),
                ]
        said = bench.ask(rubric.name, questions)
        agree: list[float] = []
        for row, first, second in zip(waiting, said[::2], said[1::2], strict=True):
            settled[row] = _settled(first, second)
            if first.value is not None and second.value is not None:
                agree.append(float(credit(first.value, "A") == credit(second.value, "B")))
        metric = f"{rubric.metric}_win"
        for row, (probe, _, _) in enumerate(rows):
            one = settled[row]
            scores.append(Score(probe.id, arm, metric, one.value, one.reason))
            lost = None if one.value is None else 1 - one.value
            scores.append(Score(probe.id, against, metric, lost, one.reason))
        if (found := share(agree)) is not None:
            facts[f"{metric}.swap_consistency"] = found
        values = [s.value for s in settled.values()]
        facts |= {
            f"{metric}.{word}": float(values.count(value))
            for word, value in (("wins", 1.0), ("ties", 0.5), ("losses", 0.0))
        }
    return Verdict(scores, bench.facts(scores) | facts)


def _together(
    context: JudgeContext, arm: str, against: str
) -> Iterator[tuple[Probe, str | None, str | None]]:
    """Each probe with what both arms said to it, the first answer with the first; None where one has none."""
    said: dict[tuple[str, str], list[str | None]] = {}
    for probe, of, answer in context.said("judge"):
        said.setdefault((of, probe.id), []).append(spoken(answer) if answer else None)
    for probe in context.probes:
        for mine, other in zip_longest(said[arm, probe.id], said[against, probe.id]):
            yield probe, mine, other


def _settled(first: Said, second: Said) -> Said:
    """One verdict out of both orders, in which the arm stood at A and at B."""
    at_a, at_b = credit(first.value, "A"), credit(second.value, "B")
    if at_a is None or at_b is None:
        return Said(None, (first if at_a is None else second).reason)
    both = one_line(f"as A: {first.value}, {first.reason}; as B: {second.value}, {second.reason}", 600)
    if at_a != at_b:
        return Said(0.5, f"the two orders disagree, so a tie: {both}")
    return Said(at_a, both)
