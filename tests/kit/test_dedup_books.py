"""Dedup on real books: parts of a book are found inside the whole, and books that share nothing lose nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import ledger
from runner.cli import main

KIT = Path(os.environ.get("MIREPOIX_KIT") or Path(__file__).parents[2] / ".." / "shared" / "kit")
OVERLAP = KIT / "gutenberg" / "overlap.json"
if not OVERLAP.is_file():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

WHOLE, PARTS, OTHERS = "74", ("7193", "7194"), ("11", "84", "1342")
RECIPE = """
recipe: 1
name: books
sources:
  - text: {files: [74.txt]}
    name: whole
  - text: {files: [7193.txt, 7194.txt]}
    name: parts
  - text: {files: [11.txt, 84.txt, 1342.txt]}
    name: others
dedup: {near: {jaccard: 0.8}}
split: {validation: 0}
"""


def solid(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def test_parts_are_found_inside_the_whole_and_nothing_else_goes(tmp_path: Path) -> None:
    shares = {(o["a"], o["b"]): o["share_of_b"] for o in json.loads(OVERLAP.read_text(encoding="utf-8"))}
    assert min(shares[int(WHOLE), int(part)] for part in PARTS) > 0.97  # what the kit says of them
    for book in (WHOLE, *PARTS, *OTHERS):
        shutil.copyfile(KIT / "gutenberg" / f"{book}.txt", tmp_path / f"{book}.txt")
    (tmp_path / "r.yaml").write_text(RECIPE)
    argv = ["run", str(tmp_path / "r.yaml"), "--to", "prepare", "--workspace", str(tmp_path)]
    done = CliRunner().invoke(main, argv)
    assert done.exit_code == 0, done.output
    fates = ledger.read(tmp_path / "runs/books/ledger.parquet")
    lost = {s: [f for f in fates if f.source == s and f.by.startswith("dedup")] for s in ("whole", "others")}
    assert lost == {"whole": [], "others": []}
    parts = [f for f in fates if f.source == "parts"]
    assert len(parts) > 80
    assert {f.of.split("/")[0] for f in parts if f.by.startswith("dedup")} == {"whole"}
    # What is left of the parts is what does not stand in the whole: their own title pages.
    train = [
        json.loads(line) for line in (tmp_path / "runs/books/data/train.jsonl").read_bytes().splitlines()
    ]
    said = {r["meta"]["id"]: r["messages"][-1]["content"] for r in train}
    everything = solid("".join(said[id] for id in sorted(said) if id.startswith("whole/")))
    left = [f.id for f in parts if f.fate == "trained" and solid(said[f.id]) in everything]
    assert left == []
