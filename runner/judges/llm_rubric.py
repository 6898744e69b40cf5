"""Judge `llm_rubric`: a model grades each answer from 1 to 5 by rubrics, after it was itself examined.

The endpoint and its key are the user's settings; the suite names the model, the rubrics, and answers of known order
that the judge must put right before its grades count (runner/judging/admission.py). What cannot be judged is missing.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.judging import options
from runner.judging.admission import ORDERS, Bars, examine_grading
from runner.judging.agreement import share, spread
from runner.judging.bench import Bench
from runner.judging.prompts import Question, conversation, graded, spoken
from runner.judging.replies import Said
from runner.judging.rubrics import GRADES
from runner.record import Metric, Score, Verdict
from runner.registry import JudgeContext, judge


@judge(
    "llm_rubric",
    version=1,
    libraries=("jsonschema",),
    check=options.wrong,
    asks=options.asked_service,
    look=options.problems,
    metrics=lambda chosen: options.names(chosen, "", unit="grade"),
)
def llm_rubric(
    context: JudgeContext,
    *,
    model: options.Model,
    rubrics: options.Rubrics,
    pairs: options.Pairs,
    service: options.Service = "judge",
    structured: options.Structured = "probe",
    max_tokens: options.MaxTokens = 512,
    repeats: Annotated[
        int,
        Meta(
            ge=1,
            le=9,
            description="Grades of each answer, averaged; every second one reads the scale downwards.",
        ),
    ] = 1,
    budget: options.OptionalBudget = None,
    bars: Annotated[Bars | None, options.about_bars("grades")] = None,
) -> Verdict:
    """Grades from 1 to 5 with reasons, by rubrics, from a model behind an OpenAI-compatible endpoint. It is first
    examined by answers of known order; where it fails, all grades are missing."""
    bench = Bench.of(
        context,
        examine_grading,
        model=model,
        service=service,
        structured=structured,
        max_tokens=max_tokens,
        budget=budget,
        bars=bars,
    )
    rows = list(context.said("judge"))
    scores: list[Score] = []
    spreads: list[float | None] = []
    for rubric, _ in bench.rubrics:
        why = bench.admissions[rubric.name].why
        said: list[list[Said]] = [[] for _ in rows]
        waiting: list[int] = []
        questions: list[Question] = []
        for row, (probe, _, answer) in enumerate(rows):
            text = spoken(answer) if answer else None
            if why or text is None:
                said[row].append(Said(None, why or "no answer"))
            elif not text:  # nothing to be asked about: the lowest grade, for it is an answer
                said[row].append(Said(GRADES[0], "empty answer"))
            else:
                for n in range(repeats):
                    waiting.append(row)
                    order = ORDERS[n % 2]
                    questions.append(graded(rubric, conversation(probe), text, order=order, salt=[n // 2]))
        for row, one in zip(waiting, bench.ask(rubric.name, questions), strict=True):
            said[row].append(one)
        for (probe, arm, _), some in zip(rows, said, strict=True):
            grades = [float(s.value) for s in some if s.value is not None]
            reason = next((s.reason for s in some if s.value is not None), some[0].reason)
            scores.append(Score(probe.id, arm, rubric.metric, share(grades), reason))
            spreads.append(spread(grades))
    facts = bench.facts(scores)
    if (within := share(spreads)) is not None:
        facts["judge.repeat_sd"] = within
    return Verdict(scores, facts, {rubric.metric: Metric("grade") for rubric, _ in bench.rubrics})
