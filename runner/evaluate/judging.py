"""Step `judge.SUITE`: one suite's judge on the answers of all arms.

An answer that failed (nothing came from whoever was to answer) is never shown to a judge: it is counted, and a score of
None with the reason stands where its score would be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from runner import metrics
from runner.calls import CLOSE, OPEN
from runner.evaluate.answers import ANSWERS
from runner.evaluate.probes import asked_with
from runner.evaluate.probes import probes as read_probes
from runner.making import Making, read_rows, write_json, write_rows
from runner.pool import Mapped
from runner.record import Answer, Metric, Probe, Record, Score
from runner.registry import JudgeContext, plugins
from runner.suite import Suite


def judge(m: Making) -> None:
    """One suite's judge on the answers of all arms."""
    suite: Suite = m.step.details["suite"]
    assert suite.judge is not None
    plugin = plugins("judge")[suite.judge.plugin]
    (file,) = m.step.details["probes"]
    probes = read_probes(file.path, suite.common.limit)
    recipe = m.plan.loaded.recipe
    name = suite.common.name
    steps = {arm: m.inputs[f"answers.{arm}.{name}"] for arm in m.step.details["arms"]}
    answers = [a for step in steps.values() for a in read_rows(step.file(ANSWERS), Answer)]
    there, failed = [a for a in answers if not a.failed], [a for a in answers if a.failed]
    if not there:
        raise m.fail(f"nothing was answered, so there is nothing to judge: {failed[0].failed}")
    context = JudgeContext(
        tuple(probes),
        tuple(there),
        m.step.details["files"],
        recipe.seed,
        system=recipe.evaluate.system,
        asked={arm: words for arm in steps if (words := asked_with(recipe.evaluate, arm))},
        records=_trained(m) if "split" in plugin.reads else None,
        ask=m.ask if plugin.asks(suite.judge.options) else None,
        base=recipe.model.base
        if recipe.model
        else next((a.model for a in recipe.evaluate.arms.values()), None),
        progress=m.progress,
        mapped=_mapped(m),
    )
    m.progress(0, 0, "judging")
    verdict = plugin.call(context, **plugin.bind(suite.judge.options))
    order = list(steps)  # in which arms are shown, whatever the judge's
    scores = sorted(with_failed(verdict.scores, answers), key=lambda s: order.index(s.arm))
    write_rows(m.out / "scores.jsonl", scores)
    rows = [
        metrics.compare(f"{suite.metric_name}.{metric}", how.unit, how.better, scores, metric)
        for metric in dict.fromkeys(s.metric for s in scores)
        for how in [verdict.metrics.get(metric, Metric())]
    ]
    facts = {arm: json.loads(step.file("facts.json").read_bytes()) for arm, step in steps.items()}
    whole = {
        "name": name,
        "metrics": rows,
        "facts": verdict.facts,
        "samples": samples(probes, tuple(steps), answers, scores),
        "decoding": {arm: said["decoding"] for arm, said in facts.items()},
    }
    if failed:
        whole["failed"] = {arm: sum(a.arm == arm for a in failed) for arm in steps}
    write_json(m.out / "suite.json", whole)


def _mapped(m: Making) -> Mapped:
    """The step's own `mapped`; but one piece alone is worked on here, rather than a cluster started for it."""

    def mapped(work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterable[Any]:
        left = iter(pieces)
        first = list(islice(left, 2))
        return map(work, first) if len(first) < 2 else m.mapped(work, chain(first, left))

    return mapped


def _trained(m: Making) -> Callable[[], Iterator[Record]] | None:
    """Goes through the records that this run trains on; None where it has none."""
    if "split" not in m.inputs:
        return None
    path = m.inputs["split"].file("data") / "train.jsonl"
    return lambda: read_rows(path, Record)


def with_failed(scores: Sequence[Score], answers: Sequence[Answer]) -> list[Score]:
    """The scores of the answers that are there, and for each one that failed a missing one of every metric that others
    have of the same probe; of all metrics where nobody answered it. What the judge scores of some arms only is missing
    of no other; of an arm of which no answer is there, it is not known what would have been scored."""
    failed = [a for a in answers if a.failed]
    there = {(a.id, a.arm) for a in answers if not a.failed}
    # A judge says itself that nothing came to it; why, it cannot know.
    silent = {(a.id, a.arm) for a in failed} - there
    heard = {arm for _, arm in there}
    scored = {(s.arm, s.metric) for s in scores}
    out = [s for s in scores if (s.id, s.arm) not in silent]
    metrics_of: dict[str, dict[str, None]] = {}
    for s in scores:
        metrics_of.setdefault(s.id, {})[s.metric] = None
    every = dict.fromkeys(s.metric for s in scores)
    return out + [
        Score(a.id, a.arm, metric, None, f"no answer: {a.failed}")
        for a in failed
        for metric in metrics_of.get(a.id, every)
        if (a.arm, metric) in scored or a.arm not in heard
    ]


def samples(
    probes: Sequence[Probe], arms: Sequence[str], answers: Sequence[Answer], scores: Sequence[Score]
) -> list[dict[str, Any]]:
    """Each probe with what was said to it and how that was scored. Of several answers the first that came is shown,
    and the mean of their scores."""
    said: dict[str, dict[str, Answer]] = {}
    for a in answers:
        said.setdefault(a.id, {}).setdefault(a.arm, a)
        if said[a.id][a.arm].failed:
            said[a.id][a.arm] = a
    found: dict[str, dict[str, dict[str, list[Score]]]] = {}
    for s in scores:
        found.setdefault(s.id, {}).setdefault(s.metric, {}).setdefault(s.arm, []).append(s)
    return [
        {
            "id": p.id,
            **({"family": p.family} if p.family else {}),
            "prompt": [msgspec.to_builtins(x) for x in p.messages],
            "answers": {arm: shown(said[p.id][arm]) for arm in arms if arm in said.get(p.id, {})},
            "scores": {
                m: {arm: _mean(s) for arm, s in by_arm.items()} for m, by_arm in found.get(p.id, {}).items()
            },
            "reasons": {
                m: {arm: why for arm, s in by_arm.items() if (why := _reason(s))}
                for m, by_arm in found.get(p.id, {}).items()
            },
        }
        for p in probes
    ]


def shown(answer: Answer) -> str:
    """An answer for people: of a talk, all that was said since the probe."""
    lines = []
    for m in answer.talk:
        called = [f"{OPEN}{c.function.name} {c.function.arguments}{CLOSE}" for c in m.tool_calls]
        lines.append(" ".join([f"{m.role}:", *filter(None, (m.content,)), *called]))
    return "\n\n".join([*lines, f"assistant: {answer.raw}"]) if lines else answer.raw


def _mean(scores: list[Score]) -> float | None:
    values = [s.value for s in scores if s.value is not None]
    if len(values) < 2:
        return values[0] if values else None
    return math.fsum(values) / len(values)


def _reason(scores: list[Score]) -> str:
    return next((s.reason for s in scores if s.reason), "")
