"""YAML → checked Recipe or Suite. Every error at once, each with file, line and column.

Three passes: the YAML itself (yaml12), its shape against the JSON Schema (wording), and what no schema can
say (checks). A later pass looks only at the parts that the earlier ones found sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runner import axolotlkeys, checks, library, suitechecks, wording
from runner import recipe as r
from runner.errors import NeedsTrust, Problem, RecipeError, UsageError
from runner.extending import chain as chain
from runner.extending import read as read
from runner.extending import with_parents
from runner.registry import Kind, Plugin, plugins
from runner.schema import Schema, recipe_schema, suite_schema
from runner.suite import Suite, SuiteCommon
from runner.workspace import Workspace
from runner.yaml12 import Path as Keys
from runner.yaml12 import Yaml, dotted

T = TypeVar("T")
MOST_ERRORS = 1000
"""Wrong values that are looked for in one list or map; what comes after them is not."""


@dataclass
class Loaded:
    """A checked recipe with the document that it came from."""

    recipe: r.Recipe
    document: Yaml
    suites: list[Suite] = field(default_factory=list)

    @property
    def who(self) -> dict[str, str]:
        """Which file set each key: `mix.weights.twain` → `recipes/x.yaml:12`."""
        return {
            dotted(path): f"{place.file}:{place.line}"
            for path, place in self.document.places.items()
            if _leaf(self.document.data, path)
        }


def _leaf(data: Any, path: Keys) -> bool:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return False
    return not isinstance(data, dict | list) or not data


def _validator(schema: Schema, more: list[str]) -> Any:
    """JSON Schema where Python would be laxer: `$` is the very end of a text, and 16.0 no whole number.

    `more` gets an entry for each list or map that has more than MOST_ERRORS.
    """
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def pattern(validator: Any, wanted: str, value: Any, of: Any) -> Iterator[Any]:
        if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", wanted), value):
            yield ValidationError(f"does not match {wanted}")

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda checker, value: type(value) is int)

    def some(keyword: str) -> Any:
        every = Draft202012Validator.VALIDATORS[keyword]

        def first(validator: Any, wanted: Any, value: Any, of: Any) -> Iterator[Any]:
            if isinstance(value, list) and len(value) > of.get("maxItems", len(value)):
                return  # which is said; then each is not looked at
            for number, error in enumerate(every(validator, wanted, value, of)):
                if number == MOST_ERRORS:
                    more.append(keyword)
                    return
                yield error

        return first

    keywords = {"pattern": pattern} | {k: some(k) for k in ("items", "additionalProperties", "propertyNames")}
    stricter: Any = extend  # has no types of its own
    return stricter(Draft202012Validator, keywords, type_checker=types)(schema)


def _shape(doc: Yaml, schema: Schema) -> list[Problem]:
    if not isinstance(doc.data, dict):
        return [doc.problem((), "the file is not a map of keys", at_value=True)]
    more: list[str] = []
    errors = _validator(schema, more).iter_errors(doc.data)
    unknown: dict[Keys, Callable[[str], str]] = {("axolotl",): axolotlkeys.why_not}
    found = list(dict.fromkeys(p for e in errors for p in wording.problems(e, doc, schema, unknown)))
    found = wording.causes(found)
    if more:
        what = f"a list or map has more than {MOST_ERRORS:,} wrong values; what comes after them was not looked at"
        found.append(Problem(doc.file, 0, 0, "", what))
    return found


def _convert(value: Any, kind: type[T]) -> T:
    return msgspec.convert(value, kind, strict=True)


def _plugin_of(item: dict[str, Any], kind: Kind) -> Plugin | None:
    named = [k for k in item if k in plugins(kind)]
    return plugins(kind)[named[0]] if len(named) == 1 else None


def _use(item: dict[str, Any], kind: Kind) -> r.Use | None:
    plugin = _plugin_of(item, kind)
    if plugin is None:
        return None
    options = _convert(item[plugin.name] or {}, plugin.options)
    return r.Use(plugin.name, msgspec.to_builtins(options))


def _source(item: dict[str, Any]) -> r.Source | None:
    use = _use(item, "source")
    if use is None:
        return None
    common = _convert({k: v for k, v in item.items() if k != use.plugin}, r.SourceCommon)
    return r.Source(common.name or use.plugin, use.plugin, use.options, common)


class _Sections:
    """Typed parts of the document; those with problems give None, so that the others are still checked."""

    def __init__(self, doc: Yaml, bad: list[Problem]) -> None:
        self.doc, self.problems = doc, bad
        self.unsound = {p.where.replace("[", ".").partition(".")[0] for p in bad}

    def get(self, key: str, kind: Any, default: Any = None) -> Any:
        value = self.doc.data.get(key)
        if key in self.unsound:
            return None
        if value is None:
            return default
        return self.guard((key,), lambda: _convert(value, kind))

    def items(self, key: str, make: Any, kind: Kind) -> list[Any] | None:
        if key in self.unsound:
            return None
        out = []
        for i, item in enumerate(self.doc.data.get(key) or []):
            made = self.guard((key, i), lambda item=item: make(item))
            if made is None and not any(p.where.startswith(f"{key}[{i}]") for p in self.problems):
                named = sorted(set(item) & set(plugins(kind)))
                what = f"names {len(named)} {kind}s, {' and '.join(named)}; begin each with `- `"
                what = what if named else f"names no {kind}: one of {', '.join(sorted(plugins(kind)))}"
                self.problems.append(self.doc.problem((key, i), what))
            out.append(made)
        return None if None in out else out

    def guard(self, path: Keys, make: Any) -> Any:
        try:
            return make()
        except (msgspec.ValidationError, OverflowError) as e:
            self.problems.append(self.doc.problem(path, str(e), at_value=True))
            return None


def located(name: Path) -> Path:
    """The file that a recipe's name means: the user's, or a shipped one. Raises UsageError where there is none."""
    found = library.recipe(name)
    if found is None:
        raise UsageError(f"no recipe {str(name)[:200]!r}")
    return found


def load_recipe(path: Path, workspace: Workspace) -> Loaded:
    """Read and check a recipe. Raises RecipeError with every problem, UsageError, or NeedsTrust."""
    with wording.few_searches():
        return _load_recipe(path, workspace)


def _load_recipe(path: Path, workspace: Workspace) -> Loaded:
    doc = with_parents(path, workspace)
    parts, bad = _parts(doc)
    trust: list[Problem] = []
    suites: list[Suite] = []
    named = parts["evaluate"].suites if parts["evaluate"] else []
    there = set(suite_names(workspace)) if named else set()
    for name_at, name in enumerate(named):
        if name not in there:
            bad.append(doc.problem(("evaluate", "suites", name_at), _no_suite(name, there)))
            continue
        try:
            suites.append(load_suite(name, workspace))
        except UsageError as e:  # there is none, or it cannot be read
            bad.append(doc.problem(("evaluate", "suites", name_at), str(e)))
        except NeedsTrust as e:
            trust.append(doc.problem(("evaluate", "suites", name_at), str(e)))
        except RecipeError as e:
            bad.extend(e.problems)
    bad.extend(checks.recipe(doc, parts, suites, workspace, trust))
    if bad:
        raise RecipeError(list(dict.fromkeys(bad)))
    if trust:
        raise NeedsTrust(trust)
    return Loaded(_recipe(doc, parts), doc, suites)


def shaped(doc: Yaml, suites: list[Suite]) -> Loaded:
    """A recipe of which only the shape is looked at, since files that it names may not be here: a run kept it, or all
    else was found right. Raises RecipeError."""
    parts, bad = _parts(doc)
    if bad:
        raise RecipeError(bad)
    return Loaded(_recipe(doc, parts), doc, suites)


def _recipe(doc: Yaml, parts: dict[str, Any]) -> r.Recipe:
    data = doc.data
    common = {
        "name": data["name"],
        "description": data.get("description") or "",
        "seed": data.get("seed", 17),
    }
    return r.Recipe(**common, **parts)


def _parts(doc: Yaml) -> tuple[dict[str, Any], list[Problem]]:
    """The typed parts of a recipe, those with problems None, and the problems of its shape: more may be added."""
    bad = _shape(doc, recipe_schema())
    s = _Sections(doc, bad)
    parts: dict[str, Any] = {
        "sources": s.items("sources", _source, "source") if doc.data.get("sources") else None,
        "filters": s.items("filters", lambda item: _use(item, "filter"), "filter"),
        "dedup": s.get("dedup", r.Dedup, r.Dedup(exact=False, near=None)),
        "decontaminate": s.get("decontaminate", r.Decontaminate, r.Decontaminate()),
        "mix": s.get("mix", r.Mix),
        "split": s.get("split", r.Split, r.Split()),
        "fail_if": s.get("fail_if", r.FailIf, r.FailIf()),
        "model": s.get("model", r.Model),
        "adapter": s.get("adapter", r.Adapter, r.Adapter()),
        "train": s.get("train", r.Train, r.Train()),
        "evaluate": s.get("evaluate", r.Evaluate, r.Evaluate()),
        "compute": s.get("compute", r.Compute, r.Compute()),
        "track": s.get("track", r.Track, r.Track()),
        "axolotl": s.get("axolotl", r.Overrides, r.Overrides()),
    }
    return parts, bad


def suite_names(workspace: Workspace) -> list[str]:
    """All suites there are, the workspace's own and the shipped ones."""
    folders = (workspace.root / "evals/suites", library.shelf("evals") / "suites")
    return sorted({p.stem for f in folders if f.is_dir() for p in f.glob("*.yaml")})


def _no_suite(name: str, there: Iterable[str]) -> str:
    return f"no suite {name!r}{wording.nearest(name, there)}"


def load_suite(name: str, workspace: Workspace) -> Suite:
    """Read and check the suite `evals/suites/NAME.yaml`. Raises UsageError where there is none."""
    path = workspace.find(f"evals/suites/{name}.yaml")
    if path is None:
        raise UsageError(_no_suite(name, suite_names(workspace)))
    doc = read(path)
    bad = _shape(doc, suite_schema())
    if not bad:
        judge = doc.data.get("judge")
        s = _Sections(doc, bad)
        common = s.guard(
            (), lambda: _convert({k: v for k, v in doc.data.items() if k != "judge"}, SuiteCommon)
        )
        use = s.guard(("judge",), lambda: _use(judge, "judge")) if judge else None
        if common and not bad:
            suite = Suite(common, use)
            bad.extend(suitechecks.suite(doc, suite, workspace, name))
            if not bad:
                return suite
    raise RecipeError(bad)
