"""What came of a run, for others: a folder of its own, or a hub."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runner.api.common import Name, settings_of, told
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.results import Export
    from runner.results import Parcel as Parcel
    from runner.results import Run as Trained
    from runner.results import Target as Target
    from runner.results.whole import Whole

Form = Literal["adapter", "merged", "gguf"]
Weights = Literal["bf16", "f16", "q8_0"]
Agreed = Callable[["Parcel", "Target", list[str]], bool]
"""Whether to push a parcel there, although the sentences speak against it."""


@told
def trained(run: str, workspace: Name = ".") -> Trained:
    """What a run trained. Raises UsageError where there is none, StepError where it is damaged."""
    from runner import results

    return results.find(run, Path(workspace))


def form_of(of: Trained) -> Form:
    """What is written of it where nothing is said: its adapter, or the model where all of it was trained."""
    return "merged" if of.facts.full else "adapter"


@told
def export(
    of: Trained,
    to: Name,
    form: Form | None = None,
    weights: Weights = "bf16",
    tell: Callable[[str], None] = lambda what: None,
) -> Export:
    """Write the folder `to`, whole or not at all: the adapter, the merged model, or one GGUF file of such `weights`,
    with its card and licence notes. Raises UsageError where `to` may not be written, StepError."""
    from runner import results

    return results.export(of, Path(to), form or form_of(of), weights, tell)


@told
def export_run(run: str, to: Name, workspace: Name = ".") -> Whole:
    """Write the folder `to`: a run's recipe, its lock and all small files that it reads, for another team to run."""
    from runner.results.finished import finished
    from runner.results.whole import export_run as whole

    return whole(finished(run, Path(workspace)), Path(to), settings_of())


@told
def push(
    of: Trained,
    to: str,
    form: Form | None = None,
    *,
    private: bool = False,
    licence_ok: bool = False,
    agreed: Agreed | None = None,
) -> tuple[str, Parcel, Target]:
    """Push a result to a hub (`hub:OWNER/NAME`), once `agreed` says so of what would go where; its address there.

    Licences that forbid it are an error unless `licence_ok`. Raises UsageError also where nobody agrees, StepError.
    """
    from runner import results
    from runner.store import Store

    form = form or form_of(of)
    objections = results.objections(of.facts)
    if objections and not licence_ok:
        raise UsageError(f"not pushed: {'; '.join(objections)}. If you may all the same, say --licence-ok")
    if agreed is None:
        raise UsageError("a push needs your yes: say --yes, or run it in a terminal")
    target = results.target(to, settings_of(), private)
    with tempfile.TemporaryDirectory(prefix="push-", dir=Store(of.workspace).folder()) as scratch:
        done = results.export(of, Path(scratch) / "result", form)
        (done.folder / "export.json").unlink()
        parcel = results.parcel(done.folder, of.facts, form)
        if not agreed(parcel, target, objections):
            raise UsageError("nothing was pushed")
        return results.send(parcel, target, f"{of.name}, {form}"), parcel, target
