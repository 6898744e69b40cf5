"""What a recipe must satisfy beyond its schema: names that refer to something, numbers that fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner import (
    armchecks,
    gatechecks,
    modelchecks,
    sourcechecks,
    trainchecks,
)
from runner import recipe as r
from runner.errors import Problem
from runner.judging.bench import same_model
from runner.registry import plugins
from runner.sourcechecks import guard
from runner.suite import Suite, alike
from runner.wording import nearest, show
from runner.workspace import MOST_PATTERNS, Workspace, wild
from runner.yaml12 import Path, Yaml

_PLAIN = (".jsonl", ".ndjson")


def recipe(
    doc: Yaml, parts: dict[str, Any], suites: list[Suite], workspace: Workspace, trust: list[Problem]
) -> Iterator[Problem]:
    """All such problems of a recipe. Parts that are None have shape errors and are left alone.

    What needs the user's trust is appended to `trust`, since it is not wrong.
    """
    sources, mix, model = parts["sources"], parts["mix"], parts["model"]
    if (asked := _patterns(parts)) > MOST_PATTERNS:  # each goes through the workspace: nothing is looked for
        yield doc.problem(("sources",), f"names {asked:,} patterns of files; {MOST_PATTERNS:,} are the most")
        return
    if sources is not None:
        mixed = {mix.by} - {"source"} if mix else set()
        yield from sourcechecks.sources(doc, sources, mixed, workspace, trust)
    if sources is not None and mix is not None:
        yield from _weights(doc, sources, mix)
    yield from _filters(doc, parts["filters"] or [])
    yield from _whole_sets(doc, parts, workspace, trust)
    yield from trainchecks.settings(doc, parts)
    trainchecks.tracking(doc, parts["track"], workspace.trust, trust)
    if model is not None:
        yield from guard(doc, ("model",), trust, lambda: list(modelchecks.model(doc, model, workspace)))
    none = doc.data.get("model") is None
    if mix is not None and mix.order != "shuffled" and parts["train"] and parts["train"].group_by_length:
        yield doc.problem(
            ("mix", "order"), "train.group_by_length sorts the records anew; set one of the two"
        )
    if mix is not None and mix.unit == "tokens" and none:
        yield doc.problem(("mix", "unit"), "tokens are counted by a model's tokenizer; name a model")
    if parts["evaluate"] is not None:
        yield from _twice(doc, parts["evaluate"])
        if len(suites) == len(parts["evaluate"].suites):
            yield from gatechecks.gates(doc, parts["evaluate"], suites, workspace)
            yield from _tasks(doc, suites)
            for i, what in (*alike(suites), *gatechecks.shared(suites, workspace)):
                yield doc.problem(("evaluate", "suites", i), what, at_value=True)
            yield from armchecks.arms(doc, parts["evaluate"], suites)
            yield from _own_judge(doc, model, suites)
        if parts["evaluate"].suites and none:
            yield doc.problem(("evaluate", "suites"), "there is no model to judge; name one")


def _patterns(parts: dict[str, Any]) -> int:
    """How many patterns of files the sources and dedup name."""
    lists = [parts["dedup"].against] if parts["dedup"] else []
    for source in parts["sources"] or ():
        for option, how in plugins("source")[source.plugin].file_options.items():
            lists += [source.options[option] or []] if how == "glob" else []
    return sum(map(wild, lists))


def _filters(doc: Yaml, uses: list[r.Use]) -> Iterator[Problem]:
    for n, use in enumerate(uses):
        plugin = plugins("filter")[use.plugin]
        path: Path = ("filters", n, use.plugin)
        low, high = use.options.get("min"), use.options.get("max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            yield doc.problem(
                (*path, "min"), f"the least, {low}, is more than the most, {high}", at_value=True
            )
        for inner, what in plugin.check(use.options):
            where = (*path, *inner)
            yield doc.problem(where, what, at_value=bool(inner) and where in doc.values)
        if "tokens" in plugin.needs and doc.data.get("model") is None:
            yield doc.problem(path, "tokens are counted by a model's tokenizer; name a model")


def _weights(doc: Yaml, sources: list[r.Source], mix: r.Mix) -> Iterator[Problem]:
    key = "weights" if mix.weights is not None else "amounts"
    path: Path = ("mix", key)
    if (mix.weights is None) == (mix.amounts is None):
        yield doc.problem(("mix",), "give one of weights and amounts")
        return
    total = sum(mix.asked.values())
    if mix.weights is not None and abs(total - 1) > 1e-6:
        yield doc.problem(path, f"the weights sum to {total:g}; they must sum to 1")
    if mix.amounts is not None:
        if mix.total is not None:
            yield doc.problem(("mix", "total"), "the amounts say how many; leave total out")
        if not total:
            yield doc.problem(path, "the amounts are all 0: nothing would be trained")
    for name in mix.repeats:
        if name not in mix.asked:
            what = f"{name!r} has no weight{nearest(name, mix.asked)}"
            yield doc.problem(("mix", "repeats", name), what)
    if mix.by == "source":
        known = {s.name for s in sources}
    else:
        known = {s.common.tags[mix.by] for s in sources if mix.by in s.common.tags}
        if len(known) < len({s.name for s in sources}) and not all(mix.by in s.common.tags for s in sources):
            return  # some rows bring the tag themselves; the mix step looks at them
    if len({s.name for s in sources}) < len(sources):
        return  # two of one name, which is said there: who knows what the weights mean
    unknown = [name for name in mix.asked if name not in known]
    if unknown and len(unknown) == len(mix.asked) and (other := _other_names(sources, mix)):
        what = f"the {key} are named by {other}, not by {mix.by} (did you mean {other}?)"
        yield doc.problem(("mix", "by") if ("mix", "by") in doc.values else path, what, at_value=True)
        return
    meant = set()
    for name in unknown:
        hint = nearest(name, known)
        meant |= {k for k in known if hint == f" (did you mean {k}?)"}
        what = "source" if mix.by == "source" else f"{mix.by} tag"
        yield doc.problem((*path, name), f"no {what} is called {show(name)}{hint}")
    for name in sorted(known - set(mix.asked) - meant):
        yield doc.problem(path, f"{name!r} has no weight; 0 leaves it out")


def _other_names(sources: list[r.Source], mix: r.Mix) -> str:
    """What all weights are named by, where that is not what the mix says: `source`, or a tag."""
    names: dict[str, set[str]] = {"source": {s.name for s in sources}}
    for source in sources:
        for tag, value in source.common.tags.items():
            names.setdefault(tag, set()).add(value)
    return next((by for by, some in names.items() if by != mix.by and set(mix.asked) <= some), "")


def _whole_sets(
    doc: Yaml, parts: dict[str, Any], workspace: Workspace, trust: list[Problem]
) -> Iterator[Problem]:
    """Names and files in `dedup` and `fail_if`."""
    sources = [s.name for s in parts["sources"]] if parts["sources"] is not None else None
    dedup, budgets = parts["dedup"], parts["fail_if"]
    for i, name in enumerate(dedup.prefer if dedup and sources is not None else []):
        if name not in (sources or ()):
            what = f"no source is called {show(name)}{nearest(name, sources or ())}"
            yield doc.problem(("dedup", "prefer", i), what, at_value=True)
    for i, glob in enumerate(dedup.against if dedup else []):
        path: Path = ("dedup", "against", i)

        def missing(glob: str = glob, path: Path = path) -> list[Problem]:
            found = workspace.named("glob", glob)
            other = next((name for name in found if not name.lower().endswith(_PLAIN)), None)
            if other is not None:
                what = (
                    f"{show(other)} is no plain .jsonl: records of an earlier run are read from nothing else"
                )
                return [doc.problem(path, what, at_value=True)]
            return [] if found else [doc.problem(path, f"no file {show(glob)}", at_value=True)]

        yield from guard(doc, path, trust, missing)
    if dedup and dedup.against and dedup.within == "source":
        what = "goes with within: all; within: source compares records with their own source's only"
        yield doc.problem(("dedup", "against"), what)
    yield from _budgets(doc, budgets) if budgets else ()
    for name in budgets.sources if budgets and sources is not None else ():
        if name not in (sources or ()):
            what = f"no source is called {show(name)}{nearest(name, sources or ())}"
            yield doc.problem(("fail_if", "sources", name), what)
    if budgets and parts["filters"] is not None:
        known = [u.plugin for u in parts["filters"]] + ["dedup", "decontaminate", "render"]
        for name in budgets.by:
            if name not in known:
                what = f"no filter of this recipe is called {show(name)}{nearest(name, known)}"
                yield doc.problem(("fail_if", "by", name), what)


def _budgets(doc: Yaml, budgets: r.FailIf) -> Iterator[Problem]:
    """Those that no run could break."""
    named: dict[Path, str | None] = {("rejected",): budgets.rejected, ("dropped",): budgets.dropped}
    named |= {("by", name): budget for name, budget in budgets.by.items()}
    named |= {("sources", name): budget for name, budget in budgets.sources.items()}
    for where, budget in named.items():
        share = budget.strip("> %") if budget and "%" in budget else "0"
        if float(share) > 100:
            what = f"{show(budget)}: no more than 100% of the rows can be lost"
            yield doc.problem(("fail_if", *where), what, at_value=True)


def _twice(doc: Yaml, evaluate: r.Evaluate) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, name in enumerate(evaluate.suites):
        if name in seen:
            yield doc.problem(("evaluate", "suites", i), f"{name!r} is named twice", at_value=True)
        seen.add(name)


def _own_judge(doc: Yaml, model: r.Model | None, suites: list[Suite]) -> Iterator[Problem]:
    """A model that is asked to judge what became of itself."""
    for i, suite in enumerate(suites):
        options = suite.judge.options if suite.judge else {}
        if model and "rubrics" in options and same_model(options["model"], model.base):
            what = f"its judge, {options['model']}, is the model that is tuned; a model does not judge itself"
            yield doc.problem(("evaluate", "suites", i), what, at_value=True)


def _tasks(doc: Yaml, suites: list[Suite]) -> Iterator[Problem]:
    """One task has one set of results: two suites cannot want it with other limits."""
    asked: dict[str, tuple[tuple[int | None, int, bool], str]] = {}
    for i, (name, wanted) in enumerate((s.common.name, s.common.lm_eval) for s in suites):
        if wanted is None:
            continue
        how = (wanted.limit, wanted.fewshot, wanted.multiturn)
        for task in wanted.tasks:
            first, other = asked.setdefault(task, (how, name))
            if first != how:
                what = f"names the task {task!r} with another limit or fewshot than {other!r} does"
                yield doc.problem(("evaluate", "suites", i), what, at_value=True)
