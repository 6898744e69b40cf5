"""What the runner adds to a training: our train stage beside the same Axolotl by hand, in pairs.

    .venv/bin/python benchmarks/train/overhead.py [--pairs N] [--steps N] [--out FILE]

Ours is `recipe run --to train` in a workspace where the data is prepared: rows, `axolotl preprocess`, the proof of
masks, `axolotl train`, the adapter collected and digested. By hand is `axolotl preprocess` and `axolotl train` with the
configuration from `recipe compile` on the same rows, in the same environment. Both train a Llama of two layers with
random weights, so that nearly all of the time is what is there at every training; each pair starts from nothing, and
which of the two goes first takes turns. Wall time and CPU time (own and children's) of each, medians, and the
differences within pairs. The bound: 1% of the time by hand, and 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner import process

RECIPE = """
recipe: 1
name: overhead
sources:
  - jsonl: {{files: [talk.jsonl]}}
    name: talk
split: {{validation: 0.05}}
model: {{base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}}
adapter: {{r: 8, alpha: 16, dropout: 0.05, targets: [q_proj, v_proj]}}
train:
  {{epochs: 100, max_steps: {steps}, micro_batch: 4, effective_batch: 4, packing: false, attention: sdpa,
   gradient_checkpointing: false, save_every: 50, learning_rate: 1e-3}}
compute: {{profile: cpu}}
"""


def model(folder: Path) -> None:
    """A Llama of two layers with random weights, and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    backend.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def timed(argv: list[str], cwd: Path, log: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall and of CPU of a command; it must succeed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with log.open("ab") as out:
        subprocess.run(argv, cwd=cwd, env=env, stdout=out, stderr=out, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    def __init__(self, root: Path, steps: int) -> None:
        self.root, self.steps = root, steps
        more = {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
        self.env = process.environment(more | {"AXOLOTL_DATASET_NUM_PROC": "1", "WANDB_MODE": "disabled"})
        self.recipe = [sys.executable, "-c", "from runner.cli import entry; entry()"]
        self.workspace = root / "prepared"
        self.workspace.mkdir()
        model(self.workspace / "tiny")
        talk = [
            {
                "messages": [
                    {"role": "user", "content": f"What is {a} times {b}, and what is their sum?"},
                    {"role": "assistant", "content": f"{a} times {b} is {a * b}, and their sum is {a + b}."},
                ]
            }
            for a in range(2, 42)
            for b in range(3, 28)
        ]
        (self.workspace / "talk.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talk))
        (self.workspace / "overhead.yaml").write_text(RECIPE.format(steps=steps))
        self.log = root / "log"
        self._ours(self.workspace, "prepare")

    def _ours(self, workspace: Path, to: str) -> tuple[float, float]:
        argv = [*self.recipe, "run", "overhead.yaml", "--workspace", str(workspace), "--to", to, "--json"]
        return timed(argv, workspace, self.log, dict(os.environ))

    def ours(self) -> tuple[float, float]:
        workspace = self.root / "ours"
        shutil.rmtree(workspace, ignore_errors=True)
        shutil.copytree(self.workspace, workspace)
        return self._ours(workspace, "train")

    def by_hand(self) -> tuple[float, float]:
        """With the rows as the last run of ours handed them to Axolotl."""
        folder = self.root / "by-hand"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        shutil.copytree(self.workspace / "tiny", folder / "tiny")
        rows = next(p.parent for p in self.root.glob("rows/train.jsonl"))
        for name in ("train.jsonl", "validation.jsonl"):
            shutil.copyfile(rows / name, folder / "data" / name)
        shutil.copyfile(self.root / "compiled/axolotl.yml", folder / "axolotl.yml")
        axolotl = [sys.executable, "-m", "axolotl.cli.main"]
        first = timed([*axolotl, "preprocess", "axolotl.yml"], folder, self.log, self.env)
        then = timed([*axolotl, "train", "axolotl.yml", "--launcher", "python"], folder, self.log, self.env)
        return first[0] + then[0], first[1] + then[1]

    def warm(self) -> None:
        """Everything once: compiled modules and files in memory; and what the runs by hand need."""
        self.ours()
        argv = [
            *self.recipe,
            "compile",
            "overhead.yaml",
            "--workspace",
            ".",
            "--out",
            str(self.root / "compiled"),
        ]
        timed(argv, self.workspace, self.log, dict(os.environ))
        for manifest in (self.root / "ours/.mirepoix/artifacts").glob("*/*/manifest.json"):
            if json.loads(manifest.read_bytes())["step"] == "rows":
                shutil.copytree(manifest.parent, self.root / "rows")
        self.by_hand()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "overhead.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        bench = Bench(Path(folder), options.steps)
        bench.warm()
        ours, by_hand = [], []
        for n in range(options.pairs):
            for mine in (True, False) if n % 2 else (False, True):
                (ours if mine else by_hand).append(bench.ours() if mine else bench.by_hand())
            wall = [x[n][0] for x in (ours, by_hand)]
            print(
                f"pair {n + 1}: {wall[0]:.1f} s ours, {wall[1]:.1f} s by hand, {wall[0] - wall[1]:+.1f} s",
                flush=True,
            )
    result = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "steps": options.steps,
        "pairs": [
            {
                "ours": dict(zip(("wall", "cpu"), a, strict=True)),
                "by_hand": dict(zip(("wall", "cpu"), b, strict=True)),
            }
            for a, b in zip(ours, by_hand, strict=True)
        ],
    }
    for i, what in enumerate(("wall", "cpu")):
        hand = statistics.median(x[i] for x in by_hand)
        result[what] = {
            "ours": round(statistics.median(x[i] for x in ours), 2),
            "by_hand": round(hand, 2),
            "difference": round(
                statistics.median(a[i] - b[i] for a, b in zip(ours, by_hand, strict=True)), 2
            ),
            "bound": round(0.01 * hand + 2, 2),
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: result[k] for k in ("wall", "cpu")}, indent=1))


if __name__ == "__main__":
    main()
