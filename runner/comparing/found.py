"""The runs that are compared: what the artifacts of each say, read and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from runner import paths
from runner.catalogue import run_folder
from runner.errors import UsageError
from runner.findings import Findings, findings
from runner.metrics import TUNED
from runner.store import Artifact, Store, digest, file_digest
from runner.suite import Suite
from runner.wording import nearest

READ = ("suite.json", "scores.jsonl", "results.json", "losses.jsonl")
KINDS = ("judge.", "answers.", "lm-eval.", "perplexity.")


@dataclass(frozen=True)
class Side:
    """One arm of one run. `steps` are the artifacts of its evaluation that are there."""

    run: str
    arm: str
    steps: dict[str, Artifact]
    suites: list[Suite]
    seed: int

    @property
    def label(self) -> str:
        return f"{self.run}:{self.arm}"

    @cached_property
    def findings(self) -> dict[str, Findings]:
        folders = {name: artifact.path for name, artifact in self.steps.items()}
        return {f.suite.common.name: f for f in findings(self.suites, folders, self.seed)}

    def made(self, part: str, suite: str) -> list[dict[str, Any]]:
        """What decided a suite's numbers of one part, as ingredients of steps: of the arm, then of its judge."""
        names = [f"{part}.{self.arm}"]
        if part == "judge":
            names = [f"answers.{self.arm}.{suite}", f"judge.{suite}"]
        return [self.steps[n].manifest.ingredients if n in self.steps else {} for n in names]


def find(name: str, workspace: Path) -> Side:
    """The run that `RUN` or `RUN:ARM` means. Raises UsageError where it is not there, was not judged, or is damaged."""
    run, _, arm = name.partition(":")
    folder = run_folder(run, workspace)
    again = f"run it again: recipe run runs/{run}/recipe.yaml"
    try:
        last = paths.read_json(folder / "plan.json")
        made = last["report"]
        suites = msgspec.convert(made["suites"], list[Suite])
        needs, seed = msgspec.convert(made["needs"], dict[str, str]), int(made["recipe"].get("seed", 17))
    except (msgspec.ValidationError, OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"the run {run!r} was not judged to its end by this version; {again}") from None
    for step in [n for n in needs if n.startswith(("train", *KINDS)) and isinstance(last.get(n), dict)]:
        if digest(last[step]) != needs[step]:  # its report speaks of what was there before
            raise UsageError(f"{step} of {run!r} was made anew since the run was judged to its end; {again}")
    store = Store(workspace, shown=True)
    steps = {}
    for step in [n for n in needs if n.startswith(KINDS)]:
        artifact = store.get(needs[step], verify=False)
        if artifact is None:
            raise UsageError(f"the store lacks {step} of {run!r}; {again}")
        for file, sha256 in artifact.manifest.files.items():
            if Path(file).name in READ and file_digest(artifact.file(file)) != sha256:
                raise UsageError(f"{file} of {step} of {run!r} is damaged; {again}")
        steps[step] = artifact
    arms = list(dict.fromkeys(n.split(".")[1] for n in steps if not n.startswith("judge.")))
    if not arms:
        raise UsageError(f"nothing was judged in the run {run!r}")
    arm = arm or (TUNED if TUNED in arms else arms[-1])
    if arm not in arms:
        raise UsageError(f"the run {run!r} has no arm {arm!r}{nearest(arm, arms)}")
    return Side(run, arm, steps, suites, seed)
