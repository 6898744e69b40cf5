"""`recipe diff` on values: what is named as changed is what changed, from either side, however a recipe is written."""

from __future__ import annotations

import json
import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from runner import recipe as r
from runner.diffing.changes import Change, changes, same
from runner.diffing.effective import DEFAULT, Effective, effective
from runner.diffing.pairing import moved, pairs
from runner.diffing.values import between, written
from runner.errors import RecipeError
from runner.load import load_recipe, read
from runner.plan import plan
from runner.workspace import Workspace
from runner.yaml12 import dump

BASE: dict[str, Any] = {
    "recipe": 1,
    "name": "t",
    "sources": [
        {"jsonl": {"files": ["a.jsonl"]}, "name": "one", "tags": {"tone": "dry"}},
        {"jsonl": {"files": ["b.jsonl"]}, "name": "two", "license": "CC0-1.0"},
        {"text": {"files": ["c.txt"]}, "name": "three"},
    ],
    "filters": [{"language": {"keep": ["en"]}}, {"words": {"min": 5, "max": 200}}, {"repetition": {}}],
    "dedup": {},  # which is not none: left out, there is no dedup at all
    "mix": {"weights": {"one": 0.5, "two": 0.3, "three": 0.2}},
    "model": {"base": "embedded/smollm2-135m-instruct", "template": "chatml-tools"},
    "train": {"learning_rate": 0.0002},
    "evaluate": {
        "suites": ["tool-use", "capability"],
        "gates": ["tool_use.valid_call >= 0.85", "capability.everyday_facts.acc >= base - 0.03"],
    },
}
PARTS = {"dedup": r.Dedup, "split": r.Split, "adapter": r.Adapter, "train": r.Train, "axolotl": r.Overrides,
         "compute": r.Compute, "evaluate": r.Evaluate, "model": r.Model}  # fmt: skip


EXAMPLES = int(os.environ.get("DIFF_EXAMPLES", "40"))
"""Random edits that are tried; a long run tries thousands: docs/diff.md."""


@pytest.fixture(scope="module")
def base(place: Workspace) -> Effective:
    return loaded(place, BASE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("w")
    for name in ("a.jsonl", "b.jsonl", "d.jsonl", "c.txt"):
        (root / name).write_text('{"messages": []}\n')
    return Workspace(root)


def loaded(place: Workspace, data: Any, text: str | None = None) -> Effective:
    path = place.root / "r.yaml"
    path.write_text(dump(data) if text is None else text, encoding="utf-8")
    found = load_recipe(path, place)
    documents = {}
    for suite in found.suites:
        where = place.find(f"evals/suites/{suite.common.name}.yaml")
        assert where
        documents[suite.common.name] = read(where)
    return effective(found, documents)


def fingerprints(place: Workspace) -> dict[str, str]:
    """Of the steps of the recipe that was loaded last."""
    try:
        return {s.name: s.fingerprint for s in plan(load_recipe(place.root / "r.yaml", place), place).steps}
    except RecipeError:  # an optimizer that this machine has not
        return {}


def edited(**parts: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(BASE))
    for part, value in parts.items():
        data[part] = data[part] | value if isinstance(value, dict) and part in data else value
    return data


def told(found: list[Change]) -> list[tuple[str, str, Any, Any]]:
    return [(c.key, c.kind, c.a, c.b) for c in found]


def in_any_order(found: list[Change]) -> list[str]:
    return sorted(map(repr, found))


def scalar(kind: inspect.Type) -> st.SearchStrategy[Any] | None:
    """Values that a key of this type takes; None for lists, maps and texts."""
    if isinstance(kind, inspect.Metadata):
        return scalar(kind.type)
    if isinstance(kind, inspect.BoolType):
        return st.booleans()
    if isinstance(kind, inspect.LiteralType):
        return st.sampled_from(kind.values)
    if isinstance(kind, inspect.IntType):
        low = kind.ge if kind.ge is not None else 0
        return st.integers(low, min(kind.le if kind.le is not None else 64, 64))
    if isinstance(kind, inspect.FloatType):
        least = kind.ge if kind.ge is not None else kind.gt or 0.0
        most = min(x for x in (kind.le, kind.lt, 4.0) if x is not None)
        return st.floats(least + 0.001, most - 0.001).map(lambda x: round(x, 4))
    if isinstance(kind, inspect.UnionType):
        some = [s for t in kind.types if not isinstance(t, inspect.NoneType) and (s := scalar(t)) is not None]
        return st.one_of(some) if some else None
    return None


KEYS: list[tuple[str, str, st.SearchStrategy[Any]]] = [
    (part, field.encode_name, strategy)
    for part, kind in PARTS.items()
    for field in msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    if (strategy := scalar(field.type)) is not None
]
EDIT = st.sampled_from(KEYS).flatmap(lambda k: k[2].map(lambda value: (k[0], k[1], value)))


def test_many_keys_are_edited() -> None:
    assert len(KEYS) > 70 and {part for part, _, _ in KEYS} == set(PARTS)


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES == 40
)
@given(
    edits=st.lists(EDIT, min_size=1, max_size=4, unique_by=lambda e: e[:2]),
    order=st.permutations(range(3)),
    name=st.sampled_from(["t", "u"]),
    tag=st.sampled_from(["dry", "wry", None]),
    extra=st.booleans(),
)
def test_what_was_edited_is_named_and_nothing_else(
    place: Workspace,
    base: Effective,
    edits: list[tuple[str, str, Any]],
    order: list[int],
    name: str,
    tag: str | None,
    extra: bool,
) -> None:
    a, data = base, edited(name=name)
    for part, key, value in edits:
        data.setdefault(part, {})[key] = value
    data["filters"] = [data["filters"][n] for n in order] + ([{"pii": {}}] if extra else [])
    if tag is None:
        del data["sources"][0]["tags"]
    else:
        data["sources"][0]["tags"]["tone"] = tag
    try:
        b = loaded(place, data)
    except RecipeError:  # keys that do not go together
        assume(False)
    wanted: dict[str, Any] = {}
    for part, key, value in edits:
        if not same(value, was := msgspec.to_builtins(getattr(getattr(a.recipe, part), key))):
            wanted[f"{part}.{key}"] = (was, value)
    wanted |= {"name": ("t", "u")} if name == "u" else {}
    wanted |= {"sources.one.tags.tone": ("dry", tag)} if tag != "dry" else {}
    wanted |= {"filters.pii": (None, {"pii": {}})} if extra else {}
    found = changes(a, b)
    still = [c for c in found if c.kind != "moved"]
    assert {c.key for c in still} == wanted.keys()
    assert len(still) == len(wanted)
    for change in still:
        assert same([change.a, change.b], list(wanted[change.key]))
    # The filters that stay are in one order on both sides, and there is no longer row of them that is.
    moves = {c.key for c in found if c.kind == "moved"}
    assert len(moves) == {0: 0, 1: 1, 2: 1, 3: 2}[sum(x > y for i, x in enumerate(order) for y in order[i:])]
    assert changes(a, a) == changes(b, b) == []
    assert in_any_order([c.mirrored() for c in found]) == in_any_order(changes(b, a))
    assert [c.mirrored().mirrored() for c in found] == found


@settings(
    max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(edits=st.lists(EDIT, max_size=4, unique_by=lambda e: e[:2]), seed=st.randoms(use_true_random=False))
def test_how_it_is_written_is_no_difference(place: Workspace, edits: list[Any], seed: Any) -> None:
    data = edited()
    for part, key, value in edits:
        data.setdefault(part, {})[key] = value

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            seed.shuffle(keys)
            return {k: shuffled(value[k]) for k in keys}
        return [shuffled(v) for v in value] if isinstance(value, list) else value

    try:
        a = loaded(place, data)
    except RecipeError:
        assume(False)
    made = fingerprints(place)
    text = "# written otherwise\n" + json.dumps(shuffled(data), indent=2)
    assert changes(a, loaded(place, None, text)) == []
    again = fingerprints(place)
    assert made.keys() == again.keys()
    assert {name for name in made if again[name] != made[name]} <= {
        "report"
    }  # so it means the same to a plan


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("learning_rate: 0.0002", "learning_rate: 2e-4"),
        ("max: 200", "max: 2_00   # as many"),
        ("name: t", "name: 't'"),
        ("base - 0.03", "base  -  .030"),
        ("- jsonl:", "-  # the first\n  jsonl:"),
        ("filters:", "adapter: {r: 16}\nfilters:"),
    ],
)
def test_spelling(place: Workspace, old: str, new: str) -> None:
    text = dump(BASE)
    assert text.count(old) >= 1
    assert changes(loaded(place, BASE), loaded(place, None, text.replace(old, new, 1))) == []


def test_who_set_a_value_on_either_side(place: Workspace) -> None:
    (place.root / "base.yaml").write_text("train:\n  epochs: 3\n  packing: false\nadapter: {r: 8}\n")
    a = loaded(place, edited(extends="base.yaml"))
    b = loaded(place, edited(extends="base.yaml", train={"epochs": 2}, adapter=None))
    lines = (place.root / "r.yaml").read_text().splitlines()
    at = {key: next(n for n, line in enumerate(lines, 1) if key in line) for key in ("epochs", "adapter:")}
    found = {c.key: c.set_by for c in changes(a, b)}
    base, mine = (str(place.root / name) for name in ("base.yaml", "r.yaml"))
    assert found == {
        "train.epochs": (f"{base}:2", f"{mine}:{at['epochs']}"),
        "adapter.r": (f"{base}:4", f"{mine}:{at['adapter:']}"),
    }
    c = loaded(place, BASE)
    assert {x.key: x.set_by[1] for x in changes(a, c)} == dict.fromkeys(
        ("train.epochs", "train.packing", "adapter.r"), DEFAULT
    )


def test_sources_are_matched_by_name(place: Workspace) -> None:
    a, data = loaded(place, BASE), edited()
    one, two, three = data["sources"]
    two["jsonl"]["files"] = ["b.jsonl", "d.jsonl"]
    data["sources"] = [three, {"jsonl": {"files": ["d.jsonl"]}, "name": "four"}, two]
    data["mix"]["weights"] = {"two": 0.3, "three": 0.2, "four": 0.5}
    found = changes(a, loaded(place, data))
    assert told(found) == [
        ("sources.two.jsonl.files", "changed", ["b.jsonl"], ["b.jsonl", "d.jsonl"]),
        ("sources.one", "removed", one, None),
        ("sources.four", "added", None, data["sources"][1]),
        ("sources.three", "moved", 3, 1),
        ("mix.weights.one", "removed", 0.5, None),
        ("mix.weights.four", "added", None, 0.5),
    ]


def test_a_source_that_is_only_renamed(place: Workspace) -> None:
    data = edited()
    data["sources"][0]["name"] = "uno"
    data["mix"]["weights"] = {"uno": 0.5, "two": 0.3, "three": 0.2}
    data["sources"].reverse()
    a, b = loaded(place, BASE), loaded(place, data)
    found = changes(a, b)
    assert ("sources", "renamed", "one", "uno") in told(found)
    assert not [c for c in found if c.key in ("sources.one", "sources.uno")]
    assert in_any_order([c.mirrored() for c in found]) == in_any_order(changes(b, a))


def test_another_plugin_under_the_same_name(place: Workspace) -> None:
    data = edited()
    data["sources"][2] = {"jsonl": {"files": ["d.jsonl"]}, "name": "three"}
    (change,) = changes(loaded(place, BASE), loaded(place, data))
    assert (change.key, change.kind) == ("sources.three", "changed")
    assert change.a["text"]["files"] == ["c.txt"] and change.b["jsonl"]["files"] == ["d.jsonl"]


def test_filters_of_one_kind_are_told_apart(place: Workspace) -> None:
    two = [{"words": {"min": 5, "max": 200}}, {"words": {"min": 9}}]
    a = loaded(place, edited(filters=[{"repetition": {}}, *two]))
    b = loaded(place, edited(filters=[two[1], {"repetition": {}}, {"words": {"min": 6, "max": 200}}]))
    found = changes(a, b)
    assert told(found) == [("filters.words.min", "changed", 5, 6), ("filters.words", "moved", 3, 1)]
    assert found[0].at == (("filters", 1, "words", "min"), ("filters", 2, "words", "min"))


def test_gates_and_suites(place: Workspace) -> None:
    gates = ["tool_use.valid_call >= 0.9", "tool_use.right_call >= base"]
    b = loaded(place, edited(evaluate={"suites": ["tool-use"], "gates": gates}))
    assert told(changes(loaded(place, BASE), b)) == [
        ("evaluate.gates", "changed", "tool_use.valid_call >= 0.85", gates[0]),
        ("evaluate.gates", "removed", BASE["evaluate"]["gates"][1], None),
        ("evaluate.gates", "added", None, gates[1]),
        ("evaluate.suites.capability", "removed", {"lm_eval": ["everyday_facts"]}, None),
    ]


def test_what_a_suite_says(place: Workspace) -> None:
    a = loaded(place, BASE)
    own = place.root / "evals/suites/tool-use.yaml"
    own.parent.mkdir(parents=True)
    text = "suite: 1\nname: tool-use\nprobes: probes/weather-calls.jsonl\njudge: {tool_use: {}}\nrounds: 2\n"
    own.write_text(text + "decoding: {temperature: 0.5}\nmax_new_tokens: 56\n")
    try:
        found = changes(a, loaded(place, BASE))
    finally:
        own.unlink()
    by = {c.key: (c.a, c.b, c.set_by) for c in found}
    assert {"suites.tool-use.rounds", "suites.tool-use.decoding.temperature"} <= by.keys()
    assert by["suites.tool-use.rounds"] == (4, 2, (DEFAULT, f"{own}:5"))
    assert "suites.tool-use.max_new_tokens" not in by


def test_the_order_of_a_mix_in_turn_decides(place: Workspace) -> None:
    weights = {"one": 0.5, "two": 0.3, "three": 0.2}
    other = dict(reversed(weights.items()))
    for order, n in (("in_turn", 2), ("shuffled", 0)):
        a, b = (loaded(place, edited(mix={"weights": w, "order": order})) for w in (weights, other))
        assert [(c.kind, c.group) for c in changes(a, b)] == [("moved", "mix")] * n


def test_the_order_of_arms_decides(place: Workspace) -> None:
    arms = {"plain": {"system": "Be plain."}, "wry": {"system": "Be wry."}}
    a, b = (loaded(place, edited(evaluate={"arms": x})) for x in (arms, dict(reversed(arms.items()))))
    assert told(changes(a, b)) == [("evaluate.arms.plain", "moved", 1, 2)]
    assert told(changes(b, a)) == [("evaluate.arms.plain", "moved", 2, 1)]


def test_one_is_not_true() -> None:
    assert same(1, 1.0) and not same(1, True) and not same([1], [True]) and not same({"a": 1}, {"a": True})


@settings(derandomize=True, deadline=None)
@given(st.permutations(range(6)), st.permutations("abcdef"))
def test_moves_are_the_same_from_either_side(order: list[int], names: list[str]) -> None:
    there = [((i, j), names[i]) for i, j in enumerate(order)]
    back = [((j, i), names[i]) for i, j in enumerate(order)]
    assert {(j, i) for i, j in moved(there)} == moved(back)
    stay = [p for p, _ in sorted(there) if p not in moved(there)]
    assert [j for _, j in stay] == sorted(j for _, j in stay)


def test_many_moves_end() -> None:
    n = 5_000
    assert len(moved(((i, n - 1 - i), str(i)) for i in range(n))) == n
    assert not moved(((i, i), str(i)) for i in range(n))


def test_pairs_of_what_is_alike() -> None:
    assert pairs(["a", "b", "a"], ["a", "c", "b"], lambda x: x) == [(0, 0), (1, 2)]
    assert pairs(["a1", "a2"], ["a2", "a3"], lambda x: x, lambda x: x[0]) == [(0, 1), (1, 0)]


def test_long_texts_are_cut_to_where_they_differ() -> None:
    text = "Answer in the manner of a river pilot, " * 20
    a, b = between(f"{text}dryly, and {text}", f"{text}at length, and {text}")
    assert "dryly" in a and "at length" in b and len(a) < 150 and a.startswith('"…') and a.endswith('…"')
    assert between("x" * 80, "x" * 81) == (f'"…{"x" * 40}"', f'"…{"x" * 41}"')
    assert written({"a": [1, 2.0, None, "x, y"], "b": "true"}) == '{a: [1, 2, null, "x, y"], b: "true"}'
