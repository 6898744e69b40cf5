"""What a suite must satisfy beyond its schema: names that refer to something, options that fit together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from runner import armchecks, gatechecks, probechecks, taskchecks
from runner.errors import Problem
from runner.registry import plugins
from runner.suite import Suite, alike_in
from runner.wording import show
from runner.workspace import MOST_PATTERNS, Workspace, wild
from runner.yaml12 import Path, Yaml


def suite(doc: Yaml, suite: Suite, workspace: Workspace, name: str) -> Iterator[Problem]:
    """All such problems of the suite that a recipe calls `name`."""
    common = suite.common
    if common.name != name:
        what = f"must be {name!r}, as the file is called; steps and metrics go by it"
        yield doc.problem(("name",), what, at_value=True)
    yield from armchecks.decoding(doc, common.decoding)
    if (common.probes is None) != (suite.judge is None):
        yield doc.problem((), "probes and a judge go together")
    low, high = common.perplexity.words if common.perplexity else (0, 0)
    if low > high:
        what = f"the fewest words, {low}, are more than the most, {high}"
        yield doc.problem(("perplexity", "words"), what, at_value=True)
    for what in (*alike_in(suite), *gatechecks.taken_twice(suite, workspace)):
        yield doc.problem(("name",), what)
    if common.probes is None and common.lm_eval is None and common.perplexity is None:
        what = "the suite judges nothing: give probes and a judge, lm_eval, or perplexity"
        yield doc.problem((), what)
    texts = common.perplexity.texts if common.perplexity else {}
    if (asked := sum(map(wild, texts.values()))) > MOST_PATTERNS:
        what = f"names {asked:,} patterns of files; {MOST_PATTERNS:,} are the most"
        yield doc.problem(("perplexity", "texts"), what)
        return
    for group, globs in texts.items():
        for i, glob in enumerate(globs):
            if not workspace.named("glob", glob):
                path: Path = ("perplexity", "texts", group, i)
                yield doc.problem(path, f"no file {show(glob)}", at_value=True)
    files: list[tuple[Path, str, str]] = [(("probes",), "evals", common.probes)] if common.probes else []
    if common.lm_eval:
        yield from taskchecks.tasks(doc, common.lm_eval, workspace)
    if suite.judge:
        plugin = plugins("judge")[suite.judge.plugin]
        named: dict[str, dict[str, FilePath]] = {}
        for option, how in plugin.file_options.items():
            value = suite.judge.options[option]
            if value is None:
                continue
            place: Path = ("judge", suite.judge.plugin, option)
            some = [((*place, i), v) for i, v in enumerate(value if isinstance(value, list) else ())]
            some = some or [(place, value)]
            files += [(where, how, v) for where, v in some]
            named[option] = {n: p for _, v in some for n, p in workspace.named(how, v).items()}
        yield from plugin.look(named)
        for inner, what in plugin.check(suite.judge.options):
            where = ("judge", suite.judge.plugin, *inner)
            yield doc.problem(where, what, at_value=bool(inner) and where in doc.values)
    if common.probes:
        yield from probechecks.wrong(suite, workspace)
    for at, how, name in files:
        if not workspace.named(how, name):
            shown = f"evals/{name}" if how == "evals" else name
            yield doc.problem(at, f"no file {show(shown)}", at_value=True)
