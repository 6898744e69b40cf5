"""Starts the jobs of stage evaluate, each on a job file that says which model answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runner import basemodel, process
from runner.errors import StepError
from runner.making import Making, write_json
from runner.store import digest

BATCH = 64
Weights = Literal["base", "tuned"]


def model_of(m: Making, weights: Weights) -> dict[str, Any]:
    """The fields of a job that say which model it loads: the base alone, or with what was trained."""
    model, adapter = m.plan.loaded.recipe.model, m.plan.loaded.recipe.adapter
    assert model is not None
    job: dict[str, Any] = {
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
    if m.spread:
        job["libraries"] = _libraries(m)
    if m.plan.template is not None:
        template = m.work / "template.jinja"
        template.write_text(m.plan.template, encoding="utf-8")
        job["template"] = str(template)
    return job


def _libraries(m: Making) -> dict[str, str]:
    """The versions in the step's fingerprint, by distribution; what is absent here decides nothing there."""
    said = m.step.ingredients
    named = said["libraries"] | ({"lm-eval": said["lm_eval"]} if "lm_eval" in said else {})
    return {name: version for name, version in named.items() if version != "absent"}


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
    """Run one of runner/jobs/ on the model that the step names, where there is room for it."""
    m.progress(0, of, "loading the model")
    place(m, Part(f"runner.jobs.{module}", model_of(m, m.step.details["weights"]) | job), of=of)


@dataclass(frozen=True)
class Part:
    """A module to be run on a job file that holds `job`; `name` is that of a share, where several run at once."""

    module: str
    job: dict[str, Any]
    name: str = ""

    def written(self, m: Making, more: Mapping[str, str]) -> process.Job:
        """The job, its job file written, and nothing known of its progress."""
        write_json(path := m.work / f"job{self.name and '.' + self.name}.json", self.job)
        progress_at(m, self.name).unlink(missing_ok=True)
        where = ("-m", self.module, str(path))
        return process.Job(where, log_of(m, self.name), m.plan.workspace.root, more)


def log_of(m: Making, name: str = "") -> Path:
    """What a part writes to: the step's own log, or where several run at once one beside it."""
    return m.log.with_name(f"{m.log.stem}.{name}.log") if name else m.log


def progress_at(m: Making, name: str = "") -> Path:
    """The file to which a part says how far it is."""
    return m.work / f"progress{name and '.' + name}.jsonl"


def here(m: Making, part: Part, more: Mapping[str, str] | None = None) -> None:
    """Run a job on this machine, with `more` in its environment; its progress file feeds ours. Raises StepError."""
    job = part.written(m, more or {})
    with _told(m):
        job.run(_watching(m, [part]))


def place(m: Making, *parts: Part, of: int = 0, also: Callable[[], None] = lambda: None) -> None:
    """Run jobs that each hold a model, wherever there is room. Their progress is one number, of `of` where there are
    several; `also` is called now and then. Raises StepError."""
    more = {key: os.environ[key] for key in process.ELSEWHERE if key in os.environ} if m.spread else {}
    jobs = [part.written(m, more) for part in parts]
    told = _watching(m, parts, of)

    def watch() -> None:
        told()
        also()

    with _told(m):
        m.run(*jobs, watch=watch)


@contextmanager
def _told(m: Making) -> Iterator[None]:
    """A job that fails, in the name of the step, with its own log."""
    try:
        yield
    except process.Failed as e:
        kept = "; what was done is kept: run it again to go on" if e.code < 0 else ""
        raise StepError(m.step.name, f"{e}{kept}", m.shown(e.log or m.log)) from None


def _watching(m: Making, parts: Sequence[Part], of: int = 0) -> Callable[[], None]:
    files = [progress_at(m, part.name) for part in parts]

    def watch() -> None:
        # What follows the last newline is half a line, which a shared folder may show.
        whole = [f.read_bytes().split(b"\n")[:-1] for f in files if f.exists()]
        if last := [json.loads(lines[-1]) for lines in whole if lines]:
            total = sum(one["of"] for one in last) if len(last) == len(files) else of
            m.progress(sum(one["done"] for one in last), total, "answers")

    return watch


def _absolute(m: Making, model: str) -> str | Path:
    folder = m.plan.workspace.root / model
    return folder.resolve() if folder.is_dir() else model
