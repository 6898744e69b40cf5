"""Steps `answers.ARM.SUITE`: what one arm says to the probes of one suite.

Each is an artifact of its own, so that a changed suite makes no model speak again about another. A model is loaded
once all the same: whichever step comes first has the probes of all others that the same weights are to answer (other
suites; arms that differ in what they are asked) answered by its own job. Their answers wait in their work folders,
where they also outlive a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runner.evaluate import asking, jobs
from runner.evaluate.probes import asked, probes
from runner.making import Making, write_rows
from runner.steps import Step
from runner.store import Store, place
from runner.suite import Suite

FACTS = "facts.json"


def answers(m: Making) -> None:
    """One arm's answers to the probes of one suite, and facts about who answered and how."""
    name = m.step.details["suite"].common.name
    folder = m.work / "answers"
    if not (folder / f"{name}.jsonl").is_file():
        _generate(m, _to_make(m))
    for file in (
        f"{name}.jsonl",
        FACTS,
    ):  # not moved: until the artifact is whole, what is in here is all there is
        place(folder / file, m.out / file)


def _to_make(m: Making) -> list[Step]:
    """This step, and those that the same weights have to answer and have not yet."""
    store = Store(m.plan.workspace.root)

    def who(step: Step) -> list[Any]:
        return [step.details[key] for key in ("engine", "weights", "endpoint", "model")]

    others = [
        s
        for s in m.plan.steps
        if s.kind == m.step.kind
        and s.name != m.step.name
        and who(s) == who(m.step)
        and store.get(s.fingerprint, verify=False) is None
    ]
    return [m.step, *others]


def _generate(m: Making, steps: list[Step]) -> None:
    store = Store(m.plan.workspace.root)
    sets, total = [], 0
    for step in steps:
        work = store.work(step.fingerprint)
        one, count = _set(m, step, work)
        if not Path(one["out"]).is_file():
            sets.append(one)
            total += count
    details = m.step.details
    if details["engine"] == "endpoint":
        asking.of_endpoint(m, details["endpoint"], details["model"], sets, total)
    elif details["engine"] == "vllm":
        asking.of_vllm(m, details["weights"], sets, total)
    else:
        only = ("arm", "probes", "out", "max_new_tokens", "temperature", "top_p", "repeats")
        local = [{key: one[key] for key in only} for one in sets]
        job = {"sets": local, "batch": jobs.BATCH, "progress": str(m.work / "progress.jsonl")}
        jobs.on_weights(m, "generate", job, total)


def _set(m: Making, step: Step, work: Path) -> tuple[dict[str, Any], int]:
    """What the job is told of one step's probes, and how many answers it has to give."""
    suite: Suite = step.details["suite"]
    common, arm = suite.common, step.details["arm"]
    (file,) = step.details["files"]
    rows = [asked(p, m.plan.loaded.recipe.evaluate, arm) for p in probes(file.path, common.limit)]
    write_rows(work / f"{common.name}.probes.jsonl", rows)
    one = {
        "arm": arm,
        "probes": str(work / f"{common.name}.probes.jsonl"),
        "out": str(work / "answers" / f"{common.name}.jsonl"),
        "max_new_tokens": common.max_new_tokens,
    } | msgspec.to_builtins(common.decoding)
    return one, len(rows) * common.decoding.repeats
