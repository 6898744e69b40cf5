"""Kinds of training, each with the real Axolotl on a tiny random model: DoRA with rsLoRA, all weights, and the best
checkpoint of one that was stopped early, with every tracker listening."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

RECIPE = """recipe: 1
name: r
sources:
  - jsonl: {files: [a.jsonl]}
    name: s
split: {validation: VALIDATION}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {ADAPTER}
train: {attention: sdpa, gradient_checkpointing: false, TRAIN}
compute: {profile: cpu}
"""
PLAIN = "micro_batch: 2, effective_batch: 2, packing: false, "
WORDS = ("red", "blue", "green", "white", "black", "amber", "pink", "grey", "teal", "gold")


def workspace(
    root: Path, tiny: Path, adapter: str, train: str, more: str = "", validation: str = "0.2"
) -> Path:
    shutil.copytree(tiny, root / "tiny")
    rows = (
        {
            "messages": [
                {"role": "user", "content": f"Say {w}."},
                {"role": "assistant", "content": f"{w}, then."},
            ]
        }
        for w in WORDS
    )
    (root / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = RECIPE.replace("ADAPTER", adapter).replace("TRAIN", train).replace("VALIDATION", validation)
    (root / "r.yaml").write_text(text + more)
    return root


def start(forks: Any, root: Path, *more: str) -> Any:
    return forks.start("run", root / "r.yaml", "--workspace", root, "--json", *more)


def run(forks: Any, root: Path, *more: str) -> None:
    code, _, said = start(forks, root, *more).end()
    assert code == 0, said


def training(root: Path) -> dict[str, Any]:
    (path,) = (root / ".mirepoix/artifacts").glob("*/*/training.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_dora_and_rslora_packed_with_a_validation_split_smaller_than_a_batch(
    forks: Any, tiny: Path, tmp_path: Path
) -> None:
    adapter = "type: lora, r: 8, alpha: 16, dropout: 0, targets: [q_proj, v_proj], dora: true, rslora: true"
    train = (
        "packing: true, micro_batch: 1, effective_batch: 1, max_steps: 3, learning_rate: 1e-3, precision: fp32, "
        "neftune_alpha: 5, schedule: warmup_stable_decay, warmup_steps: 0, decay_steps: 2, min_lr: 0.5, evaluate_every: 1"
    )
    root = workspace(
        tmp_path, tiny, adapter, train, "axolotl: {eval_batch_size: 8, adam_beta2: 0.95}\n", "0.3"
    )
    run(forks, root, "--to", "train")
    config = json.loads((root / "runs/r/adapter/adapter_config.json").read_text())
    assert (config["use_dora"], config["use_rslora"]) == (True, True)
    from safetensors import safe_open

    with safe_open(str(root / "runs/r/adapter/adapter_model.safetensors"), "pt") as weights:
        assert any("lora_magnitude_vector" in name for name in weights.keys())  # noqa: SIM118
    found = training(root)
    assert len(found["steps"]) == 3 and all(s["grad_norm"] > 0 for s in found["steps"])
    rates = [s["learning_rate"] for s in found["steps"]]
    assert rates[0] == pytest.approx(1e-3) and rates[-1] < rates[0], rates
    # Three rows, in batches of eight: a loader that drops the last batch would see none of them.
    assert [v["step"] for v in found["validation"]] == [0, 1, 2, 3]
    assert all(v["loss"] > 0 for v in found["validation"])


def test_all_weights_make_a_model_that_is_judged(forks: Any, tiny: Path, tmp_path: Path) -> None:
    more = "evaluate: {suites: [few]}\n"
    train = PLAIN + "max_steps: 6, learning_rate: 1e-2, precision: fp32"
    root = workspace(tmp_path, tiny, "type: full", train, more, "0")
    (root / "evals/suites").mkdir(parents=True)
    (root / "evals/probes").mkdir()
    (root / "evals/suites/few.yaml").write_text(
        "suite: 1\nname: few\nprobes: probes/few.jsonl\nmax_new_tokens: 6\njudge: {tool_use: {}}\n"
    )
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    probe = {
        "id": "p",
        "messages": [{"role": "user", "content": "Say red."}],
        "tools": [tool],
        "expect": {"calls": []},
    }
    (root / "evals/probes/few.jsonl").write_text(json.dumps(probe) + "\n")
    run(forks, root)
    model = root / "runs/r/model"
    assert not (root / "runs/r/adapter").exists()
    names = {p.name for p in model.iterdir()}
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "mirepoix.json",
    } <= names
    assert not [n for n in names if n.endswith((".pt", ".bin", ".pth", ".pkl"))]
    import torch
    from transformers import AutoModelForCausalLM

    tuned = AutoModelForCausalLM.from_pretrained(model, use_safetensors=True, local_files_only=True)
    base = AutoModelForCausalLM.from_pretrained(root / "tiny", use_safetensors=True, local_files_only=True)
    moved = [n for (n, a), b in zip(tuned.named_parameters(), base.parameters(), strict=True)
             if not torch.equal(a.float(), b.float())]  # fmt: skip
    assert len(moved) == len(list(base.parameters()))
    report = json.loads((root / "runs/r/report.json").read_text())
    assert report["training"]["trainable_parameters"] == sum(p.numel() for p in base.parameters())
    assert report["training"]["model_bytes"] == (model / "model.safetensors").stat().st_size
    (found,) = report["suites"]
    assert found["metrics"], "both arms were judged"
    # What is judged is what was trained: the answer is that of the model in model/, not of the base.
    said = json.loads((root / "runs/r/answers/tuned/few.jsonl").read_text())
    other = json.loads((root / "runs/r/answers/base/few.jsonl").read_text())
    assert said["raw"] != other["raw"]


def test_stopped_early_it_keeps_the_best_checkpoint_and_trackers_are_told(
    forks: Any, tiny: Path, tmp_path: Path
) -> None:
    # At such a rate the loss gets worse: the first checkpoint is the best.
    train = (
        PLAIN
        + "epochs: 20, learning_rate: 0.3, schedule: constant, warmup: 0, save_every: 2, evaluate_every: 2"
    )
    track = "track: {tensorboard: true, wandb: {project: p}, trackio: {project: q}}\n"
    adapter = "type: lora, r: 4, alpha: 64, dropout: 0, targets: [q_proj, v_proj]"
    root = workspace(tmp_path, tiny, adapter, train + ", early_stopping: 2, precision: fp32", track, "0.3")
    started = start(forks, root, "--to", "train")
    kept: dict[int, bytes] = {}
    until = time.monotonic() + 900
    while started.running:
        assert time.monotonic() < until
        for state in (root / ".mirepoix/work").glob("*/out/checkpoint-*/trainer_state.json"):
            step = int(state.parent.name.partition("-")[2])
            if step not in kept:
                try:
                    kept[step] = (state.parent / "adapter_model.safetensors").read_bytes()
                except OSError:
                    continue
        time.sleep(0.02)
    code, _, said = started.end()
    assert code == 0, said
    found = training(root)
    validation = {v["step"]: v["loss"] for v in found["validation"] if v["step"]}
    best = min(validation, key=lambda step: validation[step])
    assert found["best"] == {"step": best, "loss": validation[best]}
    last = found["steps"][-1]["step"]
    assert last == best + 4 < 60, "two evaluations in vain, then it stopped"
    from safetensors.torch import load, load_file

    result = load_file(root / "runs/r/adapter/adapter_model.safetensors")
    wanted, end = load(kept[best]), load(kept[last])
    assert all(result[name].equal(wanted[name]) for name in wanted)
    assert not all(result[name].equal(end[name]) for name in end)
    tracked = root / "runs/r/track"
    assert list(tracked.glob("tensorboard/*events*"))
    whole = b"".join(p.read_bytes() for p in tracked.rglob("*.wandb"))
    assert b"train/loss" in whole and b"eval/loss" in whole
    with sqlite3.connect(tracked / "trackio/q.db") as database:
        rows = [
            json.loads(m) for (m,) in database.execute("select metrics from metrics where run_name = 'r'")
        ]
    assert len([m for m in rows if "loss" in m]) == last and any("eval_loss" in m for m in rows)
    assert os.environ.get("HOME", "/none").encode() + b"/.cache" not in whole
    log = (root / "runs/r/logs/train.log").read_text()
    assert "StoppingPlugin" in log or last < 60
