"""The data card: licences, origins and losses of a run, the same bytes for the same ledger."""

from __future__ import annotations

from pathlib import Path

from runner import card, ledger
from runner.fetching import Item, Paid
from runner.load import load_recipe
from runner.record import Fate
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: c
sources:
  - jsonl: {files: [a.jsonl]}
    name: a
"""


def test_a_card(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "a.jsonl").write_text("{}\n")
    recipe = load_recipe(tmp_path / "r.yaml", Workspace(tmp_path)).recipe
    about = {"license": "CC-BY-4.0", "attribution": "A. Writer"}
    fates = [Fate(f"a/{n}", "a", "trained", origin=f"posts.csv:{n}", **about) for n in (1, 2)]
    fates.append(Fate("a/3", "a", "dropped", "filters[0].words", "too few words"))

    def written(rows: list[Fate]) -> str:
        tally = ledger.Tally()
        block = ledger.block("a", rows)
        block.remarks = ["it may be cut off" if fate.id == "a/2" else "" for fate in rows]
        tally.add(block)
        return card.text(tally, ledger.summary(tally, ledger.shares(recipe, ["a"], [2], None), None), recipe)

    text = written(fates)
    assert "3 rows came in: 2 are trained, 0 held out" in text
    assert "| CC-BY-4.0 | a | A. Writer | 2 |" in text
    assert "  - posts.csv\n" in text
    assert "posts.csv:1" not in text
    assert "  - 1 used rows: it may be cut off\n" in text
    assert "| filters\\[0\\].words | too few words | 1 |" in text
    assert "paid" not in text
    assert text == written(fates[::-1])


def test_a_card_says_what_was_paid(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "a.jsonl").write_text("{}\n")
    recipe = load_recipe(tmp_path / "r.yaml", Workspace(tmp_path)).recipe
    tally = ledger.Tally()
    tally.add(ledger.block("a", [Fate("a/1", "a", "trained")]))
    summary = ledger.summary(tally, ledger.shares(recipe, ["a"], [1], None), None)
    answers = [Item(str(n), "0" * 64, Paid(1, 100, 20, 0.25).meta()) for n in range(3)]
    left = Item("3", error="not asked", left_out=True)
    text = card.text(tally, summary, recipe, {"a": [*answers, left], "b": answers})
    assert text.count("paid for") == 1
    assert ": 360 tokens (300 in, 60 out), cost 0.7500, for 3 rows\n" in text
