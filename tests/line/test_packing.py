"""Packed records do not see each other: the loss of a packed step is that of the same records one by one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.yaml12 import dump, parse

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

RECIPE = """recipe: 1
name: r
sources:
  - jsonl: {files: [a.jsonl]}
    name: s
split: {validation: 0}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, r: 4, alpha: 8, dropout: 0, targets: [q_proj, v_proj]}
train: {max_steps: 1, learning_rate: 1e-5, attention: sdpa, gradient_checkpointing: false, precision: fp32, MORE}
compute: {profile: cpu}
"""
ANSWERS = (
    "red and green",
    "blue",
    "the quick brown fox jumps over the lazy dog",
    "white then black",
    "amber",
)


def first_loss(forks: Any, folder: Path, tiny: Path, more: str) -> float:
    folder.mkdir()
    shutil.copytree(tiny, folder / "tiny")
    rows = (
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": text}]}
        for n, text in enumerate(ANSWERS)
    )
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE.replace("MORE", more))
    code, _, said = forks.start(
        "run", folder / "r.yaml", "--workspace", folder, "--json", "--to", "train"
    ).end()
    assert code == 0, said
    (training,) = (folder / ".mirepoix/artifacts").glob("*/*/training.json")
    return float(json.loads(training.read_text())["steps"][0]["loss"])


def test_packing_keeps_records_apart(forks: Any, tiny: Path, tmp_path: Path) -> None:
    apart = first_loss(forks, tmp_path / "apart", tiny, "packing: false, micro_batch: 5, effective_batch: 5")
    packed = first_loss(forks, tmp_path / "packed", tiny, "packing: true, micro_batch: 1, effective_batch: 1")
    assert packed == pytest.approx(apart, rel=1e-4)
    # The same where Axolotl is not told how attention is computed, which we always say: there they see each other.
    folder = tmp_path / "packed"
    config = parse((folder / "runs/r/axolotl.yml").read_text(), "axolotl.yml").data
    (prepared,) = (folder / ".mirepoix/artifacts").glob("*/*/prepared")
    shutil.copytree(prepared, folder / "again")
    del config["attn_implementation"]
    config |= {"dataset_prepared_path": "again", "output_dir": "out"}
    (folder / "unsaid.yml").write_text(dump(config))
    code, said = forks.axolotl(folder, "train", "unsaid.yml", "--launcher", "python")
    assert code == 0, said[-2000:]
    (state,) = (folder / "out").glob("checkpoint-*/trainer_state.json")
    mixed = json.loads(state.read_text())["log_history"][0]["loss"]
    assert mixed != pytest.approx(apart, rel=1e-3)
