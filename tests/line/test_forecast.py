"""What `recipe plan` foresees is what the training then does: tokens, steps and trainable parameters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

RECIPE = """
recipe: 1
name: r
sources:
  - tools: {set: weather, conversations: 30}
    name: weather
split: {validation: 0.1}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 4096}
adapter: {r: 4, alpha: 8, dropout: 0, targets: [q_proj, v_proj, down_proj]}
train: {attention: sdpa, gradient_checkpointing: false, save_every: 1000, MORE}
compute: {profile: cpu}
"""
CASES = {
    "packed": "packing: true, micro_batch: 2, effective_batch: 2, epochs: 1.5",
    "padded": "packing: false, micro_batch: 2, effective_batch: 6, epochs: 1.5",
}


def recipe(folder: Path, verb: str, *arguments: str) -> str:
    argv = [sys.executable, "-c", "from runner.cli import main; main()", verb, "r.yaml", *arguments]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES)
def test_the_plan_holds(
    case: str, forks: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(tiny, tmp_path / "tiny")
    (tmp_path / "r.yaml").write_text(RECIPE.replace("MORE", CASES[case]))
    before: dict[str, Any] = json.loads(recipe(tmp_path, "plan", "--json"))["forecast"]
    assert (before["rows"], before["steps"]) == (None, None)
    assert "not counted yet: run --to prepare" in recipe(tmp_path, "plan")

    recipe(tmp_path, "run", "--to", "prepare")
    foreseen = json.loads(recipe(tmp_path, "plan", "--json"))["forecast"]
    data = tmp_path / "runs/r/data"
    for half in ("train", "validation"):
        rows = [json.loads(line) for line in (data / f"{half}.jsonl").open()]
        assert foreseen["rows"][half] == len(rows)
        assert foreseen["tokens"][half] == sum(int(row["meta"]["tokens"]) for row in rows)
    assert foreseen["machines"][0]["seconds"] > 0

    argv = ("run", tmp_path / "r.yaml", "--workspace", tmp_path, "--json", "--to", "train")
    code, _, said = forks.start(*argv).end()
    assert code == 0, said
    (training,) = (tmp_path / ".mirepoix/artifacts").glob("*/*/training.json")
    done = json.loads(training.read_bytes())
    steps, epoch = done["steps"][-1]["step"], foreseen["epoch"]
    assert steps == len(done["steps"])
    if epoch["exact"]:
        assert foreseen["steps"] == steps
    else:  # packed in orders that no seed decides
        assert abs(foreseen["steps"] - steps) <= 1 + 2 * epoch["spread"]
    assert foreseen["trainable_parameters"] == done["trainable_parameters"]
    proof = next((tmp_path / ".mirepoix/artifacts").glob("*/*/proof.json"))
    assert sum(foreseen["tokens"].values()) == json.loads(proof.read_bytes())["tokens"]
