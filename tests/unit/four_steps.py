"""A recipe of four steps, for what is done with their artifacts."""

from __future__ import annotations

import json
from pathlib import Path

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [data/*.jsonl]}
    name: talk
    license: CC0-1.0
filters: [{words: {min: 1}}]
split: {validation: 0.1}
"""
STEPS = ["source.talk", "filter", "mix", "split"]


def workspace(folder: Path) -> Path:
    """It and its data, as `r.yaml` and in `data/`, in a new folder."""
    rows = (
        [
            {"role": "user", "content": f"What is {i} and {i * i}?"},
            {"role": "assistant", "content": f"It is {i}, says number {i * 7}."},
        ]
        for i in range(40)
    )
    (folder / "data").mkdir(parents=True)
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "data/a.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return folder
