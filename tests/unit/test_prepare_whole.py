"""Prepare as a whole: whatever the recipe, each input row has one fate; whatever the machine, the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import ledger, pool, registry
from runner import run as runs
from runner.cli import main
from runner.errors import StepError
from runner.load import load_recipe
from runner.plan import plan
from runner.pool import WorkerLost, mapped
from runner.prepare import selected
from runner.record import Edited, Message, Record
from runner.schema import recipe_schema
from runner.workspace import Workspace

WORDS = "the river boat of and captain a to whistle in fog was bell that moon mud it sank".split()
BROKEN = [
    "{bad",
    "[1]",
    '{"messages": []}',
    '{"messages": [{"role": "user", "content": "only asked"}]}',
    '{"a": 1, "a": 2}',
]


@pytest.fixture(autouse=True, scope="module")
def filter_of_a_third_party() -> Iterator[None]:
    registry.plugins("filter")  # all others are found by now
    registry.filter("test_shout", version=1)(shout)
    recipe_schema.cache_clear()
    yield
    del registry.declare.DECLARED["filter", "test_shout"]
    recipe_schema.cache_clear()


def shout(record: Record) -> bool | str | Record | Edited:
    """Edits some, drops some, fails on some."""
    text = record.answer
    if "moon" in text:
        raise RuntimeError("no moon\ntonight")
    if "mud" in text:
        return "muddy"
    if "bell" in text:
        said = [m if m.role != "assistant" else Message("assistant", text.upper()) for m in record.messages]
        return Edited(Record(said, record.tools, record.tags, record.meta), "1 text raised")
    return True


def line(rng: random.Random, before: list[str]) -> str:
    if rng.random() < 0.1:
        return rng.choice(BROKEN)
    if before and rng.random() < 0.3:
        words = rng.choice(before).split()
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    else:
        words = [rng.choice(WORDS) for _ in range(rng.choice((1, 3, 8, 40, 60)))]
    before.append(" ".join(words))
    tags = {"mood": rng.choice(("dry", "wet"))}
    said = [
        {"role": "user", "content": rng.choice(("Go on.", "And then?"))},
        {"role": "assistant", "content": before[-1]},
    ]
    return json.dumps({"messages": said, "tags": tags})


recipes = st.fixed_dictionaries(
    {
        "rows": st.lists(st.integers(1, 40), min_size=1, max_size=3),
        "seed": st.integers(0, 10**6),
        "filters": st.lists(
            st.sampled_from(
                [
                    {"words": {"min": 4}},
                    {"words": {"max": 45}},
                    {"test_shout": {}},
                    {"characters": {"min": 20}},
                    {"regex": {"drop": ["captain a"]}},
                    {"normalize": {}},
                    {"tags": {"keep": {"mood": ["wet"]}}},
                    {"repetition": {}},
                ]
            ),
            max_size=4,
        ),
        "dedup": st.sampled_from(
            [
                None,
                {"exact": True, "near": None},
                {"exact": False, "near": {"jaccard": 0.6, "ngram": 2}},
                {"near": {"jaccard": 0.8, "ngram": 3}, "keep": "longest"},
                {"near": {"unit": "characters", "ngram": 6}, "within": "source"},
            ]
        ),
        "mix": st.sampled_from(
            [
                None,
                {"shares": "even", "repeat_at_most": 1},
                {"shares": "even", "repeat_at_most": 3, "order": "shortest_first"},
                {"shares": "first", "repeat_at_most": 2, "order": "in_turn"},
                {"by": "mood", "weights": {"dry": 0.25, "wet": 0.75}},
                {"by": "mood", "amounts": {"dry": 3, "wet": 2}, "repeats": {"dry": 2}},
            ]
        ),
        "split": st.sampled_from([0, 0.1, 0.4]),
    }
)


def mixed(asked: dict[str, Any] | None, names: list[str]) -> dict[str, Any] | None:
    if asked is None or "shares" not in asked:
        return asked
    first = asked["shares"] == "first"
    weights = {n: (float(n == names[0]) if first else 1 / len(names)) for n in names}
    return {"weights": weights} | {k: v for k, v in asked.items() if k != "shares"}


def lay(root: Path, wanted: dict[str, Any]) -> tuple[Path, int]:
    """The recipe's file and its data; how many rows come in."""
    rng, before, total = random.Random(wanted["seed"]), list[str](), 0
    names = [f"s{i}" for i in range(len(wanted["rows"]))]
    for name, rows in zip(names, wanted["rows"], strict=True):
        lines = [line(rng, before) for _ in range(rows)]
        lines.append(
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": "Go."},
                        {"role": "assistant", "content": f"The one boat {name} of the wide river."},
                    ],
                    "tags": {"mood": "wet"},
                }
            )
        )
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        total += len(lines)
    recipe: dict[str, Any] = {
        "recipe": 1,
        "name": "r",
        "seed": wanted["seed"],
        "sources": [{"jsonl": {"files": [f"{n}.jsonl"]}, "name": n} for n in names],
        "filters": wanted["filters"],
        "split": {"validation": wanted["split"], "stratify": ["source", "mood"]},
    }
    if wanted["dedup"]:
        recipe["dedup"] = wanted["dedup"]
    if mix := mixed(wanted["mix"], names):
        recipe["mix"] = mix
    (root / "r.yaml").write_text(json.dumps(recipe))
    return root / "r.yaml", total


MEMORY = next((m for m in ("/dev/shm",) if os.access(m, os.W_OK)), None)
"""Where thousands of small folders come and go in half the time; else the usual place."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk: what survives a crash is tested with the store."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.mark.usefixtures("quick")
@settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(recipes)
def test_every_row_is_in_the_ledger_once(wanted: dict[str, Any]) -> None:
    root = Path(tempfile.mkdtemp(dir=MEMORY))
    try:
        path, total = lay(root, wanted)
        place = Workspace(root)
        made = plan(load_recipe(path, place), place)
        try:
            runs.run(made, to="prepare")
        except StepError as e:
            # Nothing left, or a mix that cannot be had: said in words, and so is what could be.
            assert any(
                w in str(e)
                for w in (
                    "nothing is left to train on",
                    "cannot be had",
                    "are left",
                    "too few",
                    "gave no records",
                    "no weight",
                )
            ), e
            return
        check(root / "runs" / "r", total)
    finally:
        shutil.rmtree(root)


def check(run: Path, total: int) -> None:
    fates = ledger.read(run / "ledger.parquet")
    assert len(fates) == total
    assert len({f.id for f in fates}) == total
    halves = {}
    for half, fate in (("train", "trained"), ("validation", "validation")):
        rows = [json.loads(x) for x in (run / f"data/{half}.jsonl").read_bytes().splitlines()]
        halves[half] = rows
        assert Counter(r["meta"]["id"] for r in rows) == Counter(
            {f.id: f.times for f in fates if f.fate == fate}
        )
    assert {r["meta"]["id"] for r in halves["train"]}.isdisjoint(
        r["meta"]["id"] for r in halves["validation"]
    )
    kept = {f.id for f in fates if f.fate != "dropped"}
    for fate in fates:
        if fate.fate == "dropped":
            assert fate.by
            assert fate.reason
        if fate.by.startswith("dedup"):
            later = next(f for f in fates if f.id == fate.of)
            assert fate.of in kept or later.by in ("mix", "decontaminate", "render"), (
                "what stayed has gone too"
            )
    card = (run / "data-card.md").read_text()
    assert f"{total:,} rows came in" in card


def prepared(root: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        main, ["run", str(root / "r.yaml"), "--to", "prepare", "--workspace", str(root), *more]
    )
    return done.exit_code, done.output


def test_a_filter_that_fails_names_itself_the_row_and_what_went_wrong(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "The moon."}]
    rows = [json.dumps({"messages": talk}), *(line(random.Random(n), []) for n in range(30, 40))]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    head = "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\nfilters:\n  - words: {min: 1}\n  - test_shout: {}\n"
    (tmp_path / "r.yaml").write_text(head)
    assert prepared(tmp_path)[0] == 0
    first = ledger.read(tmp_path / "runs/r/ledger.parquet")[0]
    assert (first.id, first.by) == ("s/a/1", "filters[1].test_shout")
    assert first.reason == "the filter failed on it: RuntimeError: no moon"
    aside = json.loads((tmp_path / "runs/r/rejected/_filters.jsonl").read_text().splitlines()[0])
    assert (aside["id"], json.loads(aside["raw"])["messages"][1]["content"]) == ("s/a/1", "The moon.")
    (tmp_path / "r.yaml").write_text(head + 'fail_if: {rejected: ">0"}\n')
    code, said = prepared(tmp_path)
    assert code == 3
    assert "fail_if.rejected" in said


def test_an_edit_stands_in_the_ledger_and_the_data(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "a bell."}]
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"messages": talk})
        + "\n"
        + json.dumps({"messages": [talk[0], {"role": "assistant", "content": "a boat"}]})
        + "\n"
    )
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\nfilters: [test_shout: {}]\nsplit: {validation: 0}\n"
    )
    assert prepared(tmp_path)[0] == 0
    fates = {f.id: f for f in ledger.read(tmp_path / "runs/r/ledger.parquet")}
    assert (fates["s/a/1"].edits, fates["s/a/2"].edits) == ("test_shout: 1 text raised", "")
    said = {
        json.loads(x)["messages"][1]["content"]
        for x in (tmp_path / "runs/r/data/train.jsonl").read_text().splitlines()
    }
    assert said == {"A BELL.", "a boat"}
    way = CliRunner().invoke(main, ["show", "row", "s/a/1", "--workspace", str(tmp_path)]).output
    assert "changed: test_shout: 1 text raised" in way
    assert "- assistant a bell." in way
    assert "+ assistant A BELL." in way


def test_rows_trained_before_go_and_name_what_they_repeat(tmp_path: Path) -> None:
    boat = "The old boat went down the long brown river in the fog and nobody on the bank saw it go or heard the bell that the captain rang all night"
    old = {"messages": [{"role": "user", "content": "Tell."}, {"role": "assistant", "content": boat}]}
    new = {
        "messages": [
            {"role": "user", "content": "Say on."},
            {"role": "assistant", "content": boat + " long, alas, until morning came"},
        ]
    }
    other = {
        "messages": [
            {"role": "user", "content": "Say on."},
            {"role": "assistant", "content": "Nothing of the kind."},
        ]
    }
    (tmp_path / "old.jsonl").write_text(
        json.dumps(other | {"tags": {}}).replace("kind", "sort") + "\n" + json.dumps(old) + "\n"
    )
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(x) + "\n" for x in (new, other, other)))
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\ndedup: {against: [old.jsonl], near: {jaccard: 0.7}}\nsplit: {validation: 0}\n"
    )
    code, said = prepared(tmp_path)
    assert code == 0, said
    fates = [(f.id, f.by, f.of) for f in ledger.read(tmp_path / "runs/r/ledger.parquet")]
    assert fates == [
        ("s/a/1", "dedup.near", "old.jsonl:2"),
        ("s/a/2", "", ""),
        ("s/a/3", "dedup.exact", "s/a/2"),
    ]


@pytest.mark.parametrize(
    ("dedup", "stays"), [({}, "s/a/1"), ({"keep": "longest"}, "t/b/1"), ({"prefer": ["u"]}, "u/c/1")]
)
def test_which_of_a_group_stays(tmp_path: Path, dedup: dict[str, Any], stays: str) -> None:
    base = [f"w{n}" for n in range(60)]
    for name, more in (("a", []), ("b", ["end", "of", "it"]), ("c", ["end"])):
        talk = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": " ".join(base + more)}]
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    recipe = {
        "recipe": 1,
        "name": "r",
        "sources": [
            {"jsonl": {"files": [f"{f}.jsonl"]}, "name": n} for n, f in zip("stu", "abc", strict=True)
        ],
        "dedup": dedup,
        "split": {"validation": 0},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    assert prepared(tmp_path)[0] == 0
    fates = ledger.read(tmp_path / "runs/r/ledger.parquet")
    assert [f.id for f in fates if f.fate == "trained"] == [stays]
    assert {f.of for f in fates if f.fate == "dropped"} == {stays}


@pytest.mark.parametrize(
    ("more", "said", "shown"),
    [
        (
            "filters: [words: {min: 9000}]",
            "nothing is left to train on (12 by filters[0].words: too few words)",
            "12",
        ),
        (
            "filters: [words: {min: 6}]\nmix: {weights: {s: 1.0}, total: 50}",
            "50 records cannot be had: s has 8",
            "4",
        ),
    ],
)
def test_a_run_that_stops_at_its_mix_says_what_took_the_rows(
    tmp_path: Path, more: str, said: str, shown: str
) -> None:
    rows = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "Go."},
                    {"role": "assistant", "content": f"The boat {n} " + "goes on " * (n // 4)},
                ]
            }
        )
        for n in range(12)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "r.yaml").write_text(
        f"recipe: 1\nname: r\nsources:\n  - jsonl: {{files: [a.jsonl]}}\n    name: s\n{more}\n"
    )
    code, output = prepared(tmp_path)
    assert code == 3
    assert said in output
    show = ["show", str(tmp_path / "r.yaml"), "drops", "--workspace", str(tmp_path)]
    told = CliRunner().invoke(main, show)
    assert told.exit_code == 0
    assert told.output.split()[0] == shown
    assert "too few words" in told.output
    one = CliRunner().invoke(main, [*show[:-3], "row", "s/a/1", *show[-2:]])
    assert "dropped by filters[0].words" in one.output


def test_a_process_that_is_ended_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> Iterator[object]:
        raise WorkerLost
        yield

    monkeypatch.setattr("runner.pool.mapped", lost)
    (tmp_path / "a.jsonl").write_text(line(random.Random(3), []) + "\n" + line(random.Random(4), []) + "\n")
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\nfilters: [words: {min: 1}]\n"
    )
    code, output = prepared(tmp_path)
    assert code == 3
    assert "filter: a process that worked on it was ended from outside" in output


def test_one_process_ended_ends_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PATIENCE", -1)
    with pytest.raises(WorkerLost):
        list(mapped(os._exit, [1, 2, 3], 2))


def test_the_first_pieces_are_worked_on_here() -> None:
    assert list(mapped(lambda piece: (piece, os.getpid()), [1, 2], 2)) == [(1, os.getpid()), (2, os.getpid())]


MANY = """recipe: 1
name: r
sources:
  - jsonl: {files: ["data/*.jsonl"]}
    name: s
filters:
  - words: {min: 2}
  - normalize: {}
  - language: {keep: [en], at_least: 0.1}
dedup: {near: {jaccard: 0.7, ngram: 3}}
mix: {weights: {s: 1.0}, total: 9000}
"""


def _digests(run: Path) -> dict[str, bytes]:
    names = ("data/train.jsonl", "data/validation.jsonl", "ledger.parquet", "data-card.md")
    return {name: (run / name).read_bytes() for name in names}


def test_the_same_bytes_wherever_and_however_it_runs(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows = [[line(rng, before) for _ in range(3 * selected.PIECE)] for before in ([], [], [])]
    seen = []
    machines: list[tuple[str, list[int], dict[str, str]]] = [
        ("one", [0, 1, 2], {"MIREPOIX_WORKERS": "1", "PYTHONHASHSEED": "0"}),
        ("two/deeper", [2, 0, 1], {"MIREPOIX_WORKERS": "2", "PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu"}),
        ("three", [1, 2, 0], {"MIREPOIX_WORKERS": "5", "LC_ALL": "C", "PYTHONHASHSEED": "77"}),
    ]
    for folder, order, environment in machines:
        root = tmp_path / folder
        (root / "data").mkdir(parents=True)
        for n in order:  # as they lie on the disk
            (root / f"data/f{n}.jsonl").write_text("\n".join(rows[n]))
        (root / "r.yaml").write_text(MANY)
        argv = [
            sys.executable,
            "-c",
            "from runner import pool; pool.PATIENCE = -1; from runner.cli import main; main()",
            "run",
            "r.yaml",
            "--to",
            "prepare",
        ]
        subprocess.run(argv, cwd=root, env={**os.environ, **environment}, check=True, capture_output=True)
        seen.append(_digests(root / "runs/r"))
    assert seen[0] == seen[1] == seen[2]


def test_what_processes_say_comes_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters in processes of their own: the same as here, failures of a whole filter included."""
    monkeypatch.setattr(pool, "PATIENCE", -1)
    monkeypatch.setattr(selected, "PIECE", 7)
    (tmp_path / "a.jsonl").write_text(
        "\n".join(line(random.Random(3), []) for _ in range(1))
        + "\n"
        + "\n".join(line(random.Random(n), []) for n in range(50))
    )
    head = "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\n"
    seen = []
    for workers in ("1", "3"):
        monkeypatch.setenv("MIREPOIX_WORKERS", workers)
        (tmp_path / "r.yaml").write_text(head + "filters: [words: {min: 4}, normalize: {}]\n")
        shutil.rmtree(tmp_path / ".mirepoix", ignore_errors=True)
        assert prepared(tmp_path)[0] == 0
        seen.append(_digests(tmp_path / "runs/r"))
    assert seen[0] == seen[1]


def test_rows_that_are_none_stand_in_the_ledger_where_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.prepare.accounts.PIECE", 3)
    good = line(random.Random(1), [])
    rows = [*["{bad"] * 8, good, *["{bad"] * 3, *[good] * 7, "{bad", good, *["{bad"] * 10]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\ndedup: {exact: true}\n"
    )
    assert prepared(tmp_path)[0] == 0
    found = ledger.read(tmp_path / "runs/r/ledger.parquet")
    assert [fate.id for fate in found] == [f"s/a/{n}" for n in range(1, len(rows) + 1)]
    assert [fate.by == "source" for fate in found] == [row == "{bad" for row in rows]
