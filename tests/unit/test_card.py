"""The data card: licences, origins and losses of a run, the same bytes for the same ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import card, ledger
from runner.api import run
from runner.fetching import Item, Paid
from runner.load import load_recipe
from runner.modelcard import dataset_card, dataset_header
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


CHATTY = """\
recipe: 1
name: talky
description: Two kinds of rows.
sources:
  - jsonl: {files: [plain.jsonl]}
    name: plain
    license: CC-BY-4.0
    tags: {tone: plain}
  - tools: {set: weather, conversations: 30}
    name: weather
    license: CC0-1.0
filters:
  - language: {keep: [en], at_least: 0.0}
split: {validation: 0.2, group: record}
"""


def test_the_folder_is_a_data_set_as_a_hub_has_them(tmp_path: Path) -> None:
    """Read by the library itself, without any network: rows of several shapes, each as it was written."""
    rows = [{"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n} it is, my friend."}]}
            for n in range(40)]  # fmt: skip
    (tmp_path / "plain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.yaml").write_text(CHATTY)
    data = run(tmp_path / "r.yaml", to="prepare", workspace=tmp_path).folder / "data"
    said = (data / "README.md").read_text()
    _, text, body = said.split("---\n", 2)
    header = yaml.safe_load(text)
    written = {s: (data / f"{s}.jsonl").read_text().splitlines() for s in ("train", "validation")}
    assert body.lstrip().startswith("# Data card")
    assert header["license"] == ["cc-by-4.0", "cc0-1.0"] and header["language"] == ["en"]
    assert header["size_categories"] == ["n<1K"] and header["tags"][-1] == "tool-calling"
    assert header["source_datasets"] == ["original"] and header["task_categories"] == ["text-generation"]
    assert header["dataset_info"]["splits"] == [
        {"name": s, "num_examples": len(lines)} for s, lines in written.items()
    ]
    assert set(header["mirepoix"]) == {"recipe", "data"}
    card = pytest.importorskip("huggingface_hub").DatasetCard(said)
    assert card.data.license == header["license"] and card.data.pretty_name == "talky"
    assert card.data.to_dict() == header
    pytest.importorskip("datasets", minversion="4.7")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(data)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
    )
    assert done.returncode == 0, done.stderr
    for split, read in json.loads(done.stdout).items():
        wanted = [json.loads(line) for line in written[split]]
        assert [{k: v for k, v in row.items() if v is not None} for row in read] == wanted


LOAD = """
import json, sys, datasets
datasets.disable_progress_bars()
found = datasets.load_dataset(sys.argv[1])
print(json.dumps({split: list(rows) for split, rows in found.items()}))
"""


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        ([], {"license": "unknown"}),
        (["", ""], {"license": "unknown"}),
        (["MIT"], {"license": "mit"}),
        (["MIT", "mit"], {"license": "mit"}),
        (["MIT", "Apache-2.0"], {"license": ["apache-2.0", "mit"]}),
        (["MIT", ""], {"license": "other", "license_name": "several-see-card"}),
        (["public domain (USA)"], {"license": "other", "license_name": "several-see-card"}),
    ],
)
def test_licences_of_data_by_the_hubs_names(licences: list[str], said: dict[str, Any]) -> None:
    header = dataset_header("x", {"train": 999, "validation": 0}, licences=licences, digests={})
    assert {k: v for k, v in header.items() if k.startswith("license")} == said
    assert [s["name"] for s in header["dataset_info"]["splits"]] == ["train"]
    assert header["size_categories"] == ["n<1K"]


def test_data_sets_that_it_was_made_of() -> None:
    header = dataset_header("x", {"train": 1000}, licences=[], datasets=["a/b"], own=False, digests={})
    assert header["source_datasets"] == ["extended|a/b"] and header["size_categories"] == ["1K<n<10K"]
    text = dataset_card(dataset_header("a\n---\nb", {"train": 1}, licences=[], digests={}), "# Body\n")
    assert yaml.safe_load(text.split("\n---\n\n# Body")[0][4:])["pretty_name"] == "a\n---\nb"
