"""Steps `answers.ARM.SUITE`: what one arm says to the probes of one suite.

Each is an artifact of its own, so that a changed suite makes no model speak again about another; suites that ask the
same in the same way share one, whatever they judge. A model is loaded
once all the same: whichever step comes first has the probes of all others that the same weights are to answer (other
suites; arms that differ in what they are asked) answered by its own job. Their answers wait in their work folders,
where they also outlive a kill.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from runner.evaluate import asking, jobs, shares
from runner.evaluate.probes import asked, probes
from runner.making import Making, write_rows
from runner.steps import Step
from runner.store import Store, place
from runner.suite import Suite
from runner.unchanged import Changed, unchanged

ANSWERS, FACTS = "answers.jsonl", "facts.json"


def answers(m: Making) -> None:
    """One arm's answers to the probes of one suite, and facts about who answered and how."""
    folder = m.work / "answers"
    if not (folder / ANSWERS).is_file():
        with ExitStack() as held:
            _generate(m, _to_make(m, held))
    for file in (ANSWERS, FACTS):  # not moved: until the artifact is whole, what is in here is all there is
        place(folder / file, m.out / file)


def _to_make(m: Making, held: ExitStack) -> list[Step]:
    """This step, and those that the same weights have to answer and have not yet.

    Their locks are `held` meanwhile: who wants one of them waits, and finds its answers. What another run is at is left
    to it.
    """
    store = Store(m.plan.workspace.root)

    def who(step: Step) -> list[Any]:
        return [step.details[key] for key in ("engine", "weights", "endpoint", "model")]

    alike = {s.fingerprint: s for s in m.plan.steps if s.kind == m.step.kind and who(s) == who(m.step)}
    others = [
        s
        for f, s in alike.items()
        if f != m.step.fingerprint
        and held.enter_context(store.trying(f))
        and store.get(f, verify=False) is None
    ]
    return [m.step, *others]


def _generate(m: Making, steps: list[Step]) -> None:
    store = Store(m.plan.workspace.root)
    sets, counts = [], []
    for step in steps:
        work = store.work(step.fingerprint)
        one, count = _set(m, step, work)
        if not Path(one["out"]).is_file():
            sets.append(one)
            counts.append(count)
    shares.forget(sets)
    try:
        with unchanged(m.step.name, (), weights=m.plan.weights):
            _ask(m, sets, counts)
    except Changed:  # what other steps find in their work folders, too, is of nobody knows which weights
        for one in sets:
            Path(one["out"]).unlink(missing_ok=True)
        raise


def _ask(m: Making, sets: shares.Sets, counts: list[int]) -> None:
    """Have the sets answered, by whoever the step says. `counts`: how many answers each wants."""
    details = m.step.details
    if details["engine"] == "endpoint":
        asking.of_endpoint(m, details["endpoint"], details["model"], sets, sum(counts))
    elif details["engine"] == "vllm":
        asking.of_vllm(m, details["weights"], sets, counts)
    else:
        _by_transformers(m, sets, counts)


def _by_transformers(m: Making, sets: shares.Sets, counts: list[int]) -> None:
    only = ("arm", "probes", "out", "max_new_tokens", "temperature", "top_p", "repeats", "rounds")
    local = [{key: one[key] for key in only} for one in sets]
    job = {"sets": local, "batch": jobs.BATCH, "progress": str(jobs.progress_at(m))}
    job["dtype"] = m.step.ingredients["dtype"]
    of = shares.many(m, counts, jobs.BATCH)
    if of == 1:
        jobs.on_weights(m, "generate", job, sum(counts))
        return
    m.progress(0, sum(counts), "loading the model")
    job |= jobs.model_of(m, m.step.details["weights"])

    def part(share: dict[str, int], name: str) -> jobs.Part:
        mine = {"share": share, "progress": str(jobs.progress_at(m, name))}
        return jobs.Part("runner.jobs.generate", job | mine, name)

    shares.answered(m, sets, sum(counts), of, part)


def _set(m: Making, step: Step, work: Path) -> tuple[dict[str, Any], int]:
    """What the job is told of one step's probes, and how many answers it has to give."""
    suite: Suite = step.details["suite"]
    common, arm = suite.common, step.details["arm"]
    (file,) = step.details["files"]
    with unchanged(step.name, [file]):  # here: they are asked hours later from what is written now
        rows = [asked(p, m.plan.loaded.recipe.evaluate, arm) for p in probes(file.path, common.limit)]
    write_rows(work / "probes.jsonl", rows)
    one = {
        "arm": arm,
        "probes": str(work / "probes.jsonl"),
        "out": str(work / "answers" / ANSWERS),
        "max_new_tokens": common.max_new_tokens,
        "rounds": common.rounds,
    } | msgspec.to_builtins(common.decoding)
    return one, len(rows) * common.decoding.repeats
