"""Starts the jobs of stage evaluate, each on a job file that says which model answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

from runner import basemodel, process
from runner.making import Making, write_json
from runner.store import digest

BATCH = 64
Weights = Literal["base", "tuned"]


def model_of(m: Making, weights: Weights) -> dict[str, Any]:
    """The fields of a job that say which model it loads: the base alone, or with what was trained."""
    model, adapter = m.plan.loaded.recipe.model, m.plan.loaded.recipe.adapter
    assert model is not None
    job = {
        "model": str(_absolute(m, basemodel.model_at(m))),
        "revision": model.revision,
        "end_of_turn": model.end_of_turn,
        "adapter": None,
        "nf4": adapter.type == "qlora",
        "quant_type": adapter.quant_type,
        "double_quant": adapter.double_quant,
        "seed": m.plan.loaded.recipe.seed,
    }
    if weights == "tuned":
        trained = m.inputs["train" if "train" in m.inputs else "result"]
        folder = trained.file(adapter.folder)
        _same_template(m, folder)
        job |= (
            {"model": str(folder), "revision": None}
            if adapter.folder == "model"
            else {"adapter": str(folder)}
        )
    if m.plan.template is not None:
        template = m.work / "template.jinja"
        template.write_text(m.plan.template, encoding="utf-8")
        job["template"] = str(template)
    return job


def _same_template(m: Making, trained: Path) -> None:
    """Raises StepError where what was trained was trained with another template than it is to be asked with."""
    try:
        known = json.loads((trained / "mirepoix.json").read_bytes())["template"]
    except (OSError, ValueError, LookupError, TypeError):
        known = ""
    if known != digest(m.plan.template):
        raise m.fail(
            f"{m.shown(trained)} was trained with another chat template than it would be asked with here (its "
            "mirepoix.json says which): it would answer otherwise than it was taught; train it anew"
        )


def on_weights(m: Making, module: str, job: dict[str, Any], of: int = 0) -> None:
    """Run one of runner/jobs/ on the model that the step names."""
    m.progress(0, of, "loading the model")
    run(m, module, model_of(m, m.step.details["weights"]) | job)


def run(m: Making, module: str, job: dict[str, Any], more: dict[str, str] | None = None) -> None:
    """Run one of runner/jobs/, with `more` in its environment; its progress file feeds ours."""
    progress = m.work / "progress.jsonl"
    progress.unlink(missing_ok=True)
    path = m.work / "job.json"
    write_json(path, job)

    def watch() -> None:
        if progress.exists():
            lines = progress.read_bytes().splitlines()
            if lines:
                last = json.loads(lines[-1])
                m.progress(last["done"], last["of"], "answers")

    try:
        argv = [sys.executable, "-m", f"runner.jobs.{module}", str(path)]
        process.run(argv, log=m.log, cwd=m.plan.workspace.root, watch=watch, more=more)
    except process.Failed as e:
        raise m.fail(str(e), log=True) from None


def _absolute(m: Making, model: str) -> str | Path:
    folder = m.plan.workspace.root / model
    return folder.resolve() if folder.is_dir() else model
