"""YAML → checked Recipe or Suite. Every error at once, each with file, line and column.

Three passes: the YAML itself (yaml12), its shape against the JSON Schema (wording), and what no schema can
say (checks). A later pass looks only at the parts that the earlier ones found sound.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from runner import axolotlkeys, checks, library, suitechecks, wording
from runner import recipe as r
from runner import settings as user_settings
from runner.errors import NeedsTrust, Problem, RecipeError, UsageError
from runner.oci.reference import SCHEME
from runner.oci.reference import parse as reference
from runner.registry import Kind, Plugin, plugins
from runner.schema import Schema, recipe_schema, suite_schema
from runner.suite import Suite, SuiteCommon
from runner.workspace import Workspace
from runner.yaml12 import MAX_BYTES, Yaml, decode, dotted, parse
from runner.yaml12 import Path as Keys

T = TypeVar("T")


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


def _shown(path: Path) -> str:
    """A file's name as the user would type it; shipped ones by their place on the shelf."""
    full = path.resolve()
    for kind in library.KINDS:
        shelf = library.shelf(kind).resolve()
        if full.is_relative_to(shelf):
            return f"{kind}/{full.relative_to(shelf).as_posix()}"
    cwd = Path.cwd()
    return full.relative_to(cwd).as_posix() if full.is_relative_to(cwd) else str(path)


def read(path: Path, shown: str | None = None) -> Yaml:
    """One YAML file as it stands, called `shown` where it is told of. Raises UsageError where it cannot be read,
    RecipeError where it is no YAML."""
    shown = shown or _shown(path)
    try:
        # Without waiting: a pipe that nobody writes to would be waited for for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(kind):
                what = "it is a folder" if stat.S_ISDIR(kind) else "it is a pipe or a device, and no file"
                raise UsageError(f"{shown}: cannot be read: {what}")
            raw = file.read(4 * MAX_BYTES + 1)  # so that no file fills the memory
    except OSError as e:
        raise UsageError(f"{shown}: cannot be read: {e.strerror or e}") from None
    return parse(decode(raw, shown), shown)


def _merge(base: Yaml, child: Yaml) -> None:
    """Lay `child` over `base`, in place: maps are merged, lists and values replaced."""
    replaced = set(_lay(base.data, child.data, ()))
    for mine, theirs in ((base.places, child.places), (base.values, child.values)):
        for old in [p for p in mine if _within(p, replaced)]:
            del mine[old]
        mine.update(theirs)
    base.texts |= child.texts


def _lay(base: dict[str, Any], child: dict[str, Any], path: Keys) -> Iterator[Keys]:
    """Do so with the data; the paths that were replaced."""
    for key, value in child.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            yield from _lay(base[key], value, (*path, key))
        else:
            base[key] = value
            yield (*path, key)


def _within(path: Keys, of: set[Keys]) -> bool:
    return any(path[:n] in of for n in range(1, len(path) + 1))


def _parent(path: Path, name: str, workspace: Workspace) -> Path | None:
    """The file that `extends: name` means: one beside this one, or a shipped one."""
    try:
        beside = (path.parent / name).resolve()
        there = beside.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a circle of links
        return None
    root, home = workspace.root.resolve(), path.parent.resolve()
    allowed = beside.is_relative_to(root) or beside.is_relative_to(home) or "paths" in workspace.trust
    if there:
        shelf = library.shelf("recipes").resolve()
        if not allowed and not beside.is_relative_to(shelf):
            raise NeedsTrust(f"{name!r} lies outside the workspace; allow it with --trust paths")
        return beside
    shipped = library.find(f"recipes/{name}")
    return shipped if shipped and shipped.is_file() else None


def _with_parents(
    path: Path, workspace: Workspace, below: tuple[Path, ...] = (), pack: tuple[Path, str] | None = None
) -> Yaml:
    """`pack`: the folder of the pack that the file is of, and how that is called; then `workspace` is that folder."""
    doc = read(path, f"{pack[1]}/{path.relative_to(pack[0]).as_posix()}" if pack else None)
    if not isinstance(doc.data, dict):
        if doc.data is None:
            raise RecipeError([Problem(doc.file, 1, 1, "", "the file is empty")])
        raise RecipeError([doc.problem((), "the file is not a map of keys", at_value=True)])
    name = doc.data.get("extends")
    if not isinstance(name, str) or not name:
        return doc
    if name.startswith(SCHEME):
        if len(below) > 20:
            raise RecipeError([doc.problem(("extends",), "the chain of recipes has no end", at_value=True)])
        return _onto(_of_pack(doc, name, workspace, (*below, path.resolve())), doc)
    try:
        parent = _parent(path, name, workspace)
    except NeedsTrust as e:
        if pack:  # nobody can allow that of it
            what = f"{wording.show(name)} lies outside the pack"
            raise RecipeError([doc.problem(("extends",), what, at_value=True)]) from None
        raise NeedsTrust([doc.problem(("extends",), str(e), at_value=True)]) from None
    if parent is None:
        known = [p.relative_to(library.shelf("recipes")) for p in library.shelf("recipes").rglob("*.yaml")]
        hint = wording.nearest(name, map(str, known))
        what = f"no recipe {wording.show(name)}{hint}"
        raise RecipeError([doc.problem(("extends",), what, at_value=True)])
    if parent in (*below, path.resolve()) or len(below) > 20:
        raise RecipeError([doc.problem(("extends",), f"{name!r} leads back to itself", at_value=True)])
    of = pack if pack and parent.is_relative_to(pack[0]) else None
    return _onto(_with_parents(parent, workspace, (*below, path.resolve()), of), doc)


def _onto(base: Yaml, doc: Yaml) -> Yaml:
    _merge(base, doc)
    base.file = doc.file
    return base


def _of_pack(doc: Yaml, name: str, workspace: Workspace, below: tuple[Path, ...]) -> Yaml:
    """What a pinned pack says, from the workspace's store: nobody is asked for it here."""

    def refuse(what: str) -> NoReturn:
        raise RecipeError([doc.problem(("extends",), what, at_value=True)])

    from runner.oci import kept

    ref, home = reference(name), workspace.store or workspace.root
    if ref is None:
        refuse(f"{wording.show(name)} is no reference to a pack; write oci://HOST/NAME@sha256:…")
    if not ref.digest:
        known = kept.called(home, str(ref))
        hint = f" (did you mean {ref.at(known)}?)" if known else f"; `recipe pull {ref}` says its digest"
        refuse(f"a tag may come to mean another pack, so only a digest is extended: {ref.at('…')}{hint}")
    found = kept.find(home, ref.digest)
    there = "" if home.resolve() == Path.cwd() else f" --workspace {_shown(home)}"
    bring = f"bring it: recipe pull {ref.at(ref.digest)} --keep{there}"
    if found is None:
        refuse(f"this pack is not here yet; {bring}")
    if kept.unfit(found, user_settings.load()):
        refuse(f"no key of your setting pack_keys was found to have signed this pack; {bring}")
    folder = found.folder.resolve()
    inside = Workspace(folder, store=home)
    called = f"{SCHEME}{ref.host}/{ref.name}@sha256:{ref.digest[:12]}…"
    return _with_parents(found.recipe.resolve(), inside, below, (folder, called))


def chain(path: Path, workspace: Workspace) -> list[tuple[str, Path]]:
    """The file of a recipe that was loaded, and those that it extends: what each is called by the one before, and where
    it is. Raises as loading does."""
    found = [("", path)]
    while isinstance(data := read(path).data, dict) and isinstance(name := data.get("extends"), str):
        parent = None if name.startswith(SCHEME) else _parent(path, name, workspace)
        if parent is None or len(found) > 21:
            break
        found.append((name, path := parent))
    return found


MOST_ERRORS = 1000
"""Wrong values that are looked for in one list or map; what comes after them is not."""


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


def load_recipe(path: Path, workspace: Workspace) -> Loaded:
    """Read and check a recipe. Raises RecipeError with every problem, UsageError, or NeedsTrust."""
    with wording.few_searches():
        return _load_recipe(path, workspace)


def _load_recipe(path: Path, workspace: Workspace) -> Loaded:
    doc = _with_parents(path, workspace)
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


def kept_recipe(path: Path, suites: list[Suite]) -> Loaded:
    """A recipe that was checked when it was run, and the suites of that run. Only its shape is looked at, since files
    that it names may be gone by now. Raises RecipeError, UsageError."""
    doc = read(path)
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
