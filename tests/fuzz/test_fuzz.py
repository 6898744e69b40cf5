"""Fuzzing within a budget: the corpus once, then new inputs. The long run is `make fuzz` (tests/fuzz/long.py)."""

from __future__ import annotations

import random
from pathlib import Path

import long
import pytest
from fuzz_mutations import mutated
from fuzz_targets import TARGETS, Found, corpus, quick, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Together some 20 s of CPU; 30 are allowed.
BUDGET = {"recipe": 400, "record": 400, "csv": 400, "html": 250, "call": 3000}


@pytest.mark.parametrize(
    ("target", "path"), [pytest.param(t, p, id=f"{t}/{p.name}") for t in TARGETS for p in corpus(t)]
)
def test_the_corpus(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_new_inputs(target: str) -> None:
    pool = seeds(target)

    @settings(
        max_examples=BUDGET[target], deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.randoms(use_true_random=False))
    def run(draw: random.Random) -> None:
        TARGETS[target](mutated(draw, target, pool))

    run()


@pytest.mark.parametrize("target", ["record", "csv", "html", "call"])
def test_any_bytes(target: str) -> None:
    @settings(max_examples=40, deadline=None, database=None)
    @given(st.binary(max_size=300))
    def run(raw: bytes) -> None:
        TARGETS[target](raw)

    run()


def test_mutations_are_many_and_mostly_near() -> None:
    """Else nothing would be tried that gets past the first check."""
    pool = seeds("recipe")
    made = {mutated(random.Random(n), "recipe", pool) for n in range(300)}
    assert len(made) > 280
    assert sum(b"sources" in raw for raw in made) > 150


def test_what_is_slow_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_targets.SLOW", 0.0)
    with pytest.raises(Found, match="CPU"), quick("x"):
        sum(range(10_000))


def test_what_is_found_is_kept_once_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(raw: bytes) -> None:
        raise KeyError("a defect")

    monkeypatch.setitem(TARGETS, "call", broken)
    monkeypatch.setattr("fuzz_targets.CORPUS", tmp_path)
    assert long.drawn("call", 30, 5, 0) == 1
    assert len(list((tmp_path / "call").iterdir())) == 1
    assert "KeyError at" in capsys.readouterr().out
