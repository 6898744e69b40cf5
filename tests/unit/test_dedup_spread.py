"""Duplicates that are looked for elsewhere, by ranges of keys: the same pairs, in the same order."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.dedup import Finder, buckets, spill
from runner.recipe import Near

WORDS = "the river boat of captain whistle in fog was bell that moon mud it sank water night paper".split()


def elsewhere(work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
    """As an engine does it: all goes there and back by pickle, and several are under way."""
    sent = [pickle.dumps(piece) for piece in pieces]
    done = {n: pickle.loads(pickle.dumps(work))(pickle.loads(sent[n])) for n in reversed(range(len(sent)))}
    for n in range(len(sent)):
        yield pickle.loads(pickle.dumps(done[n]))


class Reading:
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __call__(self, rows: Any) -> list[str]:
        return [self.texts[n] for n in rows.tolist()]


def talk(rng: random.Random, many: int) -> list[str]:
    said: list[str] = []
    for _ in range(many):
        words = [rng.choice(WORDS) for _ in range(rng.choice((3, 20, 60)))]
        if said and rng.random() < 0.6:
            words = rng.choice(said).split()
            if rng.random() < 0.7:
                words[rng.randrange(len(words))] = rng.choice(WORDS)
        said.append(" ".join(words))
    return said


@pytest.mark.parametrize("at_once", [1 << 22, 50])
@pytest.mark.parametrize("exact", [True, False])
def test_the_same_pairs_wherever_they_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, exact: bool
) -> None:
    texts = talk(random.Random(3), 150)
    monkeypatch.setattr("runner.dedup.linking._PAIRS", 7)
    found = []
    for name, how in (("here", {}), ("there", {"mapped": elsewhere})):
        monkeypatch.setattr(spill, "AT_ONCE", at_once if how else 1 << 22)
        (tmp_path / name).mkdir()
        finder = Finder(tmp_path / name, exact=exact, near=Near(jaccard=0.7, permutations=32))
        finder.add(texts)
        got = finder.find(Reading(texts), **how)
        found.append([column.tolist() for column in (got.row, got.of, got.exact, got.similarity)])
    assert found[0] == found[1]
    assert len(found[0][0]) > 40
    left = {p.name for p in (tmp_path / "there").iterdir()}
    assert left - {p.name for p in (tmp_path / "here").iterdir()} == {
        "skip.npy"
    }  # nothing else is left lying


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    keys=st.lists(
        st.sampled_from([0, 1, 5, 1 << 62, 1 << 63, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)
    ),
    at_once=st.integers(4, 40),
    skipped=st.sets(st.integers(0, 30)),
)
def test_buckets_by_ranges_of_keys(
    tmp_path_factory: pytest.TempPathFactory, keys: list[int], at_once: int, skipped: set[int]
) -> None:
    root = tmp_path_factory.mktemp("c")
    columns = [spill.Column(root / name, "u8") for name in "ab"]
    columns[0].append(np.array(keys, np.uint64))
    columns[1].append(np.array(keys[::-1], np.uint64))
    skip = np.isin(np.arange(len(keys)), list(skipped)) if skipped else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "AT_ONCE", at_once)
        there = [(n, r.tolist(), e.tolist()) for n, r, e in buckets.repeated(columns, skip, elsewhere)]
        here = [(n, r.tolist(), e.tolist()) for n, r, e in buckets.repeated(columns, skip, map)]
    assert there == here or not keys


def test_a_column_cut_short_is_noticed(tmp_path: Path) -> None:
    column = spill.Column(tmp_path / "a", "u8")
    column.append(np.arange(9, dtype=np.uint64))
    column.close()
    os.truncate(tmp_path / "a", 40)
    with pytest.raises(OSError, match="shorter than it was written"):
        list(buckets.repeated([column], None, elsewhere))
