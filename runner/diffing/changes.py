"""What two recipes do not have in common, by meaning: each value that takes effect, with what set it on either side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from runner import recipe as r
from runner.diffing.effective import PLAIN, Effective, judged
from runner.diffing.pairing import moved, pairs
from runner.store import canonical
from runner.suite import Suite
from runner.yaml12 import Path as Keys
from runner.yaml12 import dotted

Kind = Literal["changed", "added", "removed", "renamed", "moved"]
GROUPS = (
    "recipe", "sources", "filters", "dedup", "decontaminate", "mix", "split", "fail_if", "model", "adapter", "train",
    "axolotl", "evaluate", "gates", "suites", "compute", "track",
)  # fmt: skip
_OTHER: dict[Kind, Kind] = {"added": "removed", "removed": "added"}


@dataclass(frozen=True)
class Change:
    """One value. `key` names it by names, not numbers, of list items; `at` are its keys in the two documents, `set_by`
    the places that set it, "" where it is not there. Of what moved, `a` and `b` are its places in the list, from 1."""

    group: str
    key: str
    kind: Kind
    a: Any
    b: Any
    at: tuple[Keys, Keys]
    set_by: tuple[str, str]

    def mirrored(self) -> Change:
        """The same, seen from the other side."""
        kind = _OTHER.get(self.kind, self.kind)
        return Change(
            self.group,
            self.key,
            kind,
            self.b,
            self.a,
            (self.at[1], self.at[0]),
            (self.set_by[1], self.set_by[0]),
        )


def changes(a: Effective, b: Effective) -> list[Change]:
    """All that differs, part by part. Comments, the order of keys and how a value is spelt are no difference."""
    return list(_Differ(a, b).all())


def same(a: Any, b: Any) -> bool:
    """Whether two values mean the same: 1 and 1.0 do, 1 and true do not."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


class _Differ:
    def __init__(self, a: Effective, b: Effective) -> None:
        self.a, self.b = a, b

    def all(self) -> Iterator[Change]:
        for key in ("name", "description", "seed"):
            a, b = (getattr(side.recipe, key) for side in (self.a, self.b))
            yield from self._values("recipe", (key,), a, b, (key,), (key,))
        yield from self._sources()
        yield from self._filters()
        for part in PLAIN:
            yield from self._values(part, (part,), self.a.part(part), self.b.part(part), (part,), (part,))
            if part == "mix":
                yield from self._turns()
        yield from self._evaluate()
        yield from self._suites()

    def _change(self, group: str, key: Keys, kind: Kind, a: Any, b: Any, at: tuple[Keys, Keys]) -> Change:
        set_by = (
            "" if kind == "added" else self.a.set_by(at[0]),
            "" if kind == "removed" else self.b.set_by(at[1]),
        )
        return Change(group, dotted(key), kind, a, b, at, set_by)

    def _values(self, group: str, key: Keys, a: Any, b: Any, at_a: Keys, at_b: Keys) -> Iterator[Change]:
        """Where two values differ: maps key by key, all else as a whole."""
        if isinstance(a, dict) and isinstance(b, dict):
            for name in dict.fromkeys([*a, *b]):
                inner, at = (*key, name), ((*at_a, name), (*at_b, name))
                if name not in a:
                    yield self._change(group, inner, "added", None, b[name], at)
                elif name not in b:
                    yield self._change(group, inner, "removed", a[name], None, at)
                else:
                    yield from self._values(group, inner, a[name], b[name], *at)
        elif not same(a, b):
            yield self._change(group, key, "changed", a, b, (at_a, at_b))

    def _sources(self) -> Iterator[Change]:
        old, new = self.a.recipe.sources, self.b.recipe.sources
        found = pairs(old, new, lambda s: s.name, _nameless)
        for i, j in found:
            x, y = old[i], new[j]
            key: Keys = ("sources", y.name)
            at: tuple[Keys, Keys] = (("sources", i), ("sources", j))
            inside: tuple[Keys, Keys] = ((*at[0], x.plugin), (*at[1], y.plugin))
            if x.name != y.name:
                yield self._change("sources", ("sources",), "renamed", x.name, y.name, at)
            if x.plugin != y.plugin:
                a, b = ({s.plugin: s.options} for s in (x, y))
                yield self._change("sources", key, "changed", a, b, inside)
            else:
                yield from self._values("sources", (*key, x.plugin), x.options, y.options, *inside)
            yield from self._values("sources", key, _common(x), _common(y), *at)
        yield from self._items("sources", found, [s.name for s in old], [s.name for s in new])
        names = [((i, j), "\0".join(sorted({old[i].name, new[j].name}))) for i, j in found]
        for i, j in sorted(moved(names)):
            at = (("sources", i), ("sources", j))
            key = ("sources", *{old[i].name} & {new[j].name})  # a new name is another change
            yield self._change("sources", key, "moved", i + 1, j + 1, at)

    def _filters(self) -> Iterator[Change]:
        old, new = self.a.recipe.filters, self.b.recipe.filters
        found = pairs(old, new, _whole, lambda use: use.plugin)
        for i, j in found:
            plugin = old[i].plugin
            at: tuple[Keys, Keys] = (("filters", i, plugin), ("filters", j, plugin))
            yield from self._values("filters", ("filters", plugin), old[i].options, new[j].options, *at)
        yield from self._items("filters", found, [u.plugin for u in old], [u.plugin for u in new])
        names = [((i, j), "\0".join(sorted((_whole(old[i]), _whole(new[j]))))) for i, j in found]
        for i, j in sorted(moved(names)):
            at = (("filters", i), ("filters", j))
            yield self._change("filters", ("filters", new[j].plugin), "moved", i + 1, j + 1, at)

    def _items(
        self, group: str, found: Sequence[tuple[int, int]], old: Sequence[str], new: Sequence[str]
    ) -> Iterator[Change]:
        """Items of a list that only one side has, as they are written there."""
        gone = sorted(set(range(len(old))) - {i for i, _ in found})
        come = sorted(set(range(len(new))) - {j for _, j in found})
        for i in gone:
            at: tuple[Keys, Keys] = ((group, i), ())
            yield self._change(group, (group, old[i]), "removed", self._side(0, i, group), None, at)
        for j in come:
            at = ((), (group, j))
            yield self._change(group, (group, new[j]), "added", None, self._side(1, j, group), at)

    def _side(self, side: int, n: int, part: str) -> Any:
        """An item as it is written on one side."""
        return (self.a, self.b)[side].document.data[part][n]

    def _turns(self) -> Iterator[Change]:
        """The order of a mix in turn, one of the few maps of a recipe whose order decides."""
        old, new = self.a.recipe.mix, self.b.recipe.mix
        if old and new and old.order == new.order == "in_turn":
            keys: list[Keys] = [("mix", "amounts" if m.weights is None else "weights") for m in (old, new)]
            key: Keys = keys[0] if keys[0] == keys[1] else ("mix",)
            yield from self._order("mix", key, list(old.asked), list(new.asked), (keys[0], keys[1]))

    def _order(
        self, group: str, key: Keys, old: Sequence[str], new: Sequence[str], at: tuple[Keys, Keys]
    ) -> Iterator[Change]:
        """Names of a map, in which both sides have them in another order."""
        found = pairs(old, new, lambda name: name)
        for i, j in sorted(moved((p, old[p[0]]) for p in found)):
            where = ((*at[0], old[i]), (*at[1], new[j]))
            yield self._change(group, (*key, old[i]), "moved", i + 1, j + 1, where)

    def _evaluate(self) -> Iterator[Change]:
        old, new = (msgspec.to_builtins(side.recipe.evaluate) for side in (self.a, self.b))
        apart = ("suites", "gates")
        a, b = ({k: v for k, v in x.items() if k not in apart} for x in (old, new))
        yield from self._values("evaluate", ("evaluate",), a, b, ("evaluate",), ("evaluate",))
        arms: Keys = ("evaluate", "arms")
        yield from self._order("evaluate", arms, [*old["arms"]], [*new["arms"]], (arms, arms))
        yield from self._gates(old["gates"], new["gates"])
        suites: tuple[list[str], list[str]] = (old["suites"], new["suites"])
        found = pairs(*suites, lambda name: name)
        where: Keys = ("evaluate", "suites")
        for n, names in enumerate(suites):
            for i in sorted(set(range(len(names))) - {p[n] for p in found}):
                of = (self.a, self.b)[n].suites.get(names[i])
                value = _brief(of) if of else None
                key = (*where, names[i])
                if n == 0:
                    yield self._change("evaluate", key, "removed", value, None, ((*where, i), ()))
                else:
                    yield self._change("evaluate", key, "added", None, value, ((), (*where, i)))
        for i, j in sorted(moved((p, suites[0][p[0]]) for p in found)):
            at = ((*where, i), (*where, j))
            yield self._change("evaluate", (*where, suites[1][j]), "moved", i + 1, j + 1, at)

    def _gates(self, old: list[str], new: list[str]) -> Iterator[Change]:
        where: Keys = ("evaluate", "gates")
        found = pairs(old, new, _gate, lambda g: _gate(g)[:2])
        for i, j in found:
            if _gate(old[i]) != _gate(new[j]):
                yield self._change("gates", where, "changed", old[i], new[j], ((*where, i), (*where, j)))
        for i in sorted(set(range(len(old))) - {i for i, _ in found}):
            yield self._change("gates", where, "removed", old[i], None, ((*where, i), ()))
        for j in sorted(set(range(len(new))) - {j for _, j in found}):
            yield self._change("gates", where, "added", None, new[j], ((), (*where, j)))

    def _suites(self) -> Iterator[Change]:
        """What suites say that both sides have."""
        for name, suite in self.a.suites.items():
            other = self.b.suites.get(name)
            if other is None:
                continue
            for keys, kind, a, b in (*_within(judged(suite), judged(other)), *_groups(suite, other)):
                set_by = (
                    "" if kind == "added" else self.a.suite_set_by(name, keys),
                    "" if kind == "removed" else self.b.suite_set_by(name, keys),
                )
                yield Change("suites", dotted(("suites", name, *keys)), kind, a, b, (keys, keys), set_by)


def _groups(suite: Suite, other: Suite) -> Iterator[tuple[Keys, Kind, Any, Any]]:
    """Groups of held-out texts that come in another order."""
    old, new = (list(s.common.perplexity.texts) if s.common.perplexity else [] for s in (suite, other))
    found = pairs(old, new, lambda name: name)
    for i, j in sorted(moved((p, old[p[0]]) for p in found)):
        yield ("perplexity", "texts", old[i]), "moved", i + 1, j + 1


def _within(a: Any, b: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Kind, Any, Any]]:
    if not (isinstance(a, Mapping) and isinstance(b, Mapping)):
        if not same(a, b):
            yield keys, "changed", a, b
        return
    for name in dict.fromkeys([*a, *b]):
        inner = (*keys, name)
        if name not in a:
            yield inner, "added", None, b[name]
        elif name not in b:
            yield inner, "removed", a[name], None
        else:
            yield from _within(a[name], b[name], inner)


def _common(source: r.Source) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(source.common)
    return {k: v for k, v in said.items() if k != "name"}


def _nameless(source: r.Source) -> bytes:
    return canonical([source.plugin, source.options, _common(source)])


def _whole(use: r.Use) -> str:
    return canonical([use.plugin, use.options]).decode()


def _gate(text: str) -> tuple[Any, ...]:
    """A gate by what it says: metric and comparison, then with what."""
    found = re.match(r.GATE, text)
    if found is None:
        return (text, "")
    metric, operator, arm, sign, delta, number = found.groups()
    numbers = [None if n is None else float(n) for n in (delta, number)]
    return (metric, operator, arm, sign, *numbers)


def _brief(suite: Suite) -> dict[str, Any]:
    """What a suite judges by, in a line."""
    common = suite.common
    said = {
        "probes": common.probes,
        "judge": suite.judge.plugin if suite.judge else None,
        "lm_eval": common.lm_eval.tasks if common.lm_eval else None,
        "perplexity": list(common.perplexity.texts) if common.perplexity else None,
    }
    return {k: v for k, v in said.items() if v is not None}
