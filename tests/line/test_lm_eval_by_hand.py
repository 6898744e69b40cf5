"""What lm-eval says of an arm is what `lm_eval` says that is run by hand with the same flags, to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from runner.jobs.lm_eval import LmEvalJob, evaluate

CHOOSE = """\
task: choose
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl, train: facts.jsonl}}
test_split: test
fewshot_split: train
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 1}
"""
SAY = """\
task: say
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl, train: facts.jsonl}}
test_split: test
fewshot_split: train
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {max_gen_toks: 8, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
metadata: {version: 1}
"""


def by_hand(folder: Path, model: str, *flags: str) -> dict[str, Any]:
    out = folder / "by-hand"
    argv = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
            f"{model},dtype=float32,softmax_dtype=float32", "--tasks", "choose,say", "--include_path", str(folder),
            "--apply_chat_template", "--batch_size", "5", "--device", "cpu", "--seed", "7", "--limit", "12",
            "--log_samples", "--output_path", str(out), *flags]  # fmt: skip
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = out.rglob("results_*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize(("fewshot", "multiturn", "tuned"), [(2, True, True), (2, False, False)])
def test_to_the_last_digit(
    tiny: Path, tmp_path: Path, lora: Callable[[Path, Path], Path], fewshot: int, multiturn: bool, tuned: bool
) -> None:
    rows = [
        {
            "question": f"Is fox {i} over {i * 7 % 11}?",
            "choices": ["yes", "no indeed"],
            "answer": i * 5 % 3 % 2,
        }
        for i in range(16)
    ]
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for name, text in (("choose", CHOOSE), ("say", SAY)):
        (tmp_path / f"{name}.yaml").write_text(text)
    worn = lora(tiny, tmp_path / "lora") if tuned else None
    job = LmEvalJob(
        model=str(tiny), arm="a", tasks=["choose", "say"], task_folder=str(tmp_path), out=str(tmp_path / "out"),
        batch=5, limit=12, fewshot=fewshot, multiturn=multiturn, seed=7, adapter=str(worn) if worn else None,
    )  # fmt: skip
    evaluate(job)
    ours = json.loads((tmp_path / "out/results.json").read_text())["results"]
    model = f"pretrained={tiny}" + (f",peft={worn}" if worn else "")
    theirs = by_hand(
        tmp_path, model, "--num_fewshot", str(fewshot), "--fewshot_as_multiturn", str(multiturn).lower()
    )["results"]
    assert {(r["task"], r["metric"]) for r in ours} == {
        ("choose", "acc"), ("choose", "acc_norm"), ("say", "exact_match"),
    }  # fmt: skip
    for r in ours:
        said = theirs[r["task"]]
        assert r["value"] == said[f"{r['metric']},none"], r
        assert r["stderr"] == said[f"{r['metric']}_stderr,none"], r
    assert len({r["value"] for r in ours}) > 1, "numbers that are all the same compare nothing"
