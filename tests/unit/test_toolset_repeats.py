"""Conversations that nearly repeat an earlier one are seen, others are not, and memory does not grow."""

from __future__ import annotations

import random

import pytest

from runner.toolset import repeats
from runner.toolset.repeats import Repeats


def text(seed: int, words: int = 60) -> list[str]:
    die = random.Random(seed)
    return [f"w{die.randrange(5000)}" for _ in range(words)]


def test_near_repeats_are_seen() -> None:
    seen = Repeats()
    assert not any(seen.near(" ".join(text(n))) for n in range(300))
    near = 0
    for n in range(300):
        words = text(n)
        words[n % 60] = "other"  # five of 56 n-grams at most: Jaccard 0.83 or more
        near += seen.near(" ".join(words))
    assert near == 300
    assert not any(seen.near(" ".join(text(n))) for n in range(1000, 1300))


def test_texts_half_alike_are_no_repeats() -> None:
    seen = Repeats()
    found = 0
    for n in range(200):
        words = text(n)
        assert not seen.near(" ".join(words))
        found += seen.near(" ".join(words[:40] + text(n + 5000, 20)))
    assert found <= 2


def test_short_texts_and_odd_ones() -> None:
    seen = Repeats()
    assert not seen.near("Yes.") and seen.near("yes.")
    assert not seen.near("") and not seen.near("\ud800 half") and seen.near("")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "KEPT", 50)
    seen = Repeats()
    for n in range(400):
        seen.near(" ".join(text(n)))
    assert len(seen.sketches) == 50 * repeats.BINS
    assert seen.near(" ".join(text(399))) and not seen.near(" ".join(text(1)))
