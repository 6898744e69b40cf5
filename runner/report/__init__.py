"""Stage report: one dict of all that the run found, as report.json and as one offline page."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from runner import findings, gates, modelcard, modelfacts, page
from runner.lmresults import LmResults
from runner.making import Maker, Making, write_json
from runner.report import flow, foretold, origins, pairs
from runner.steps import TRAINING, version
from runner.yaml12 import dump

VERSION = 1


def _json(m: Making, step: str, file: str) -> Any:
    return json.loads(m.inputs[step].file(file).read_bytes()) if step in m.inputs else None


def _proof(m: Making) -> Any:
    """That the adapter was in force, as whoever loaded it last saw it."""
    proof = None
    for name, artifact in m.inputs.items():
        if name.startswith("lm-eval."):
            proof = LmResults().read(artifact.path, name).proofs.get(name) or proof
    for step in [s for s in m.inputs if s.startswith("answers.tuned.")]:
        proof = _json(m, step, "facts.json").get("adapter_proof") or proof
    return proof


def _lengths(m: Making, counted: dict[str, Any] | None) -> dict[str, Any] | None:
    """The histogram, and the limit beside which it is read."""
    model = m.plan.loaded.recipe.model
    limit = {"limit": model.max_length, "over": model.over_length} if model else {}
    return counted and counted | limit


def collect(m: Making) -> dict[str, Any]:
    """The whole report as plain data; its shape is that of report.json."""
    recipe = m.plan.loaded.recipe
    summary = _json(m, "split", "summary.json")
    steps = {name: artifact.path for name, artifact in m.inputs.items()}
    found = findings.findings(m.plan.loaded.suites, steps, recipe.seed)
    suites = [f.data() for f in found]
    measured = {one.name: one for f in found for one in f.measured}
    wanted = recipe.evaluate.gates if recipe.model else []
    verdicts = gates.decide(wanted, measured, gates.facts_of(suites), recipe.evaluate.inconclusive)
    training, proof = _json(m, "train", "training.json"), _json(m, "proof", "proof.json")
    if training:
        settings = {**msgspec.to_builtins(recipe.train), **msgspec.to_builtins(recipe.adapter)}
        settings["adapter"] = settings.pop("type")
        training["settings"] = {"base": recipe.model.base if recipe.model else None} | settings
    return {
        "report": VERSION,
        "name": recipe.name,
        "description": recipe.description,
        "recipe_yaml": dump(m.plan.loaded.document.data),
        "profile": m.plan.profile,
        "exit": gates.outcome(verdicts),
        "rows": summary["rows"],
        "flow": flow.flow(m, summary["rows"]),
        "mix": summary["mix"],
        "lengths": _lengths(m, summary["lengths"]),
        "duplicates": pairs.duplicates(m),
        "contamination": pairs.contamination(m),
        "training": training,
        "proof": proof,
        "forecast": foretold.foretold(m, proof, training),
        "suites": suites,
        "gates": verdicts,
        "inconclusive": recipe.evaluate.inconclusive,
        "provenance": origins.sources(m),
        "base": origins.base(m),
        "rights": origins.rights(m),
        "keys": origins.keys(m),
        "adapter_proof": _proof(m),
        "versions": {n: v for n in (*TRAINING, "lm-eval") if (v := version(n)) != "absent"},
    }


def report(m: Making) -> None:
    """report.json and report.html; of a model that was trained also its card, and the facts that it is made of."""
    data = collect(m)
    write_json(m.out / "report.json", data)
    (m.out / "report.html").write_text(page.render(data), encoding="utf-8")
    if data["training"]:
        facts = modelfacts.facts(m, data)
        write_json(m.out / "model-card.json", facts)
        card = modelcard.text(facts, "merged" if facts.full else "adapter")
        (m.out / "model-card.md").write_text(card, encoding="utf-8")


MAKERS: dict[str, Maker] = {"report": report}
