"""The steps of the stages evaluate and report: answers, lm-eval, perplexity, judges, and the report of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runner import hardware
from runner import recipe as r
from runner.fetching import InputFile
from runner.load import Loaded
from runner.plan.against import against, fetch_tasks
from runner.plan.planner import Planner, digests, of_plugin, versions
from runner.registry import plugins
from runner.steps import ARMS, JUDGING, RENDERING, arms, version
from runner.store import digest
from runner.suite import Suite
from runner.workspace import Workspace


def evaluate(p: Planner, model: r.Model | None, who: tuple[str, ...] | None = None) -> None:
    """The steps that judge a recipe's arms, or those of `who`. Only arms of endpoints do without a model."""
    who = arms(p.recipe.evaluate) if who is None else who
    base = ["model"] if "model" in p.steps else []
    by = against(p)
    judged, files, tasks, texts = by.judged, by.probes, by.tasks, by.texts
    wanted = [msgspec.to_builtins(s.common.perplexity) for s in p.suites if s.common.perplexity]
    common: dict[str, Any] = {}
    if model is not None:
        common = {
            "model": p.base_model(model),
            "template": digest(p.template),
            "end_of_turn": model.end_of_turn,
            "libraries": versions(JUDGING),
            "profile": p.profile,
        }
    trained = [n for n in ("train", "result") if n in p.steps]
    fetched = fetch_tasks(p)
    for arm in who:
        weights = "tuned" if arm == "tuned" else "base"
        needs = base + (trained if arm == "tuned" else [])
        named = p.recipe.evaluate.arms.get(arm)
        for suite in judged:
            if named and named.endpoint:
                _answers(p, arm, suite, files[suite.common.name], [], {})
            else:
                _answers(p, arm, suite, files[suite.common.name], needs, common)
        if arm not in ARMS:  # what a model knows or foresees is not asked for in words
            continue
        if tasks:
            options = {
                "arm": arm,
                "tasks": {t: msgspec.to_builtins(o) for t, o in tasks.items()},
                "order": list(tasks),
                "files": digests(by.task_files),
                "lm_eval": version("lm-eval"),
                "seed": p.recipe.seed,
                "engine": p.recipe.evaluate.engine,
            }
            if p.recipe.evaluate.engine == "vllm":
                options["vllm"] = p.vllm
            details: dict[str, Any] = {
                "tasks": tasks,
                "task_files": by.task_files,
                "arm": arm,
                "weights": weights,
            }
            details["engine"] = p.recipe.evaluate.engine
            p.add(f"lm-eval.{arm}", "lm_eval", "evaluate", [*needs, *fetched], options | common, **details)
        if texts:
            options = {"arm": arm, "files": digests(texts), "order": list(texts), "suites": wanted}
            details = {"files": texts, "arm": arm, "weights": weights}
            p.add(f"perplexity.{arm}", "perplexity", "evaluate", needs, options | common, **details)
    for suite in judged:
        _judge(p, suite, files[suite.common.name], who)


def askable(p: Planner, model: r.Model) -> None:
    """The step that renders all probes, as each arm of the recipe's own template is asked them; before training."""
    named = p.recipe.evaluate.arms
    asked = {"tuned": None} | {name: arm.system for name, arm in named.items() if not arm.endpoint}
    probes = [
        (s, f) for s in p.suites if s.common.probes for f in p.workspace.inputs("evals", s.common.probes)
    ]
    if not probes:
        return
    options = {
        "model": p.base_model(model),
        "template": digest(p.template),
        "end_of_turn": model.end_of_turn,
        "libraries": versions(RENDERING),
        "system": p.recipe.evaluate.system,
        "asked": asked,
        "probes": {s.common.name: [f.sha256, s.common.limit, s.common.max_new_tokens] for s, f in probes},
    }
    needs = ["model"] if "model" in p.steps else []
    p.add("askable", "askable", "train", needs, options, probes=probes, arms=list(asked))


def _answers(
    p: Planner,
    arm: str,
    suite: Suite,
    files: tuple[InputFile, ...],
    needs: list[str],
    common: dict[str, Any],
) -> None:
    """One arm's answers to one suite: what decides them, and so what a score of them means."""
    named = p.recipe.evaluate.arms.get(arm) or r.Arm()
    how, seed = suite.common.decoding, p.recipe.seed
    engine = "endpoint" if named.endpoint else p.recipe.evaluate.engine
    options: dict[str, Any] = {
        "arm": arm,
        "system": p.recipe.evaluate.system,
        "probes": digests({"probes": files}),
        "max_new_tokens": suite.common.max_new_tokens,
        "rounds": suite.common.rounds,
        "limit": suite.common.limit,
        "decoding": msgspec.to_builtins(how) | ({"seed": seed} if how.temperature else {}),
        "engine": engine,
    }
    if engine != "endpoint":
        options["dtype"] = hardware.dtype(p.profile)
    if engine == "vllm":
        options["vllm"] = p.vllm
    if named.system:
        options["asked"] = named.system
    if named.endpoint:
        options["endpoint"] = [named.endpoint, named.model]
    details = {
        "suite": suite,
        "arm": arm,
        "files": files,
        "engine": engine,
        "endpoint": named.endpoint,
        "model": named.model,
        "weights": "tuned" if arm == "tuned" else "base",
    }
    name = f"answers.{arm}.{suite.common.name}"
    p.add(name, "generate", "evaluate", needs, options | common, **details)


def _judge(p: Planner, suite: Suite, probes: tuple[InputFile, ...], who: tuple[str, ...]) -> None:
    assert suite.judge is not None
    plugin = plugins("judge")[suite.judge.plugin]
    files = {
        option: p.workspace.inputs(how, suite.judge.options[option])
        for option, how in plugin.file_options.items()
        if suite.judge.options[option] is not None
    }
    beside = {"files": digests(files), "seed": p.recipe.seed, "arms": list(who)}
    options = of_plugin(plugin, suite.judge.options, **beside)
    needs = [f"answers.{arm}.{suite.common.name}" for arm in who]
    needs += [n for n in plugin.reads if n in p.steps]
    name = f"judge.{suite.common.name}"
    details = {"files": files, "suite": suite, "probes": probes, "arms": who}
    p.add(name, "judge", "evaluate", needs, options, **details)


def report(p: Planner, loaded: Loaded) -> None:
    needs = [n for n, s in p.steps.items() if n != "model"]
    options = {
        "recipe": loaded.document.data,
        "keys": digest(_keys(loaded.document.data)),
        "profile": p.profile,
        "gates": p.recipe.evaluate.gates,
        "suites": [msgspec.to_builtins(s) for s in p.suites],
        "who": digest(set_by := who(loaded, p.workspace)),
    }
    p.add("report", "report", "report", needs, options, who=set_by)


def who(loaded: Loaded, workspace: Workspace) -> dict[str, str]:
    """Key of the recipe → the file that set it, as seen from the workspace; of a file outside of it the name alone."""
    root, shown = workspace.root.resolve(), dict[str, str]()
    found = {key: place.rpartition(":")[0] for key, place in loaded.who.items()}
    for file in dict.fromkeys(found.values()):
        full = Path(file).resolve()
        inside = full.is_relative_to(root)
        shown[file] = full.relative_to(root).as_posix() if inside else full.name if full.is_file() else file
    return {key: shown[file] for key, file in found.items()}


def _keys(data: Any) -> Any:
    """The keys of a recipe in the order in which they are written, as the report shows it."""
    if isinstance(data, dict):
        return [[key, _keys(value)] for key, value in data.items()]
    return [_keys(value) for value in data] if isinstance(data, list) else None
