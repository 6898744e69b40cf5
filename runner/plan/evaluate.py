"""The steps of the stages evaluate and report: answers, lm-eval, perplexity, judges, and the report of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runner import lmtasks
from runner import recipe as r
from runner.fetching import InputFile
from runner.load import Loaded
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
    judged = [s for s in p.suites if s.judge]
    files = {s.common.name: p.workspace.inputs("evals", s.common.probes) for s in judged if s.common.probes}
    tasks = {t: s.common.lm_eval for s in p.suites if s.common.lm_eval for t in s.common.lm_eval.tasks}
    task_inputs = {t: tuple(task_files(t, p.workspace)) for t in tasks}
    texts = {
        f"{s.common.name}/{group}": p.workspace.inputs("glob", globs)
        for s in p.suites
        if s.common.perplexity
        for group, globs in s.common.perplexity.texts.items()
    }
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
    _contaminated(p, judged, files, task_inputs, texts)
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
                "files": digests(task_inputs),
                "lm_eval": version("lm-eval"),
                "seed": p.recipe.seed,
                "engine": p.recipe.evaluate.engine,
            }
            if p.recipe.evaluate.engine == "vllm":
                options["vllm"] = p.vllm
            details: dict[str, Any] = {
                "tasks": tasks,
                "task_files": task_inputs,
                "arm": arm,
                "weights": weights,
            }
            details["engine"] = p.recipe.evaluate.engine
            p.add(f"lm-eval.{arm}", "lm_eval", "evaluate", [*needs, *fetched], options | common, **details)
        if texts:
            options = {"arm": arm, "files": digests(texts), "suites": wanted}
            details = {"files": texts, "arm": arm, "weights": weights}
            p.add(f"perplexity.{arm}", "perplexity", "evaluate", needs, options | common, **details)
    for suite in judged:
        _judge(p, suite, files[suite.common.name], who)


def fetch_tasks(p: Planner) -> list[str]:
    """The steps that fetch the data of lm-eval's own tasks, one a task: first of all, since what is asked must not be
    trained on, and so that none is missing after the training. Their names; they are added once."""
    out = []
    for suite in p.suites:
        for task in suite.common.lm_eval.tasks if suite.common.lm_eval else ():
            path = None if p.workspace.named("evals", f"tasks/{task}.yaml") else lmtasks.find(task)
            if path is None:
                continue
            out.append(f"task.{task}")
            if out[-1] in p.steps:
                continue
            said = lmtasks.read(path)
            kwargs = said.get("dataset_kwargs") or {}
            pinned = suite.common.lm_eval.revisions if suite.common.lm_eval else {}
            options = {
                "task": task,
                "path": said["dataset_path"],
                "subset": said.get("dataset_name"),
                "revision": pinned.get(task, kwargs.get("revision")),
                "splits": lmtasks.splits(said),
                "lm_eval": version("lm-eval"),
            }
            p.add(out[-1], "task", "prepare", [], options)
    return list(dict.fromkeys(out))


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


def _contaminated(
    p: Planner,
    judged: list[Suite],
    files: dict[str, tuple[InputFile, ...]],
    tasks: dict[str, tuple[InputFile, ...]],
    texts: dict[str, tuple[InputFile, ...]],
) -> None:
    """The step that looks for what is judged by in the data of a recipe that has it not taken out.

    Steps are made in their order: it comes before any answer, and other data make no base model speak again.
    """
    if p.recipe.decontaminate.against == "evals" or "split" not in p.steps or not (judged or tasks or texts):
        return
    known = [(s, s.common.lm_eval) for s in p.suites if s.common.lm_eval]
    asked = [(s, t, o.limit) for s, o in known for t in o.tasks]
    options = {
        "probes": digests(files),
        "limits": {s.common.name: s.common.limit for s in judged},
        "tasks": {t: [limit, digests({t: tasks[t]})] for _, t, limit in asked},
        "texts": digests(texts),
        "suites": [msgspec.to_builtins(s.common.perplexity) for s in p.suites if s.common.perplexity],
        "ngram": p.recipe.decontaminate.ngram,
    }
    details = {
        "probes": [(s, f) for s in judged for f in files[s.common.name]],
        "tasks": [(s, t, tasks[t], limit) for s, t, limit in asked],
        "texts": texts,
    }
    p.add("contaminated", "contaminated", "evaluate", ["split", *fetch_tasks(p)], options, **details)


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
    options = of_plugin(plugin, suite.judge.options) | {"files": digests(files), "seed": p.recipe.seed}
    needs = [f"answers.{arm}.{suite.common.name}" for arm in who]
    needs += [n for n in plugin.reads if n in p.steps]
    name = f"judge.{suite.common.name}"
    details = {"files": files, "suite": suite, "probes": probes, "arms": who}
    p.add(name, "judge", "evaluate", needs, options, **details)


def report(p: Planner, loaded: Loaded) -> None:
    needs = [n for n, s in p.steps.items() if n != "model"]
    options = {
        "recipe": loaded.document.data,
        "gates": p.recipe.evaluate.gates,
        "suites": [msgspec.to_builtins(s) for s in p.suites],
    }
    p.add("report", "report", "report", needs, options)


def task_files(task: str, workspace: Workspace) -> list[InputFile]:
    """The files of an lm-eval task: its YAML and the data of the same shelf that the YAML names."""
    from runner.yaml12 import decode, parse

    found = list(workspace.inputs("evals", f"tasks/{task}.yaml"))
    for file in found[:1]:
        doc = parse(decode(file.path.read_bytes(), file.name), file.name)
        options = doc.data.get("dataset_kwargs") if isinstance(doc.data, dict) else None
        data = options.get("data_files") or {} if isinstance(options, dict) else {}
        names = data.values() if isinstance(data, dict) else [data]
        found += [f for n in names for f in workspace.inputs("evals", f"tasks/{Path(str(n)).name}")]
    return found
