"""Step `lm-eval.ARM`: the lm-eval tasks of all suites, on Transformers in the job or on a vLLM of our own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import settings
from runner.errors import StepError, UsageError
from runner.evaluate import asking, jobs
from runner.making import Making
from runner.serving import engines, server
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
    with _asked(m) as asked:
        for options in dict.fromkeys((o.limit, o.fewshot, o.multiturn) for o in tasks.values()):
            limit, fewshot, multiturn = options
            names = [t for t, o in tasks.items() if (o.limit, o.fewshot, o.multiturn) == options]
            out = m.out / f"limit-{limit or 'none'}-fewshot-{fewshot}{'' if multiturn else '-one-turn'}"
            own = {t: str(m.inputs[f"task.{t}"].path) for t in names if f"task.{t}" in m.inputs}
            job = {"arm": m.step.details["arm"], "tasks": names, "task_folder": str(folder), "out": str(out),
                   "registered": own,
                   "limit": limit, "fewshot": fewshot, "multiturn": multiturn, "batch": jobs.BATCH}  # fmt: skip
            jobs.on_weights(m, "lm_eval", job | asked)


@contextmanager
def _asked(m: Making) -> Iterator[dict[str, Any]]:
    """What the job is told of the engine besides: nothing of Transformers, of vLLM a server that runs meanwhile.

    The tuned model is served in one piece (log-probabilities of many prompts end a vLLM with an adapter), and both arms
    in float32, as on Transformers: in bfloat16 choices tie. Raises StepError.
    """
    if m.step.details["engine"] != "vllm":
        yield {}
        return
    own = m.settings or settings.load()
    weights: jobs.Weights = m.step.details["weights"]
    served = asking.served_of(m, weights)
    merged = m.work / "merged"
    shutil.rmtree(merged, ignore_errors=True)  # half of one, after a kill
    expected = None
    try:
        engine = engines.choose("vllm", m.plan.profile == "gpu", own["vllm_python"])
        if served.adapter is not None:
            jobs.on_weights(m, "lm_weights", {"out": str(merged), "dtype": "float32"})
            served = replace(served, model=str(merged), whole=merged, adapter=None, four_bits={})
            expected = str(merged / "expected.json")
        m.progress(0, 0, "starting vLLM")
        with server.serving(served, engine, arms=(weights,), dtype="float32") as running:
            about = {"url": running.url, "model": weights, "engine": f"{engine.why} in float32"}
            yield {"server": about | {"length": server.length(served), "expected": expected}}
    except UsageError as e:
        raise m.fail(str(e)) from None
    except StepError as e:
        raise StepError(m.step.name, e.message, e.log) from None
    finally:
        shutil.rmtree(merged, ignore_errors=True)
