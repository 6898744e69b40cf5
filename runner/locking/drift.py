"""What is not as it was locked: each thing with what was locked, what is there, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import lock as fetched_locks
from runner.errors import Problem, RecipeError
from runner.fetching import Item
from runner.locking.facts import facts
from runner.locking.written import RecipeLock
from runner.plan import plan as make_plan
from runner.shown import cut
from runner.steps import STAGES, Plan, Stage
from runner.store import Store, digest, file_digest
from runner.workspace import Workspace
from runner.yaml12 import Path as Keys
from runner.yaml12 import dotted

INPUTS = ("files", "fetched", "datasets", "model", "template", "recipe")
"""Kinds of what goes in, as against versions of what works on it."""
LISTED = 8  # items of one source, of which the rest are counted
RAW = "raw"
"""The folder beside a lock in which bytes that were fetched may lie, each file named by its sha256."""


@dataclass(frozen=True)
class Drift:
    """One thing. `locked` or `there` is None where there was, or is, none; `keys` are a recipe's."""

    kind: str
    name: str
    locked: Any
    there: Any
    do: str
    keys: Keys = ()

    def __str__(self) -> str:
        before, now = (_words(v, self.kind) for v in (self.locked, self.there))
        if self.locked is None:
            said = f"was not there when it was locked, now {now}"
        elif self.there is None:
            said = f"locked {before}, now gone"
        else:
            said = f"locked {before}, now {now}"
        return f"{said}; {self.do}" if self.do else said


class Drifted(RecipeError):
    """A recipe is not what its lock says. Nothing that it would change was made.

    `plan` None: there is none, for the reasons that `besides` says. `undone`: what was therefore not done, if
    anything was to be.
    """

    def __init__(
        self,
        found: list[Drift],
        plan: Plan | None,
        file: str,
        again: str,
        besides: Sequence[Problem] = (),
        undone: str = "run",
    ) -> None:
        self.drifts = found
        super().__init__([*besides, *(_problem(d, plan, file) for d in found)])
        many = "1 thing is" if len(found) == 1 else f"{len(found)} things are"
        what = f"{file}: {many} not as locked" + (f", so nothing was {undone}" if undone else "")
        self.args = ("\n".join([what, *map(str, self.problems), f"to lock what is there now: {again}"]),)


def _problem(one: Drift, plan: Plan | None, file: str) -> Problem:
    if one.kind != "recipe" or plan is None:
        return Problem(file, 0, 0, f"{_WORDS[one.kind]} {one.name}".strip(), str(one))
    at = plan.loaded.document.problem(one.keys, str(one), at_value=True)
    return Problem(at.file, at.line, at.column, dotted(one.keys), at.what)


def drifts(locked: RecipeLock, plan: Plan, store: Store, to: Stage = "report") -> list[Drift]:
    """All that differs, as far as the stages up to `to` rest on it. What is not known yet is not compared."""
    return between(locked, facts(plan, store), to)


def between(locked: RecipeLock, now: RecipeLock, to: Stage = "report") -> list[Drift]:
    """The same of two locks."""
    found = [
        Drift("recipe", dotted(keys), a, b, "undo the change", keys)
        for keys, a, b in _differing(locked.recipe, now.recipe)
    ]
    if not found and locked.turns and locked.turns != now.turns:  # a lock of before has none
        then, there = (", ".join(names) for names in (locked.turns, now.turns))
        found.append(Drift("recipe", "mix, in turn", then, there, "undo the change", ("mix",)))
    found += _kinds("template", {"template": locked.template}, {"template": now.template})
    found += _model(locked.model, now.model)
    upto = STAGES[: STAGES.index(to) + 1]
    for kind in ("files", "packages", "plugins", "steps"):
        a, b = (
            {n: v for s in upto if s in of.stages for n, v in getattr(of.stages[s], kind).items()}
            for of in (locked, now)
        )
        found += _kinds(kind, a, b)
    for name in sorted(locked.datasets.keys() & now.datasets.keys()):
        was, here = locked.datasets[name], now.datasets[name]
        if was.commit != here.commit:
            do = f"name the commit in the suite: lm_eval.revisions.{name.removeprefix('task.')}"
            found.append(Drift("datasets", name, was.commit, here.commit, do))
        elif was.files != here.files:
            found += [Drift("datasets", f"{name}: {d.name}", d.locked, d.there, "")
                      for d in _kinds("files", was.files, here.files)]  # fmt: skip
    for name in sorted(locked.fetched.keys() & now.fetched.keys()):
        found += _items(name, locked.fetched[name].items, now.fetched[name].items)
    return found + list(_kinds("tools", locked.tools, now.tools))


def gone(locked: RecipeLock, place: Workspace) -> Iterator[Drift]:
    """Input files that are no longer there: without some of them there is not even a plan to compare."""
    for part in locked.stages.values():
        for name, sha256 in part.files.items():
            if place.find(name) is None:
                yield Drift("files", name, sha256, None, _DO["files"][1])


def _differing(a: Any, b: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any, Any]]:
    """Where two recipes differ: the keys, and the values (None: not there)."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            yield from _differing(a.get(key), b.get(key), (*keys, key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for n, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _differing(x, y, (*keys, n))
    elif type(a) is not type(b) or a != b:
        yield keys, a, b


_WORDS = {
    "files": "file", "packages": "package", "plugins": "", "steps": "step", "tools": "", "template": "chat",
    "model": "model", "fetched": "fetched for", "datasets": "data of",
}  # fmt: skip
_DO = {
    "files": ("put the old one back", "put it back", "take it away"),
    "template": ("put the old one back", "name it again", "name none"),
    "plugins": ("take the version that has it", "install it again", "take it away"),
    "steps": ("take the mirepoix of the lock", "take the mirepoix of the lock", "take the mirepoix of the lock"),
}  # fmt: skip


def _kinds(kind: str, locked: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[Drift]:
    for name in sorted(locked.keys() | there.keys()):
        a, b = locked.get(name), there.get(name)
        if a == b:
            continue
        if kind == "packages":
            do = "" if a in (None, "absent") else f"pip install '{name}=={a}'"
            a, b = (None if v == "absent" else v for v in (a, b))
            if a == b:
                continue
        elif kind == "tools":
            do = f"pip install 'mirepoix=={a}'" if name == "mirepoix" else f"run it with Python {a}"
        else:
            do = _DO[kind][0 if a is not None and b is not None else 1 if b is None else 2]
        yield Drift(kind, name, a, b, do)


def _model(locked: dict[str, Any] | None, there: dict[str, Any] | None) -> Iterator[Drift]:
    a, b = locked or {}, there or {}
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) == b.get(key) or (key == "base" and a and b):  # the name stands in the recipe
            continue
        do = (
            f"say it in the recipe: model.revision: {a['revision']}"
            if key == "revision" and a.get(key)
            else ""
        )
        yield Drift("model", f"{b.get('base') or a.get('base')} {key}", a.get(key), b.get(key), do)


def _items(source: str, locked: list[Item], there: list[Item]) -> Iterator[Drift]:
    a, b = ({i.key: i for i in items} for items in (locked, there))
    differing = [key for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]
    for n, key in enumerate(differing):
        if n == LISTED:
            more = f"{len(differing) - LISTED:,} items more"
            yield Drift("fetched", f"{source}: {more}", "other bytes", "others", "")
            return
        was, now = (_had(x) for x in (a.get(key), b.get(key)))
        if was == now:
            was, now = (str(sorted(i.meta.items())) for i in (a[key], b[key]))
        yield Drift("fetched", f"{source}: {key[:200]}", was, now, "the world has another one now")
    if not differing and [i.key for i in locked] != [i.key for i in there]:
        yield Drift("fetched", source, "one order", "another order", "the world has another one now")


def _had(item: Item | None) -> str | None:
    return None if item is None else item.sha256 or f"nothing ({item.error})"


def _words(value: Any, kind: str) -> str:
    text = str(value)
    if kind == "steps" or kind == "plugins":
        return f"version {text}"
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return f"sha256 {text[:16]}…"
    return cut(text, 160)


@dataclass(frozen=True)
class Held:
    """Holds a run to its lock, again and again as more is known: as a plan, after what is fetched, after a task's data.

    `raw` may hold bytes that were fetched elsewhere: what this workspace has not fetched is taken from there, since the
    lock says of each what it is.
    """

    lock: RecipeLock
    file: str
    again: str
    to: Stage = "report"
    raw: Path | None = None

    def __call__(self, plan: Plan, store: Store) -> Plan:
        """The plan, with what could be taken from the lock. Raises Drifted with all that differs."""
        tried: set[str] = set()
        while self._taken(plan, store, tried):
            plan = make_plan(plan.loaded, plan.workspace, plan.profile)
        if found := drifts(self.lock, plan, store, self.to):
            raise Drifted(found, plan, self.file, self.again)
        return plan

    def _taken(self, plan: Plan, store: Store, tried: set[str]) -> bool:
        """Lock for this workspace what was locked for the recipe, where nothing is yet and all bytes are at hand."""
        some = False
        for fetch in plan.fetches:
            known = self.lock.fetched.get(fetch.source.name)
            request = digest(fetch.request)
            if fetch.items is not None or known is None or known.request != request or request in tried:
                continue
            tried.add(request)
            if all(self._at_hand(i, store) for i in known.items if i.sha256):
                fetched_locks.write(store.root, fetch.request, known.items)
                some = True
        return some

    def _at_hand(self, item: Item, store: Store) -> bool:
        from runner.net.cache import Cache  # it brings an HTTP library along

        there = fetched_locks.raw(store.root, item)
        with suppress(FileNotFoundError):
            if file_digest(there) == item.sha256:
                return True
        path = None if self.raw is None else self.raw / item.sha256
        if path is None or path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:  # kept by what it is, whatever it is called
            return Cache(store.root).store(iter(lambda: file.read(1 << 20), b"")) == item.sha256
