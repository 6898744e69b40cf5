"""Prepare where others work, too: all that goes to them and comes back does so by pickle, and the bytes are the same."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runner import run as runs
from runner.datafiles import spans
from runner.dedup import spill
from runner.engines import local
from runner.errors import StepError
from runner.load import load_recipe
from runner.plan import plan
from runner.prepare import written
from runner.workspace import Workspace

WORDS = "the river boat of captain whistle in fog was bell that moon mud it sank water night paper".split()


class Elsewhere:
    """An engine that is like a cluster: nothing is there but what was handed over, or lies in the workspace."""

    name, spread = "elsewhere", True
    worked: ClassVar[set[str]] = set()

    def __init__(self, *given: Any, **more: Any) -> None:
        return

    def mapped(self, work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
        sent = [pickle.dumps(piece) for piece in pieces]
        self.worked.add(getattr(work, "__name__", type(work).__name__) if sent else "")
        done = [pickle.dumps(pickle.loads(pickle.dumps(work))(pickle.loads(piece))) for piece in sent]
        for came in done:
            yield pickle.loads(came)


def laid(root: Path, rows: int) -> Path:
    rng, said = random.Random(5), list[str]()
    root.mkdir()
    for name in "ab":
        with (root / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for n in range(rows):
                words = [rng.choice(WORDS) for _ in range(rng.choice((3, 20, 50)))]
                if said and rng.random() < 0.3:
                    words = rng.choice(said).split()
                    words[rng.randrange(len(words))] = rng.choice((*WORDS, "fox@example.org"))
                said.append(" ".join(words))
                talk = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": said[-1]}]
                file.write(json.dumps({"messages": talk}) + "\n" if n % 40 else "{bad\n")
    recipe = {
        "recipe": 1,
        "name": "r",
        "sources": [{"jsonl": {"files": [f"{n}.jsonl"]}, "name": n} for n in "ab"],
        "filters": [{"words": {"min": 2}}, {"pii": {"action": "redact"}}],
        "dedup": {"exact": True, "near": {"jaccard": 0.7, "permutations": 32}},
        "mix": {"weights": {"a": 0.8, "b": 0.2}, "repeat_at_most": 3},
        "split": {"validation": 0.1},
    }
    (root / "r.yaml").write_text(json.dumps(recipe))
    return root / "r.yaml"


def made(path: Path) -> dict[str, str]:
    place = Workspace(path.parent)
    runs.run(plan(load_recipe(path, place), place), to="prepare")
    found = [p for p in (path.parent / ".mirepoix/artifacts").rglob("*") if p.is_file()]
    return {p.relative_to(path.parent).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Many small pieces, elsewhere."""

    def become() -> None:
        monkeypatch.setattr(spans, "RANGE", 20_000)
        monkeypatch.setattr(spill, "AT_ONCE", 300)
        monkeypatch.setattr(written, "SHARD", 70)
        monkeypatch.setattr(local, "Local", Elsewhere)

    return become


def test_the_same_bytes(tmp_path: Path, small: Callable[[], None]) -> None:
    here = made(laid(tmp_path / "here", 400))
    assert any(name.endswith("data/train.jsonl") for name in here)
    small()
    assert made(laid(tmp_path / "there", 400)) == here
    compared = {"Scanning", "Sorting", "Finding", "Equal", "Comparing"}
    assert Elsewhere.worked >= {"count", "Reading", "Filtering", *compared, "Writing"}


def test_a_shard_that_is_not_what_was_written(
    tmp_path: Path, small: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small()
    call = written.Writing.__call__

    def damaging(self: written.Writing, records: tuple[int, int]) -> written.Shard:
        shard = call(self, records)
        if records[0] == 140:
            shard.path.write_bytes(shard.path.read_bytes()[:-1])
        return shard

    monkeypatch.setattr(written.Writing, "__call__", damaging)
    with pytest.raises(StepError, match=r"000000000140\.jsonl is not what was written"):
        made(laid(tmp_path / "there", 400))
