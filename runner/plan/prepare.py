"""The steps of stage prepare: sources and what they fetch, filter, dedup, decontaminate, render, mix, split."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from runner import lock, modelchecks
from runner import recipe as r
from runner.fetching import InputFile
from runner.plan.against import task_files
from runner.plan.planner import Planner, digests, of_plugin, versions
from runner.registry import Plugin, plugins
from runner.steps import RENDERING, Fetch
from runner.store import Store, canonical, digest


def prepare(p: Planner) -> str:
    recipe = p.recipe
    sources = [_source(p, s) for s in recipe.sources]
    known = plugins("filter")
    uses = [(known[u.plugin], u.options) for u in recipe.filters]
    # Those that count tokens wait until the model's own tokenizer has counted them.
    # Where each stands in the recipe is part of what the ledger says of it.
    late = [of_plugin(p, o, at=i) for i, (p, o) in enumerate(uses) if p.needs]
    filters = [of_plugin(p, o, at=i) for i, (p, o) in enumerate(uses) if not p.needs]
    # In their order stand the rows: what is needed is a map, which has none.
    options: dict[str, Any] = {"filters": filters, "sources": [s.name for s in recipe.sources]}
    # What only serves as material (for a teacher, say) must not make others its duplicates.
    if recipe.mix and recipe.mix.by == "source" and (none := _without_weight(recipe.mix)):
        options["left_out"] = none
    # Every step from here on reads the records where the sources and the filters left them.
    shelf = [*sources, p.add("filter", "filter", "prepare", sources, options)]
    last = _dedup(p, shelf)
    last = _decontaminate(p, shelf, last)
    if recipe.model:
        last = _render(p, recipe.model, shelf, last, late)
    split = {"split": msgspec.to_builtins(recipe.split), "seed": recipe.seed}
    # What is held out is decided with the mix: it is never repeated.
    mix = {"mix": msgspec.to_builtins(recipe.mix)} | split
    if recipe.mix and recipe.mix.order == "in_turn":
        mix["turns"] = list(recipe.mix.asked)  # the one map of a recipe whose order decides
    last = p.add("mix", "mix", "prepare", _needs(shelf, last), mix)
    before = [n for n, s in p.steps.items() if s.stage == "prepare" and s.kind not in ("model", "task")]
    return p.add("split", "split", "prepare", before, split)


def _dedup(p: Planner, shelf: list[str]) -> str:
    wanted = p.recipe.dedup
    if not wanted.exact and wanted.near is None:
        return shelf[-1]
    files = {"against": p.workspace.inputs("glob", wanted.against) if wanted.against else ()}
    options = {"dedup": msgspec.to_builtins(wanted), "files": digests(files)}
    return p.add("dedup", "dedup", "prepare", shelf, options, files=files)


def _source(p: Planner, source: r.Source) -> str:
    plugin = plugins("source")[source.plugin]
    files = {
        option: p.workspace.inputs(how, source.options[option])
        for option, how in plugin.file_options.items()
        if source.options[option] is not None
    }
    ingredients = of_plugin(
        plugin,
        source.options,
        name=source.name,
        common=msgspec.to_builtins(source.common),
        inputs=digests(files),
        seed=p.recipe.seed,
    )
    fetch = _fetch(p, source, plugin, files) if plugin.fetch and plugin.fetches(source.options) else None
    needs = [fetch.needs] if fetch and fetch.needs else []
    if fetch:
        ingredients["fetched"] = None if fetch.items is None else digest(msgspec.to_builtins(fetch.items))
    name = f"source.{source.name}"
    return p.add(name, "source", "prepare", needs, ingredients, source=source, files=files, fetch=fetch)


def _fetch(p: Planner, source: r.Source, plugin: Plugin, files: dict[str, tuple[InputFile, ...]]) -> Fetch:
    named = [source.options[o] for o in plugin.source_options if source.options[o] is not None]
    needs = f"source.{named[0]}" if named else None
    taken = plugin.bind_fetch(source.options)
    request = {
        "source": plugin.name,
        "version": plugin.version,
        "options": {k: v for k, v in source.options.items() if k in taken},
        "files": digests({k: v for k, v in files.items() if k in taken}),
        "seed": p.recipe.seed,
        "of": p.steps[needs].fingerprint if needs else None,
    }
    request = json.loads(canonical(request))
    pending = needs is not None and _pending(p, needs)
    items = None if pending else lock.read(Store(p.workspace.root).root, request)
    fetch = Fetch(f"fetch.{source.name}", source, request, files, needs, items)
    p.fetches[source.name] = fetch
    return fetch


def _pending(p: Planner, step: str) -> bool:
    """Whether a source's step is not known yet, because something is still to be fetched for it."""
    fetch: Fetch | None = p.steps[step].details["fetch"]
    return fetch is not None and fetch.items is None


def _decontaminate(p: Planner, shelf: list[str], last: str) -> str:
    against: list[InputFile] = []
    texts: list[InputFile] = []
    if p.recipe.decontaminate.against == "evals":
        for suite in p.suites:
            names = [suite.common.probes] if suite.common.probes else []
            against += [f for n in names for f in p.workspace.inputs("evals", n)]
            for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
                against += task_files(task, p.workspace)
            for globs in suite.common.perplexity.texts.values() if suite.common.perplexity else []:
                texts += p.workspace.inputs("glob", globs)
    cleaned = p.recipe.decontaminate.against == "evals"
    tasks = [n.removeprefix("task.") for n, step in p.steps.items() if cleaned and step.kind == "task"]
    if not against and not texts and not tasks:
        return last
    files = {"against": tuple(dict.fromkeys(against)), "texts": tuple(dict.fromkeys(texts))}
    options = {
        "decontaminate": msgspec.to_builtins(p.recipe.decontaminate),
        "files": digests(files),
        "tasks": tasks,
    }
    needs = [*(f"task.{t}" for t in tasks), *_needs(shelf, last)]  # the last one says which rows are left
    return p.add("decontaminate", "decontaminate", "prepare", needs, options, files=files, tasks=tasks)


def _render(p: Planner, model: r.Model, shelf: list[str], last: str, late: list[dict[str, Any]]) -> str:
    needs = _needs(shelf, last)
    if model.base.startswith("embedded/"):
        options = {
            "embedded": model.base,
            "source": modelchecks.EMBEDDED[model.base],
            "template": digest(p.template),
            "libraries": versions(("gguf", *RENDERING, "torch")),
        }
        needs.append(p.add("model", "model", "prepare", [], options))
    return p.add(
        "render",
        "render",
        "prepare",
        needs,
        {
            "model": p.base_model(model),
            "template": digest(p.template),
            "max_length": model.max_length,
            "over_length": model.over_length,
            "end_of_turn": model.end_of_turn,
            "learnt": p.learnt(),
            "libraries": versions(RENDERING),
        }
        | ({"filters": late} if late else {}),
    )


def _needs(shelf: list[str], last: str) -> list[str]:
    return shelf if last in shelf else [*shelf, last]


def _without_weight(mix: r.Mix) -> list[str]:
    return sorted(name for name, share in mix.asked.items() if not share)
