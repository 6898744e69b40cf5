"""Our evaluation beside the same engines by hand: `python benchmarks/evaluate/bench.py [--pairs N]`.

Needs a workspace in which the quickstart has run (`make quickstart`; --workspace, --run). In pairs, taking turns:

- answers: `runner.jobs.generate` with the quickstart's adapter on its own probes, beside by_hand.py (Transformers and
  PEFT, merged, the same batches). Seconds of the whole process, loading included, and how many answers are the same.
- lm-eval: `runner.jobs.lm_eval` on everyday_facts and the base model, beside the `lm_eval` command with the same flags.
  Seconds of the whole process, and both numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner import process
from runner.results import Run, find

Way = Callable[[], dict[str, Any]]
BATCH = 64
SETS = (("weather-calls.jsonl", 56), ("persona-prompts.jsonl", 48))
SHIPPED = Path(__file__).resolve().parents[2] / "evals"
BY_HAND = Path(__file__).with_name("by_hand.py")


def timed(argv: list[str], cwd: Path) -> float:
    start = time.perf_counter()
    with (cwd / "log").open("ab") as log:
        subprocess.run(
            argv,
            cwd=cwd,
            env=process.environment({"HF_HUB_OFFLINE": "1"}),
            stdout=log,
            stderr=log,
            check=True,
        )
    return time.perf_counter() - start


def asked(out: Path) -> list[dict[str, Any]]:
    """What a job is told of the probes, its answers going below `out`."""
    return [
        {
            "arm": "tuned",
            "probes": str(SHIPPED / "probes" / name),
            "out": str(out / name / "said.jsonl"),
            "max_new_tokens": most,
        }
        for name, most in SETS
    ]


class Bench:
    def __init__(self, run: Run, root: Path) -> None:
        self.run, self.root = run, root
        template = run.template
        assert template is not None
        self.model = {
            "model": str(run.base()),
            "adapter": str(run.kept),
            "template": str(template),
            "end_of_turn": "<|im_end|>",
            "batch": BATCH,
            "nf4": True,
        }

    def job(self, module: str, **more: Any) -> float:
        path = self.root / f"{module}.json"
        path.write_text(json.dumps(self.model | more))
        return timed([sys.executable, "-m", f"runner.jobs.{module}", str(path)], self.root)

    def answers(self) -> dict[str, Any]:
        out = self.root / "answers"
        shutil.rmtree(out, ignore_errors=True)
        seconds = self.job("generate", sets=asked(out))
        said = {}
        for name, _ in SETS:
            for line in (out / name / "said.jsonl").read_text(encoding="utf-8").splitlines():
                answer = json.loads(line)
                said[answer["id"]] = answer["raw"]
        return {"seconds": seconds, "said": said}

    def answers_by_hand(self) -> dict[str, Any]:
        out = self.root / "by-hand.json"
        sets = [f"{SHIPPED / 'probes' / name}:{most}" for name, most in SETS]
        where = [self.model[k] for k in ("model", "adapter", "template")]
        seconds = timed(
            [sys.executable, str(BY_HAND), *map(str, where), str(BATCH), str(out), *sets], self.root
        )
        return {"seconds": seconds, **json.loads(out.read_bytes())}

    def lm_eval(self) -> dict[str, Any]:
        out = self.root / "lm-eval"
        shutil.rmtree(out, ignore_errors=True)
        task = {
            "arm": "base",
            "tasks": ["everyday_facts"],
            "task_folder": str(SHIPPED / "tasks"),
            "fewshot": 0,
        }
        seconds = self.job("lm_eval", out=str(out), adapter=None, **task)
        results = json.loads((out / "results.json").read_bytes())["results"]
        return {"seconds": seconds, "values": {r["metric"]: r["value"] for r in results}}

    def lm_eval_by_hand(self) -> dict[str, Any]:
        out = self.root / "lm-eval-by-hand"
        shutil.rmtree(out, ignore_errors=True)
        tasks = self.root / "tasks"  # a task names its data from the folder in which the command is started
        if not tasks.exists():
            shutil.copytree(SHIPPED / "tasks", tasks)
        argv = [
            sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
            f"pretrained={self.model['model']},dtype=float32,softmax_dtype=float32",
            "--tasks", "everyday_facts", "--include_path", ".",
            "--batch_size", str(BATCH), "--num_fewshot", "0", "--apply_chat_template", "--output_path", str(out),
            "--log_samples", "--device", "cpu",
        ]  # fmt: skip
        seconds = timed(argv, tasks)
        (file,) = out.rglob("results_*.json")
        found = json.loads(file.read_bytes())["results"]["everyday_facts"]
        values = {k.partition(",")[0]: v for k, v in found.items() if k in ("acc,none", "acc_norm,none")}
        return {"seconds": seconds, "values": values}


def paired(name: str, both: tuple[Way, Way], pairs: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Both ways so often, taking turns in who is first; each once before, so that files are in memory."""
    for way in both:
        way()
    out = []
    for n in range(pairs):
        found = {id(way): way() for way in (both if n % 2 else both[::-1])}
        ours, theirs = (found[id(way)] for way in both)
        out.append((ours, theirs))
        print(f"{name}: {ours['seconds']:.1f} s ours, {theirs['seconds']:.1f} s by hand", flush=True)
    return out


def summary(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    ours, theirs = ([round(p[side]["seconds"], 2) for p in pairs] for side in (0, 1))
    ratio = statistics.median(p[0]["seconds"] / p[1]["seconds"] for p in pairs)
    return {"ours": ours, "by_hand": theirs, "ratio": round(ratio, 3)}


def likeness(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    same = sum(ours["said"][key].strip() == said.strip() for key, said in theirs["said"].items())
    return {"tokens": theirs["tokens"], "answers": len(theirs["said"]), "the_same": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--run", default="quickstart")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        root = Path(folder)
        run = find(options.run, options.workspace)
        bench = Bench(run, root)
        ways = {
            "answers": (bench.answers, bench.answers_by_hand),
            "lm-eval": (bench.lm_eval, bench.lm_eval_by_hand),
        }
        result: dict[str, Any] = {"cores": os.cpu_count(), "python": platform.python_version()}
        for name, both in ways.items():
            pairs = paired(name, both, options.pairs)
            ours, theirs = pairs[0]
            result[name] = summary(pairs)
            if name == "answers":
                result[name] |= likeness(ours, theirs)
            else:
                result[name] |= {"values": ours["values"], "by_hand_values": theirs["values"]}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
