"""QLoRA on an 8B Llama-shaped model: our train stage beside the same Axolotl config by hand, and Transformers + PEFT.

    python benchmarks/gpu/bench.py                       # one GPU with 24 GB or more, some 8 minutes
    python benchmarks/gpu/bench.py --size tiny --device cpu    # every step of it, at a size for any machine

Needs `pip install -e '.[train]'` and nothing from the network. Prints a table: tokens a second over ours, peak memory
against the forecast of `recipe plan`. Everything is made under `--work` (build/bench-gpu).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import inputs
import watch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEMPLATE = "chatml-tools"
RUNTIME = re.compile(r"'train_runtime': '?([0-9.e+]+)")
MEMORY = {
    "allocated": re.compile(r"'memory/max_allocated \(GiB\)': '?([0-9.e+]+)"),
    "reserved": re.compile(r"'memory/device_reserved \(GiB\)': '?([0-9.e+]+)"),
}
RECIPE = """\
recipe: 1
name: bench
seed: 17
sources:
  - jsonl: {{files: [rows.jsonl]}}
    name: rows
split: {{validation: 0}}
model: {{base: model, template: {template}, end_of_turn: <|im_end|>, max_length: {tokens}}}
adapter: {{type: qlora, r: 16, alpha: 32, dropout: 0}}
train:
  {{max_steps: {steps}, micro_batch: {micro}, effective_batch: {effective}, packing: false, attention: {attention},
   gradient_checkpointing: true, precision: bf16, save_every: 1000}}
compute: {{profile: {profile}}}
"""


def main() -> None:
    args = _arguments()
    work: Path = args.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    results: dict[str, Any] = {"size": args.size, "device": args.device, "machine": _machine(args.device)}
    results |= {
        "steps": args.steps,
        "tokens": args.tokens,
        "micro_batch": args.micro,
        "effective_batch": args.effective,
    }
    print(
        f"{results['machine']}; {args.size}, {args.steps} steps of {args.effective} × {args.tokens} tokens",
        flush=True,
    )
    home = work / "workspace"
    home.mkdir()
    bench = Bench(args, home, work / "logs")
    bench.make()
    results["forecast"] = bench.foreseen()
    results["ours"] = bench.ours()
    results["axolotl"] = bench.axolotl()
    if not args.skip_peft:
        results["peft"] = bench.peft()
    out = args.out or work / "result.json"
    out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


class Bench:
    """One workspace, and who trains in it."""

    def __init__(self, args: argparse.Namespace, home: Path, logs: Path) -> None:
        self.args, self.home, self.logs, self.gpu = args, home, logs, args.device == "cuda"
        self.attention = (
            "flash_attention_2" if self.gpu and importlib.util.find_spec("flash_attn") else "sdpa"
        )
        bin_ = str(Path(sys.executable).parent)
        self.env = {"PATH": bin_ + os.pathsep + os.environ.get("PATH", ""), "HF_HUB_OFFLINE": "1"}
        self.env |= {"AXOLOTL_DO_NOT_TRACK": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}
        if not self.gpu:
            self.env |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
        self.tokens = args.steps * args.effective * args.tokens

    def _run(self, argv: list[str], name: str) -> watch.Cost:
        print(f"  {name} …", flush=True)
        log = self.logs / f"{name}.log"
        return watch.run(argv, cwd=self.home, log=log, gpu=self.gpu, env=self.env, limit=self.args.limit)

    def _recipe(self, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-c",
            "from runner.cli import entry; entry()",
            *arguments,
            "--workspace",
            str(self.home),
        ]

    def make(self) -> None:
        args = self.args
        argv = [sys.executable, str(HERE / "inputs.py"), "model", args.size, args.device, "17"]
        self._run(argv, "model")
        inputs.records(self.home / "rows.jsonl", args.steps * args.effective, args.tokens, 17)
        text = RECIPE.format(
            template=TEMPLATE,
            tokens=args.tokens,
            steps=args.steps,
            micro=args.micro,
            effective=args.effective,
            attention=self.attention,
            profile="gpu" if self.gpu else "cpu",
        )
        (self.home / "bench.yaml").write_text(text, encoding="utf-8")

    def foreseen(self) -> dict[str, Any]:
        """What `recipe plan` says once prepare has counted."""
        recipe = str(self.home / "bench.yaml")
        self._run(self._recipe("run", recipe, "--to", "prepare"), "prepare")
        argv = self._recipe("plan", recipe, "--json")
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=os.environ | self.env)
        found: dict[str, Any] = json.loads(done.stdout)["forecast"]
        if found["steps"] != self.args.steps or found["tokens"]["train"] != self.tokens:
            raise SystemExit(f"the forecast counts {found['steps']} steps and {found['tokens']} tokens")
        return found

    def ours(self) -> dict[str, float]:
        cost = self._run(self._recipe("run", str(self.home / "bench.yaml"), "--to", "train"), "ours")
        return self._found(self.home / "runs/bench/logs/train.log", cost)

    def axolotl(self) -> dict[str, float]:
        """The config that the recipe compiles to, run by hand on the very rows that ours were."""
        folder = self.home / "by-hand"
        argv = self._recipe("compile", str(self.home / "bench.yaml"), "--out", str(folder))
        subprocess.run(argv, capture_output=True, check=True, env=os.environ | self.env)
        (rows,) = (
            p for p in self.home.glob(".mirepoix/artifacts/*/*/train.jsonl") if p.parent.parent.name != "data"
        )
        for name, target in (("data/train.jsonl", rows),):
            (self.home / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(target, self.home / name)
        for name in ("prepared", "output"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        config = str(folder / "axolotl.yml")
        first = self._run(
            [sys.executable, "-m", "axolotl.cli.main", "preprocess", config], "axolotl-preprocess"
        )
        launcher = [] if self.gpu else ["--launcher", "python"]
        argv = [sys.executable, "-m", "axolotl.cli.main", "train", config, *launcher]
        cost = self._run(argv, "axolotl-train")
        whole = watch.Cost(first.seconds + cost.seconds, max(first.gib, cost.gib))
        return self._found(self.logs / "axolotl-train.log", whole)

    def peft(self) -> dict[str, float]:
        args = self.args
        asked = {
            "model": "model", "device": args.device, "template": str(ROOT / f"recipes/base/{TEMPLATE}.jinja"),
            "attention": self.attention, "gradient_checkpointing": True, "r": 16, "alpha": 32, "targets": TARGETS,
            "data": "rows.jsonl", "output": "peft", "steps": args.steps, "micro_batch": args.micro,
            "accumulation": args.effective // args.micro,
        }  # fmt: skip
        (self.home / "peft.json").write_text(json.dumps(asked), encoding="utf-8")
        cost = self._run([sys.executable, str(HERE / "by_hand.py"), "peft.json"], "peft")
        said = json.loads((self.logs / "peft.log").read_text(encoding="utf-8").splitlines()[-1])
        if said["tokens"] != args.tokens:
            raise SystemExit(f"by hand a record has {said['tokens']} tokens, not {args.tokens}")
        out = {"seconds": cost.seconds, "gib": cost.gib, "tokens_per_second": self.tokens / said["seconds"]}
        return out | {k: said[k] for k in MEMORY if k in said}

    def _found(self, log: Path, cost: watch.Cost) -> dict[str, float]:
        text = log.read_text(encoding="utf-8", errors="replace")
        out = {"seconds": cost.seconds, "gib": cost.gib}
        out["tokens_per_second"] = self.tokens / float(RUNTIME.findall(text)[-1])
        for name, pattern in MEMORY.items():
            if self.gpu and (found := pattern.findall(text)):
                out[name] = max(map(float, found))
        return out


def table(results: dict[str, Any]) -> str:
    """Markdown. Memory of the device beyond what was in use before; PyTorch's own figures beside it."""
    foreseen, ours = results["forecast"]["memory"]["bytes"] / 2**30, results["ours"]
    rows = [
        "| who | tokens/s | over ours | peak GiB | allocated | reserved | forecast GiB | forecast off by | whole s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = {"ours": "**mirepoix, train stage**", "axolotl": "Axolotl by hand", "peft": "Transformers + PEFT"}
    for key, name in names.items():
        if key not in results:
            continue
        one = results[key]
        speed = one["tokens_per_second"]
        own = [f"{one[k]:.1f}" if k in one else "" for k in MEMORY]
        off = f"{foreseen / one['gib'] - 1:+.0%}" if key != "peft" and one["gib"] else ""
        cells = [name, f"{speed:,.0f}", f"{speed / ours['tokens_per_second']:.2f}", f"{one['gib']:.1f}", *own]
        rows.append("| " + " | ".join([*cells, f"{foreseen:.1f}", off, f"{one['seconds']:.0f}"]) + " |")
    for on in results["forecast"]["machines"]:
        if on["seconds"]:
            took = (
                results["steps"] * results["effective_batch"] * results["tokens"] / ours["tokens_per_second"]
            )
            foretold = on["seconds"] - on["start_seconds"]
            rows.append(
                f"\nTraining on {on['name']}: forecast {foretold:.0f} s, took {took:.0f} s, {foretold / took - 1:+.0%}"
            )
    return "\n".join(rows)


def _machine(device: str) -> str:
    if device == "cpu":
        return f"CPU, {os.cpu_count()} cores"
    argv = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(inputs.SIZES), default="8b")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps")
    parser.add_argument("--tokens", type=int, default=0, help="tokens of a record (8b: 4096, tiny: 256)")
    parser.add_argument("--micro", type=int, default=1, help="records a pass")
    parser.add_argument("--effective", type=int, default=4, help="records a step")
    parser.add_argument("--skip-peft", action="store_true", help="leave out Transformers + PEFT")
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench-gpu")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON (default: WORK/result.json)")
    parser.add_argument("--limit", type=float, default=420, help="most seconds that one command may take")
    args = parser.parse_args()
    args.tokens = args.tokens or (4096 if args.size == "8b" else 256)
    if args.effective % args.micro:
        parser.error("--effective must be a multiple of --micro")
    return args


if __name__ == "__main__":
    main()
