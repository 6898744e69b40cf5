"""Steps of an evaluation that no recipe asks for: what a run left, taken over as it is, and the report of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner import findings, page
from runner.making import Making, write_json
from runner.steps import JUDGING, version
from runner.store import file_digest, place
from runner.yaml12 import dump

VERSION = 1


def result(m: Making) -> None:
    """The adapter or the model of a run. Raises StepError where it is not what was planned with."""
    folder: Path = m.step.details["folder"]
    for name, sha256 in m.step.ingredients["files"].items():
        taken = m.out / m.step.details["as_"] / name
        place(folder / name, taken)
        if file_digest(taken) != sha256:
            raise m.fail(f"{folder / name} changed meanwhile; run it again")


def verdict(m: Making) -> None:
    """report.json and report.html, of the shape that a recipe's run leaves, as far as there is anything to say."""
    loaded = m.plan.loaded
    steps = {name: artifact.path for name, artifact in m.inputs.items()}
    data = {
        "report": VERSION,
        "name": loaded.recipe.name,
        "description": "",
        "recipe_yaml": dump(loaded.document.data),
        "profile": m.plan.profile,
        "exit": "no gates",
        "suites": [f.data() for f in findings.findings(loaded.suites, steps, loaded.recipe.seed)],
        "gates": [],
        "adapter_proof": _proof(m),
        "versions": {n: v for n in (*JUDGING, "lm-eval") if (v := version(n)) != "absent"},
    }
    write_json(m.out / "report.json", data)
    (m.out / "report.html").write_text(page.render(data), encoding="utf-8")


def _proof(m: Making) -> Any:
    for name, artifact in m.inputs.items():
        if name.startswith("answers.tuned."):
            return json.loads(artifact.file("facts.json").read_bytes())["adapter_proof"]
    return None
