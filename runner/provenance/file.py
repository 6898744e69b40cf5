"""A file of a run's folder, and the step that made it."""

from __future__ import annotations

from runner.errors import UsageError
from runner.provenance.chain import link, of_training
from runner.provenance.left import Left
from runner.provenance.thing import Thing, made
from runner.runfolder import LAID
from runner.store import file_digest


def step_of(name: str) -> tuple[str, str] | None:
    """The step that made a file of `runs/NAME/`, and the file's name in its artifact."""
    if name in LAID:
        return LAID[name]
    first, _, rest = name.partition("/")
    if first == "answers" and rest.count("/") == 1 and rest.endswith(".jsonl"):
        arm, suite = rest.removesuffix(".jsonl").split("/")
        return f"answers.{arm}.{suite}", "answers.jsonl"
    if first == "rejected" and rest.endswith(".jsonl"):
        source = rest.removesuffix(".jsonl")
        return ("filter" if source == "_filters" else f"source.{source}"), "rejected.jsonl"
    if first in ("adapter", "model") and rest == "README.md":
        return "report", "model-card.md"
    return ("train", name.rstrip("/")) if first in ("adapter", "model") else None


def files(left: Left) -> list[str]:
    """Names of all that a step made."""
    found = (p.relative_to(left.folder).as_posix() for p in left.folder.rglob("*") if p.is_file())
    return sorted(name for name in found if step_of(name))


def file(left: Left, what: str) -> Thing | None:
    """The file of that name; None where there is none. Raises UsageError for one that no step made."""
    name = what.removeprefix(f"runs/{left.name}/")
    step_and_file = None if {"..", "."} & set(name.split("/")) or name.startswith("/") else step_of(name)
    path = left.folder / name
    if step_and_file is None:
        if name == "data/README.md" and path.is_file():
            what = "the run itself writes it, no step does: data-card.md, under a header that hubs read; ask for that"
            raise UsageError(f"{name}: {what}")
        if name and "/" not in name and path.is_file():
            what = (
                "the run itself writes it, no step does; it is made of what was asked for and of nothing else"
            )
            raise UsageError(f"{name}: {what} (files of steps: {', '.join(files(left)[:10])})")
        return None
    step, inside = step_and_file
    starts = made(left, step)
    # Not what the run was planned with last, where that is another training: what the adapter itself says.
    if step == "train" and (own := of_training(path if path.is_dir() else path.parent)):
        starts = [("train", own)]
    if not path.exists() and not starts:
        return None
    if not starts:
        raise UsageError(f"{name}: nothing says what {step} was made of; run it again")
    artifact = link(left, *starts[0]).artifact
    of_step = artifact.manifest.files if artifact else {}
    wanted = (
        sorted(p.relative_to(left.folder).as_posix() for p in path.rglob("*") if p.is_file())
        if path.is_dir()
        else [name]
    )
    found, doubts = {}, []
    for one in wanted:
        at = step_of(one)
        now = file_digest(left.folder / one) if (left.folder / one).is_file() else None
        was = of_step.get(at[1] if path.is_dir() and at else inside) if at and at[0] == step else None
        found[one] = {k: v for k, v in (("sha256", now), ("made", was)) if v}
        if now is None:
            doubts.append(f"{one} is not in runs/{left.name} (any more)")
        elif was and now != was:
            doubts.append(
                f"{one} is not what {step} made: it was changed, or the run was stopped before its end"
            )
    return Thing("file", {"files": found, "step": step}, starts, doubts=doubts)
