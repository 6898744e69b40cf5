"""What report.json holds: every row and token on its way, duplicates as pairs, what the evaluation shared, who set what."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner import run as runs
from runner.load import load_recipe
from runner.page import render
from runner.plan import plan
from runner.report import flow, pairs
from runner.store import Store
from runner.workspace import Workspace

STORY = (
    "The ferry leaves at six and waits for nobody, not even for the mayor, who once ran along the whole pier with his "
    "hat in his hand and was waved to very kindly from the stern by all who had bought their tickets in good time."
)
BASE = """\
sources:
  - jsonl: {files: [a.jsonl]}
    name: stories
    license: CC-BY-SA-4.0
filters:
  - words: {min: 4}
dedup: {exact: true, near: {jaccard: 0.6}}
"""
RECIPE = """\
recipe: 1
name: harbour
extends: base.yaml
mix: {weights: {stories: 1}, total: 12}
split: {validation: 0.2, group: record}
"""


def row(question: str, answer: str) -> str:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": said})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """A run of 21 rows, and its report: one is no JSON, one too short, one exact and two near duplicates."""
    folder = tmp_path_factory.mktemp("harbour")
    lines = [row("Tell me.", STORY), row("And again?", STORY.replace("ran along", "walked along"))]
    lines += [row("Once more?", STORY.replace("his hand", "the wind")), row("Tell me.", STORY), "{broken"]
    lines += [row("Hi", "No.")]
    lines += [
        row(f"What of {n}?", f"House {n} has {n + 3} windows and {2 * n} doors by pier {n * n}.")
        for n in range(15)
    ]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "base.yaml").write_text(f"recipe: 1\nname: base\n{BASE}")
    (folder / "r.yaml").write_text(RECIPE)
    workspace = Workspace(folder)
    outcome = runs.run(plan(load_recipe(folder / "r.yaml", workspace), workspace))
    return plan(load_recipe(folder / "r.yaml", workspace), workspace), json.loads(
        (outcome.folder / "report.json").read_bytes()
    )


def test_every_row_is_on_its_way(made: tuple[Any, dict[str, Any]]) -> None:
    _, data = made
    found = data["flow"]
    assert [(s["source"], s["rows"], s["records"], s["tokens"]) for s in found["sources"]] == [
        ("stories", 21, 20, None)
    ]
    took = [(x["step"], x["by"], x["rows"]) for x in found["lost"]]
    assert took == [
        ("source", "source", 1), ("filter", "filters[0].words", 1), ("dedup", "dedup.exact", 1),
        ("dedup", "dedup.near", 2), ("mix", "mix", 4),
    ]  # fmt: skip
    used = {x["fate"]: x["rows"] for x in found["used"]}
    assert sum(n for *_, n in took) + sum(used.values()) == 21
    assert used == {"trained": data["rows"]["trained"], "validation": data["rows"]["validation"]}
    assert found["steps"] == ["source", "filter", "dedup", "mix"]


def inputs(of: Any) -> dict[str, Any]:
    store = Store(of.workspace.root)
    return {s.name: store.get(s.fingerprint) for s in of.steps if s.name != "report"}


def test_tokens_are_counted_where_they_were_seen_and_else_reckoned(
    made: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    """A tokenizer that sees a token in every tenth byte, of the rows that came as far as to it."""
    of, data = made
    known = inputs(of)
    before = np.load(known["dedup"].file("kept.npy"))
    lines = np.diff(np.load(known["source.stories"].file("lines.npy")))
    np.save(tmp_path / "kept.npy", before)
    np.save(tmp_path / "tokens.npy", (lines[before] // 10).astype(np.uint32))
    m: Any = SimpleNamespace(inputs=known | {"render": SimpleNamespace(path=tmp_path)}, plan=of)
    (tmp_path / "dropped.json").write_text("[]")
    for name in ("dropped", "dropped.why", "dropped.of"):
        np.save(tmp_path / f"{name}.npy", np.zeros(0, np.uint32))
    found = flow.flow(m, data["rows"])
    by = {x["by"]: (x["tokens"], x["exact"]) for x in found["lost"]}
    assert by["source"] == (None, True)  # never a record: nothing tells how long it was
    assert by["mix"][1] and not by["dedup.near"][1] and not by["filters[0].words"][1]
    rate = (lines[before] // 10).sum() / lines[before].sum()
    assert by["dedup.near"][0] == sum(round(float(lines[n] * rate)) for n in (1, 2))
    used = sum(x["tokens"] for x in found["used"])
    assert used + by["mix"][0] == int((lines[before] // 10).sum())


def test_pairs_hold_both_texts_and_the_least_alike_come_first(made: tuple[Any, dict[str, Any]]) -> None:
    _, data = made
    found = data["duplicates"]
    assert (found["exact"], found["near"], found["threshold"]) == (1, 2, 0.6)
    kinds = [(p["kind"], p["dropped"]["id"], p["kept"]["id"]) for p in found["pairs"]]
    assert sorted(kinds[:2]) == [
        ("near", "stories/a/2", "stories/a/1"),
        ("near", "stories/a/3", "stories/a/1"),
    ]
    assert kinds[2] == ("exact", "stories/a/4", "stories/a/1")
    assert (
        found["pairs"][0]["similarity"]
        <= found["pairs"][1]["similarity"]
        < found["pairs"][2]["similarity"]
        == 1
    )
    texts = {p["dropped"]["id"]: p["dropped"]["text"] for p in found["pairs"]}
    assert "walked along" in texts["stories/a/2"] and "walked" not in found["pairs"][0]["kept"]["text"]


def test_few_pairs_are_chosen_of_many() -> None:
    similarity = np.linspace(1, 0.5, 500).astype(np.float32)
    chosen = pairs._chosen(np.arange(500), similarity)
    assert len(chosen) == pairs.NEAR and len(set(chosen)) == pairs.NEAR
    assert chosen[:5] == [499, 498, 497, 496, 495] and chosen[-1] == 0


def test_small_losses_are_told_together_where_there_are_many() -> None:
    many = [flow.Loss("filter", "s", "filters[0].x", f"reason {n}", n + 1, 10 * (n + 1)) for n in range(1000)]
    told = flow._fewer([*many, flow.Loss("mix", "s", "mix", "not needed", 5000, 1)])
    assert len(told) == flow.MOST + 1 and told[-1].step == "mix"
    assert sum(x.rows for x in told) == 500_500 + 5000 and sum(x.tokens or 0 for x in told) == 5_005_000 + 1
    assert [x.reason for x in told].count("other reasons") == 1


def test_it_says_which_file_set_each_key_and_what_licences_ask(made: tuple[Any, dict[str, Any]]) -> None:
    of, data = made
    keys = {k["key"]: (k["value"], k["file"]) for k in data["keys"]}
    assert keys["name"] == ("harbour", "r.yaml") and keys["mix.total"] == ("12", "r.yaml")
    assert keys["dedup.near.jaccard"] == ("0.6", "base.yaml")
    assert keys["sources[0].jsonl.files"] == ('["a.jsonl"]', "base.yaml")
    assert data["rights"]["used"] == [
        {"license": "CC-BY-SA-4.0", "source": "stories", "attribution": "", "rows": 12}
    ]
    assert data["rights"]["terms"][0].startswith("share-alike (CC-BY-SA-4.0 of stories)")
    assert data["forecast"] is None and data["base"] is None
    assert str(of.workspace.root) not in json.dumps(data)


def test_who_set_a_key_decides_the_report_alone(made: tuple[Any, dict[str, Any]]) -> None:
    of, _ = made
    root = of.workspace.root
    (root / "whole.yaml").write_text(RECIPE.replace("extends: base.yaml\n", BASE))
    other = plan(load_recipe(root / "whole.yaml", of.workspace), of.workspace)
    changed = [a.name for a, b in zip(of.steps, other.steps, strict=True) if a.fingerprint != b.fingerprint]
    assert changed == ["report"]


def test_a_report_of_data_alone_is_a_page(made: tuple[Any, dict[str, Any]]) -> None:
    page = render(made[1])
    assert "The data is ready; nothing was judged." in page and "trains no model" in page
    assert "<mark>walked</mark>" in page and "21 rows read" in page and "harbour" in page
    assert 'id="training"' not in page and 'id="judges"' not in page and "<script>" not in page
