"""Walks a plan: takes a step from the store, resumes it or makes it; then lays out `runs/NAME/`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import evaluate, ledger, prepare, report, train
from runner.errors import StepError
from runner.making import Maker, Making
from runner.status import status
from runner.steps import STAGES, Plan, Stage, Step
from runner.store import Artifact, Store, place, write_atomic
from runner.yaml12 import dump

MAKERS: Mapping[str, Maker] = {
    **prepare.MAKERS,
    **train.MAKERS,
    **evaluate.MAKERS,
    **report.MAKERS,
}


@dataclass(frozen=True)
class Event:
    """What a run tells: a step `starts`, makes `progress`, is `made`, or was `kept` from an earlier run."""

    what: str
    step: str
    stage: Stage
    why: str = ""
    done: int = 0
    of: int = 0


Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `failed_gates` are sentences; `executed` counts steps that were made."""

    folder: Path
    executed: int
    kept: int
    failed_gates: list[str]
    report: Path | None


def folder(plan: Plan) -> Path:
    """Where this recipe's run is laid out."""
    return plan.workspace.root / "runs" / plan.loaded.recipe.name


def before(plan: Plan) -> dict[str, Any]:
    """The ingredients of each step of this recipe's last run."""
    try:
        data = json.loads((folder(plan) / "plan.json").read_bytes())
        return {k: v for k, v in data.items() if isinstance(v, dict)} if isinstance(data, dict) else {}
    except (OSError, ValueError):
        return {}


def run(plan: Plan, *, to: Stage = "report", tell: Tell = lambda event: None) -> Outcome:
    """Execute what is not made yet, up to the stage `to`. Raises StepError, Locked."""
    store = Store(plan.workspace.root)
    wanted = [s for s in plan.steps if STAGES.index(s.stage) <= STAGES.index(to)]
    with store.locked():
        made: dict[str, Artifact] = {}
        executed = 0
        whys = {s.name: why for s, _, why in status(plan, store, before(plan))}
        remembered = before(plan)
        for step in wanted:
            artifact = store.get(step.fingerprint)
            if artifact is None:
                tell(Event("starts", step.name, step.stage, whys[step.name] or "its artifact is damaged"))
                artifact = _make(plan, store, step, made, tell)
                executed += 1
                tell(Event("made", step.name, step.stage))
            else:
                tell(Event("kept", step.name, step.stage))
            made[step.name] = artifact
            if remembered.get(step.name) != step.ingredients:
                remembered[step.name] = step.ingredients
                _remember(plan, remembered)
            if step.name == "split" and (broken := _budgets(plan, artifact)):
                _lay_out(plan, made, folder(plan))  # so that what was lost can be looked at
                raise StepError("split", "; ".join(broken))
        out = folder(plan)
        later = {
            s.name: a for s in plan.steps if (a := made.get(s.name) or store.get(s.fingerprint, verify=False))
        }
        _lay_out(plan, later, out)
        whole = made.get("report")
        data = json.loads(whole.file("report.json").read_bytes()) if whole else {"gates": []}
        failed = [g["why"] for g in data["gates"] if g["verdict"] == "fail"]
        html = out / "report.html" if whole else None
        return Outcome(out, executed, len(wanted) - executed, failed, html)


def _make(plan: Plan, store: Store, step: Step, made: dict[str, Artifact], tell: Tell) -> Artifact:
    log = folder(plan) / "logs" / f"{step.name}.log"
    with store.making(step.name, step.fingerprint, step.ingredients) as out:
        work = store.work(step.fingerprint)

        def progress(done: int, of: int, what: str) -> None:
            tell(Event("progress", step.name, step.stage, what, done, of))

        inputs = {name: made[name] for name in _inputs(step, made)}
        try:
            MAKERS[step.kind](Making(step, plan, inputs, out, work, log, progress))
        except OSError as e:
            where = f" ({Path(str(e.filename)).name})" if e.filename else ""
            raise StepError(step.name, f"{e.strerror or e}{where}") from e
    # Only now: until the artifact is whole, checkpoints in here are all there is.
    shutil.rmtree(work, ignore_errors=True)
    artifact = store.get(step.fingerprint, verify=False)
    assert artifact is not None
    return artifact


def _inputs(step: Step, made: dict[str, Artifact]) -> list[str]:
    """The steps whose artifacts a step may read: those that it needs, so that nothing undeclared decides."""
    return [n for n in step.needs if n in made]


def _budgets(plan: Plan, split: Artifact) -> list[str]:
    rows = json.loads(split.file("summary.json").read_bytes())["rows"]
    return ledger.over_budget(rows, plan.loaded.recipe.fail_if)


def _remember(plan: Plan, steps: dict[str, Any]) -> None:
    """What the steps were made of, for the next run to say what changed."""
    write_atomic(folder(plan) / "plan.json", json.dumps(steps, indent=1, sort_keys=True).encode())


def _lay_out(plan: Plan, made: dict[str, Artifact], out: Path) -> None:
    """Fill `runs/NAME/` with links to the artifacts. What an earlier run left of others is removed."""
    data = dump(plan.loaded.document.data).encode()
    write_atomic(out / "recipe.yaml", data)
    files: dict[str, tuple[str, str]] = {
        "data/train.jsonl": ("split", "data/train.jsonl"),
        "data/validation.jsonl": ("split", "data/validation.jsonl"),
        "ledger.parquet": ("split", "ledger.parquet"),
        "axolotl.yml": ("train", "axolotl.yml"),
        "report.json": ("report", "report.json"),
        "report.html": ("report", "report.html"),
    }
    if "train" in made:
        names = [n for n in made["train"].manifest.files if n.startswith("adapter/")]
        files |= {n: ("train", n) for n in names}
    for name in made:
        if name.startswith("source."):
            files[f"rejected/{name[7:]}.jsonl"] = (name, "rejected.jsonl")
        if name.startswith("answers."):
            arm = name.partition(".")[2]
            answers = [n for n in made[name].manifest.files if n.endswith(".jsonl")]
            files |= {f"answers/{arm}/{n}": (name, n) for n in answers}
    for target in ("adapter", "answers", "rejected"):
        shutil.rmtree(out / target, ignore_errors=True)
    for target, (step, file) in files.items():
        (out / target).unlink(missing_ok=True)
        if step not in made:
            continue
        # A source that rejected nothing needs no file that says so.
        if not target.startswith("rejected/") or made[step].file(file).stat().st_size:
            place(made[step].file(file), out / target)
