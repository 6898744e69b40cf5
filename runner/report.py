"""Stage report: one dict of all that the run found, as report.json and as one offline page."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from runner import gates, metrics, modelcard, modelfacts, page
from runner.making import Maker, Making, write_json
from runner.record import Score
from runner.steps import ARMS, TRAINING, version
from runner.suite import Suite
from runner.yaml12 import dump

VERSION = 1


def _json(m: Making, step: str, file: str) -> Any:
    return json.loads(m.inputs[step].file(file).read_bytes()) if step in m.inputs else None


def _suites(m: Making) -> tuple[list[dict[str, Any]], Any]:
    """What each suite found, and the proof that the adapter was loaded."""
    proof = None
    tasks: dict[str, dict[Any, list[Score]]] = {}
    losses: dict[str, list[dict[str, Any]]] = {}
    for arm in ARMS:
        if f"lm-eval.{arm}" in m.inputs:
            tasks[arm], found = metrics.lm_eval_results(m.inputs[f"lm-eval.{arm}"].path, arm)
            proof = found or proof
        if f"perplexity.{arm}" in m.inputs:
            lines = m.inputs[f"perplexity.{arm}"].file("losses.jsonl").read_bytes().splitlines()
            losses[arm] = [json.loads(line) for line in lines]
    for step in [s for s in m.inputs if s.startswith("answers.tuned.")]:
        proof = _json(m, step, "facts.json").get("adapter_proof") or proof
    out = []
    for suite in m.plan.loaded.suites:
        name = suite.common.name
        whole = _json(m, f"judge.{name}", "suite.json") or {
            "name": name,
            "description": suite.common.description,
            "metrics": [],
            "facts": {},
            "samples": [],
        }
        whole["description"] = suite.common.description
        whole["metrics"] += _task_metrics(suite, tasks) + _loss_metrics(suite, losses)
        out.append(whole)
    return out, proof


def _task_metrics(suite: Suite, tasks: dict[str, dict[Any, list[Score]]]) -> list[dict[str, Any]]:
    wanted = suite.common.lm_eval.tasks if suite.common.lm_eval else []
    return [
        metrics.compare(
            re.sub(r"[^a-z0-9_.]", "_", f"{suite.metric_name}.{task}.{metric}".lower()),
            "number" if "perplexity" in metric else "share",
            "lower" if "perplexity" in metric else "higher",
            [s for arm in ARMS for s in tasks[arm].get((task, metric), [])],
            metric,
        )
        for task, metric in sorted(tasks.get("base", {}))
        if task in wanted
    ]


def _loss_metrics(suite: Suite, losses: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    out = []
    for group in suite.common.perplexity.texts if suite.common.perplexity else []:
        prefix = f"{suite.common.name}/{group}/"
        scores = [
            Score(row["id"], arm, "nats", row["nats"])
            for arm in ARMS
            for row in losses[arm]
            if row["id"].startswith(prefix)
        ]
        name = f"{suite.metric_name}.{group.replace('-', '_')}.nats"
        out.append(metrics.compare(name, "nats", "lower", scores, "nats"))
    return out


def _provenance(m: Making) -> list[dict[str, Any]]:
    out = []
    for source in m.plan.loaded.recipe.sources:
        step = m.plan.step(f"source.{source.name}")
        counts = _json(m, step.name, "counts.json")
        out.append(
            {
                "source": source.name,
                "license": _licenses(m, step.name),
                "rows": counts["records"] + counts["rejected"],
                "files": [
                    {"name": f.name, "sha256": f.sha256}
                    for files in step.details["files"].values()
                    for f in files
                ],
            }
        )
    return out


def _licenses(m: Making, step: str) -> str:
    counts = json.loads(m.inputs[step].file("counts.json").read_bytes())
    return ", ".join(sorted(name or "not stated" for name in counts["licenses"]))


def collect(m: Making) -> dict[str, Any]:
    """The whole report as plain data; its shape is that of report.json."""
    recipe = m.plan.loaded.recipe
    summary = _json(m, "split", "summary.json")
    suites, adapter_proof = _suites(m)
    found = gates.values(suites)
    verdicts = [gates.decide(g, found) for g in recipe.evaluate.gates] if recipe.model else []
    failed = any(v["verdict"] == "fail" for v in verdicts)
    training = _json(m, "train", "training.json")
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
        "exit": "gate failed" if failed else "pass" if verdicts else "no gates",
        "rows": summary["rows"],
        "mix": summary["mix"],
        "lengths": summary["lengths"],
        "training": training,
        "proof": _json(m, "proof", "proof.json"),
        "suites": suites,
        "gates": verdicts,
        "provenance": _provenance(m),
        "adapter_proof": adapter_proof,
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
