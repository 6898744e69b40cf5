"""Random edits of inputs and options: what is decided by them is made anew, and nothing else. Changed back, nothing is.

Right is a hit where the bytes are those of a workspace in which nothing was made before, which a sample of real runs
looks at, and a miss where the step hangs on what was changed. 60 edits; MIREPOIX_EDITS=1000 asks for as many.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import decisions as d
import pytest

from runner import recipe as r
from runner import run
from runner.errors import MirepoixError
from runner.load import load_recipe
from runner.plan import plan
from runner.steps import Plan
from runner.store import Store
from runner.suite import Decoding, LmEval, Perplexity, SuiteCommon
from runner.workspace import Workspace

EDITS = int(os.environ.get("MIREPOIX_EDITS") or 60)
SAMPLE = max(3, EDITS // 25)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "w").mkdir()
    monkeypatch.chdir(tmp_path / "w")
    return d.fill(tmp_path / "w")


def planned(root: Path) -> Plan:
    workspace = Workspace(root)
    return plan(load_recipe(root / "r.yaml", workspace), workspace, None)


def prints(made: Plan) -> dict[str, str]:
    return {step.name: step.fingerprint for step in made.steps}


def after(made: Plan, direct: tuple[str, ...]) -> set[str]:
    """The steps of these names, or beginnings of names that end with a dot, and all that hang on them."""
    out = set[str]()
    for step in made.steps:
        own = any(step.name == n or (n.endswith(".") and step.name.startswith(n)) for n in direct)
        if own or out & set(step.needs):
            out.add(step.name)
    return out


def edit(
    dice: random.Random, root: Path, names: Iterator[str]
) -> tuple[str, Callable[[], None], tuple[str, ...]]:
    """One that is drawn: what it is, a function that makes it, and the steps that it decides by itself (the report of
    each change of the recipe or a suite is counted in)."""
    kind = dice.choices(("byte", "option", "order", "space"), (50, 42, 4, 4))[0]
    if kind == "byte":
        name = next(names)
        raw = bytearray((root / name).read_bytes())
        at, bit = dice.randrange(len(raw)), 1 << dice.randrange(8)
        raw[at] ^= bit
        return (
            f"{name}: byte {at} ^ {bit}",
            lambda: write_bytes(root / name, bytes(raw)),
            d.FILES[name],
        )
    if kind == "option":
        option = dice.choice(d.OPTIONS)
        value = dice.choice(option.to)
        path = root / (f"evals/suites/{option.suite}.yaml" if option.suite else "r.yaml")
        whole = {"suite": 1, "name": option.suite, **d.SUITES[option.suite]} if option.suite else d.RECIPE
        what = f"{option.suite or 'recipe'}: {option.at} = {value!r}"
        return what, lambda: d.write(path, option.put(whole, value)), (*option.steps, "report")
    if kind == "order":
        name = dice.choice(list(d.ORDERS))
        turn, steps = d.ORDERS[name]
        return f"order of {name}", lambda: d.write(root / "r.yaml", turn(d.RECIPE)), (*steps, "report")
    path = root / dice.choice(["r.yaml", *(f"evals/suites/{s}.yaml" for s in d.SUITES)])
    lines = path.read_text().split("\n")
    at = dice.randrange(len(lines) + 1)
    new = dice.choice(("# a note", "", "#", "    # é"))
    return (
        f"{path.name}: {new!r} before line {at + 1}",
        lambda: write_lines(path, [*lines[:at], new, *lines[at:]]),
        (),
    )


def write_bytes(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines))


def changed_back(root: Path, change: Callable[[], None]) -> Callable[[], None]:
    """Make a change; the function that undoes it."""
    ours = {".mirepoix", "runs"}
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and not ours & {*p.parts}}
    change()

    def back() -> None:
        for path, raw in before.items():
            if path.read_bytes() != raw:
                path.write_bytes(raw)

    return back


def files_in_turn(dice: random.Random, names: list[str]) -> Iterator[str]:
    """Each file as often as every other."""
    while True:
        yield from dice.sample(names, len(names))


def test_random_edits(home: Path) -> None:
    first = planned(home)
    before = prints(first)
    assert {s.kind for s in first.steps} == {
        "source", "filter", "dedup", "decontaminate", "render", "mix", "split", "askable", "rows", "preprocess", "proof",
        "train", "generate", "lm_eval", "perplexity", "judge", "report",
    }  # fmt: skip
    dice, seen = random.Random(7), Counter[str]()
    names = files_in_turn(dice, list(d.FILES))
    for _ in range(EDITS):
        what, change, direct = edit(dice, home, names)
        back = changed_back(home, change)
        try:
            now = prints(planned(home))
        except MirepoixError:  # what is broken is refused: nothing is taken for it
            seen["refused"] += 1
            assert ": byte " in what, what
        else:
            missed = {name for name in before.keys() & now.keys() if before[name] != now[name]}
            assert missed == after(first, direct) & now.keys(), what
            seen["missed" if missed else "hit"] += 1
        back()
        assert prints(planned(home)) == before, f"{what}, and back"
    assert seen["missed"] > EDITS / 2, seen


def parts(kind: Any) -> Iterator[tuple[str, str]]:
    for name in kind.__struct_encode_fields__:
        yield kind.__name__, name


# Not options that can be changed by themselves: what names a thing, versions, what stands beside others in the tables,
# Axolotl's own keys (they go in as they are), what only other engines, a hub or an endpoint know.
ELSEWHERE = {
    *(("SourceCommon", n) for n in ("name", "chat")), ("Chat", "passages"), ("Model", "revision"), ("Compute", "engine"),
    *(("Arm", n) for n in ("endpoint", "model")), *(("SuiteCommon", n) for n in ("suite", "name", "decoding", "lm_eval", "perplexity")),
    *(("Decoding", n) for n in ("tool_choice", "strict")), ("LmEval", "revisions"),
}  # fmt: skip


def test_every_option_of_a_recipe_is_in_the_table() -> None:
    """So that a new one says what it decides."""
    changed = {
        part
        for option in d.OPTIONS
        for at in (option.at, *(a for a, _ in option.beside))
        for part in at.split(".")
    }
    kinds = (r.SourceCommon, r.Chat, r.Passages, r.Dedup, r.Near, r.Decontaminate, r.Mix, r.Split, r.FailIf, r.Model, r.Adapter,
             r.Train, r.Evaluate, r.Arm, r.Compute, r.Track, SuiteCommon, LmEval, Perplexity, Decoding)  # fmt: skip
    missing = [
        f"{kind}.{name}"
        for k in kinds
        for kind, name in parts(k)
        if name not in changed and (kind, name) not in ELSEWHERE
    ]
    assert not missing


def data_only(root: Path) -> None:
    """The recipe without what takes a model: data are made of it in a moment."""
    data = ("recipe", "name", "seed", "sources", "dedup", "mix", "split")
    recipe = {k: d.RECIPE[k] for k in data}
    recipe["filters"] = d.RECIPE["filters"][:1]
    d.write(root / "r.yaml", recipe)


def made(root: Path) -> dict[str, dict[str, bytes]]:
    """A run to the end of prepare; the bytes of each step's artifact."""
    whole = planned(root)
    run.run(whole, to="prepare")
    out = {}
    for step in whole.steps:
        if step.stage == "prepare":
            artifact = Store(root).get(step.fingerprint)
            assert artifact is not None, step.name
            out[step.name] = {n: artifact.file(n).read_bytes() for n in artifact.manifest.files}
    return out


SPLIT = {"split": {"validation": 0.4}}


def test_what_is_taken_from_before_is_what_would_be_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample of edits, each run where all was made before the edit, and where nothing was: the same bytes."""
    data_only(home)
    made(home)
    dice = random.Random(11)
    recipe = (home / "r.yaml").read_text()
    from runner.yaml12 import parse

    data = parse(recipe, "r.yaml").data
    turned = [
        turn
        for name, (turn, _) in d.ORDERS.items()
        if name in ("sources", "weights, in turn", "keys of maps")
    ]
    options = [
        o
        for o in d.OPTIONS
        if not o.suite and o.at.partition(".")[0] in ("seed", "sources", "dedup", "mix", "split", "name")
    ]
    done, refused, names = 0, 0, files_in_turn(dice, d.PREPARED)
    while done < SAMPLE:
        if done < len(turned):  # with a later step that is made anew from what was taken
            changed = turned[done](data) | SPLIT
            change = lambda changed=changed: d.write(home / "r.yaml", changed)  # noqa: E731
        elif dice.randrange(2):
            option = dice.choice(options)
            changed = option.put(data, dice.choice(option.to))
            change = lambda changed=changed: d.write(home / "r.yaml", changed)  # noqa: E731
        else:
            path = home / next(names)
            raw = bytearray(path.read_bytes())
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
            change = lambda path=path, raw=bytes(raw): path.write_bytes(raw)  # noqa: E731
        back = changed_back(home, change)
        afresh = tmp_path / "afresh"
        shutil.copytree(home, afresh, ignore=shutil.ignore_patterns(".mirepoix", "runs"))
        try:
            monkeypatch.chdir(afresh)
            wanted: dict[str, dict[str, bytes]] | str = made(afresh)
        except MirepoixError as e:
            wanted = str(e)
        monkeypatch.chdir(home)
        try:
            got: dict[str, dict[str, bytes]] | str = made(home)
        except MirepoixError as e:
            got = str(e)
        if isinstance(wanted, str):
            refused += 1
            assert got == wanted
        else:
            assert isinstance(got, dict), got
            assert got.keys() == wanted.keys()
            assert not [(s, f) for s in wanted for f in wanted[s] if got[s].get(f) != wanted[s][f]]
        back()
        shutil.rmtree(afresh)
        done += 1
    assert refused < done / 2
