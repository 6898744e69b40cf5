"""What a run left behind: read as far as it is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner import locking, paths
from runner.catalogue import run_folder
from runner.errors import UsageError
from runner.locking import RecipeLock
from runner.store import Store, digest


class Counted(Struct):
    """A metric as report.json has it."""

    metric: str
    unit: str
    better: str | None = None
    arms: dict[str, dict[str, Any]] = {}


class Judged(Struct):
    name: str
    metrics: list[Counted] = []


class Report(Struct):
    suites: list[Judged] = []


@dataclass(frozen=True)
class Left:
    """`steps` are the ingredients that each step was last made of."""

    name: str
    folder: Path
    store: Store
    steps: dict[str, dict[str, Any]]

    @cached_property
    def prints(self) -> dict[str, str]:
        """Step → the fingerprint that it was last made under."""
        return {name: digest(made) for name, made in self.steps.items()}

    @cached_property
    def made(self) -> dict[str, dict[str, Any]]:
        """Fingerprint → ingredients, of what the run itself remembers."""
        return {self.prints[name]: made for name, made in self.steps.items()}

    @cached_property
    def lock(self) -> RecipeLock | None:
        """What the run was made of; None where it did not come to its end, or the file cannot be used."""
        try:
            return locking.read(self.folder / "recipe.lock", "")
        except UsageError:
            return None

    @cached_property
    def report(self) -> Report:
        """report.json; without suites where the run was not judged to its end. Raises UsageError where it is none."""
        path = self.folder / "report.json"
        try:
            return msgspec.json.decode(paths.read(path), type=Report)
        except FileNotFoundError:
            return Report()
        except msgspec.DecodeError:
            raise UsageError(f"{path} is no report; run it again") from None


def find(name: str, workspace: Path) -> Left:
    """The run of that name. Raises UsageError where there is none, or where nothing says what it was made of."""
    folder = run_folder(name, workspace, holds="")
    try:
        data = paths.read_json(folder / "plan.json")
        steps = {str(k): v for k, v in data.items() if isinstance(v, dict)}
        left = Left(name, folder, Store(workspace, shown=True), steps)
        _ = left.prints
    except (OSError, ValueError, AttributeError, RecursionError):
        what = f"runs/{name}/plan.json is gone or damaged, and it alone says what the run was made of"
        raise UsageError(f"{what}; run it again") from None
    return left
