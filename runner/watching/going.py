"""A run as it stands: its steps, how far the one is that runs, the training's curve, answers, the end of a log."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner.noting import Now, StepNow
from runner.shown import finite
from runner.steps import STAGES
from runner.watching import curve, reading
from runner.watching.curve import Curve
from runner.watching.runs import Run

_JOURNAL = re.compile(r"answers\.jsonl(\.\d+of\d+)?\.partial")
_PRINT = re.compile(r"[0-9a-f]{64}")
SHOWN = 3
"""Answers that are shown of a step, the last ones."""
LONGEST = 600
"""Characters of each."""
MEAN = 10
"""Steps whose mean loss is shown: that of one step jumps."""


@dataclass(frozen=True)
class Answers:
    """What one arm has said to the probes of one suite so far."""

    step: str
    count: int
    last: list[dict[str, str]]


@dataclass(frozen=True)
class Going:
    """What there is to see of a run that has not come to its end, or that did: times in seconds."""

    stages: list[tuple[str, list[StepNow]]] = field(default_factory=list)
    done: int = 0
    many: int = 0
    at: str = ""
    progress: tuple[int, int, str] = (0, 0, "")
    since: float | None = None
    took: float | None = None
    rows: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    answers: list[Answers] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    log: str = ""
    tail: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """The same as the API gives it."""
        out = asdict(self)
        out["stages"] = {
            stage: [{"name": s.name, "state": s.state, "why": s.why, "took": s.took} for s in steps]
            for stage, steps in self.stages
        }
        return out


def going(workspace: Path, run: Run, log: str = "") -> Going:
    """How a run stands; with the end of a `log` of its, else of the one of the step that it is at, or failed in."""
    now, logs = run.now, reading.files(workspace, "runs", run.name, "logs")
    logs = [name.removesuffix(".log") for name in logs if name.endswith(".log")]
    failed = now.error.partition(":")[0] if now and run.state == "failed" else ""
    log = next((x for x in (log, now.at if now else "", failed) if x in logs), "")
    tail = reading.tail(workspace, "runs", run.name, "logs", f"{log}.log") if log else []
    if now is None:
        return Going(logs=logs, log=log, tail=tail)
    last = STAGES.index(now.to)
    steps = [s for s in now.steps if s.state != "to come" or STAGES.index(s.stage) <= last]
    stages = [(stage, [s for s in steps if s.stage == stage]) for stage in STAGES]
    until = time.time() if run.state == "running" else now.ended
    return Going(
        stages=[(stage, some) for stage, some in stages if some],
        done=sum(s.state in ("made", "kept") for s in steps),
        many=len(steps),
        at=now.at,
        progress=(now.done, now.of, now.what) if now.at else (0, 0, ""),
        since=max(0.0, until - now.at_since) if now.at and now.at_since and until else None,
        took=max(0.0, until - now.began) if until else None,
        rows=_rows(workspace, now),
        training=_training(workspace, now, run.name),
        answers=list(_answers(workspace, steps)) if run.state != "finished" else [],
        logs=logs,
        log=log,
        tail=tail,
    )


def _made(now: Now, name: str) -> str:
    """The fingerprint of a step that is made; empty where it is not."""
    found = next((s for s in now.steps if s.name == name and s.state in ("made", "kept")), None)
    return found.fingerprint if found and _PRINT.fullmatch(found.fingerprint) else ""


@lru_cache(maxsize=256)
def _artifact(workspace: Path, fingerprint: str, file: str) -> dict[str, Any]:
    """A JSON file of an artifact, which is what it is for ever."""
    return reading.data(workspace, ".mirepoix", "artifacts", fingerprint[:2], fingerprint, file)


def _rows(workspace: Path, now: Now) -> dict[str, Any]:
    """Rows of the data, once they are split."""
    split = _made(now, "split")
    found = _artifact(workspace, split, "summary.json").get("rows") if split else None
    if not isinstance(found, dict):
        return {}
    return {k: found[k] for k in ("in", "trained", "validation", "dropped") if isinstance(found.get(k), int)}


@lru_cache(maxsize=32)
def _followed(workspace: Path, run: str, start: int, began: float) -> Curve:
    return Curve(workspace, run, start)


def _training(workspace: Path, now: Now, run: str) -> dict[str, Any]:
    """The training's curve so far, as a report has it; besides which step of how many, and the trainer's estimate of
    what is left."""
    if made := _made(now, "train"):
        found = _artifact(workspace, made, "training.json")
        kept = {k: found.get(k) for k in ("steps", "validation") if isinstance(found.get(k), list)}
        return {k: [e for e in rows if isinstance(e, dict)] for k, rows in kept.items() if rows is not None}
    step = next((s for s in now.steps if s.name == "train"), None)
    if now.at != "train" or step is None:
        return {}
    known = _followed(workspace, run, now.log_from, now.at_since or 0.0)
    with suppress(OSError):
        known.read()
    steps = list(known.steps)
    if not steps:
        return {}
    if steps[0]["step"] > 1 and _PRINT.fullmatch(step.fingerprint):
        steps = curve.before(workspace, step.fingerprint, steps[0]["step"]) + steps
    return {
        "steps": steps,
        "validation": list(known.validation),
        "step": known.step,
        "total": known.total,
        "left": known.left if now.state == "running" else "",
        "tokens": known.tokens,
        "loss": _mean([e["loss"] for e in steps[-MEAN:]]),
    }


def _mean(losses: list[Any]) -> float | None:
    known = [x for loss in losses if (x := finite(loss)) is not None]
    return sum(known) / len(known) if known else None


def _answers(workspace: Path, steps: list[StepNow]) -> Any:
    for step in steps:
        if not step.name.startswith("answers.") or not _PRINT.fullmatch(step.fingerprint):
            continue
        place = (".mirepoix", "work", step.fingerprint, "answers")
        if step.state in ("made", "kept"):
            continue
        there = reading.files(workspace, *place)
        whole = [f for f in there if f == "answers.jsonl"]
        # Of jobs that share the probes each has a journal.
        found = []
        for file in whole or [f for f in there if _JOURNAL.fullmatch(f)]:
            if state := reading.state(workspace, *place, file):
                found.append((state[2], *_said(workspace, (*place, file), state)))
        if count := sum(n for _, n, _ in found):
            _, _, last = max((one for one in found if one[1]), key=lambda one: one[0])
            yield Answers(step.name, count, list(last))


@lru_cache(maxsize=64)
def _said(
    workspace: Path, names: tuple[str, ...], state: tuple[int, int, int]
) -> tuple[int, tuple[dict[str, str], ...]]:
    """How many answers a file of them has, and the last ones: which probe, and what was said."""
    count, end = 0, b""
    with suppress(OSError), reading.opened(workspace, *names) as fd:
        while piece := os.read(fd, 1 << 20):
            count += piece.count(b"\n")
            end = (end + piece)[-(1 << 16) :]
    lines, last = end.split(b"\n")[:-1], []
    for line in lines[-SHOWN:]:
        with suppress(ValueError, RecursionError):
            one = json.loads(line)
            if isinstance(one, dict) and "arm" in one:
                raw = str(one.get("raw", ""))
                last.append({"id": str(one.get("id", "")), "text": raw[:LONGEST]})
    header = names[-1].endswith(".partial")
    return max(0, count - header), tuple(last)
