"""Step `lm-eval.ARM`: the lm-eval tasks of all suites."""

from __future__ import annotations

from pathlib import Path

from runner.evaluate import jobs
from runner.making import Making
from runner.plan import task_files
from runner.suite import LmEval


def lm_eval(m: Making) -> None:
    """One arm on the lm-eval tasks of all suites, through lm-eval's own code."""
    tasks: dict[str, LmEval] = m.step.details["tasks"]
    folder = m.work / "tasks"
    for task in tasks:  # side by side, wherever the workspace or the package keeps them
        for file in task_files(task, m.plan.workspace):
            target = folder / Path(file.name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.path.read_bytes())
    for options in dict.fromkeys((o.limit, o.fewshot, o.multiturn) for o in tasks.values()):
        limit, fewshot, multiturn = options
        names = [t for t, o in tasks.items() if (o.limit, o.fewshot, o.multiturn) == options]
        out = m.out / f"limit-{limit or 'none'}-fewshot-{fewshot}{'' if multiturn else '-one-turn'}"
        job = {"arm": m.step.details["arm"], "tasks": names, "task_folder": str(folder), "out": str(out),
               "limit": limit, "fewshot": fewshot, "multiturn": multiturn, "batch": jobs.BATCH}  # fmt: skip
        jobs.on_weights(m, "lm_eval", job)
