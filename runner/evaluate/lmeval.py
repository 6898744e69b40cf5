"""Step `lm-eval.ARM`: the lm-eval tasks of all suites, on Transformers in the job or on a vLLM of our own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import settings
from runner.evaluate import asking, jobs
from runner.making import Making
from runner.serving import engines, server
from runner.serving.replica import Asker
from runner.suite import LmEval
from runner.unchanged import unchanged


def lm_eval(m: Making) -> None:
    """One arm on the lm-eval tasks of all suites, through lm-eval's own code."""
    tasks: dict[str, LmEval] = m.step.details["tasks"]
    folder = m.work / "tasks"
    for task in tasks:  # side by side, wherever the workspace or the package keeps them
        files = m.step.details["task_files"][task]
        with unchanged(m.step.name, files):  # here: the job reads the copies
            for file in files:
                target = folder / Path(file.name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.path.read_bytes())
    found = []
    for options in dict.fromkeys((o.limit, o.fewshot, o.multiturn) for o in tasks.values()):
        limit, fewshot, multiturn = options
        names = [t for t, o in tasks.items() if (o.limit, o.fewshot, o.multiturn) == options]
        out = m.out / f"limit-{limit or 'none'}-fewshot-{fewshot}{'' if multiturn else '-one-turn'}"
        own = {t: str(m.inputs[f"task.{t}"].path) for t in names if f"task.{t}" in m.inputs}
        found.append(
            {"arm": m.step.details["arm"], "tasks": names, "task_folder": str(folder), "out": str(out),
             "registered": own,
             "limit": limit, "fewshot": fewshot, "multiturn": multiturn, "batch": jobs.BATCH}
        )  # fmt: skip
    if m.step.details["engine"] == "vllm":
        _on_vllm(m, found)
        return
    for job in found:
        jobs.on_weights(m, "lm_eval", job)


def _on_vllm(m: Making, found: list[dict[str, Any]]) -> None:
    """Have the jobs ask a vLLM of our own.

    The tuned model is served in one piece (log-probabilities of many prompts end a vLLM with an adapter), and both arms
    in float32, as on Transformers: in bfloat16 choices tie. Raises StepError.
    """
    weights: jobs.Weights = m.step.details["weights"]
    served = asking.served_of(m, weights)
    model = jobs.model_of(m, weights)
    merged = m.work / "merged"
    shutil.rmtree(merged, ignore_errors=True)  # half of one, after a kill
    expected = None
    try:
        with asking.failures(m):
            if not m.spread:  # before anything is merged; what there is on other nodes they say themselves
                python = (m.settings or settings.load())["vllm_python"]
                engines.choose("vllm", m.plan.profile == "gpu", python)
            if served.adapter is not None:
                jobs.on_weights(m, "lm_weights", {"out": str(merged), "dtype": "float32"})
                served = replace(served, model=str(merged), whole=merged, adapter=None, four_bits={})
                expected = str(merged / "expected.json")
            m.progress(0, 0, "starting vLLM")
            about = {"model": weights, "length": server.length(served), "expected": expected}
        askers = [Asker("lm_eval", model | job | {"server": about}) for job in found]
        asking.run(m, served, (weights,), askers, "float32")
    finally:
        shutil.rmtree(merged, ignore_errors=True)
