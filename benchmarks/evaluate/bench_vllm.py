"""Our answers from a vLLM beside the same vLLM asked by hand: `python benchmarks/evaluate/bench_vllm.py [--pairs N]`.

Needs a workspace in which the quickstart has run (--workspace, --run), and the setting vllm_python (`make vllm`). One
server is started for both; in pairs, taking turns, its adapter answers the quickstart's probes: `runner.jobs.ask`,
which is what the engine vllm runs, and by_hand_vllm.py with the package openai, both with 64 requests at once. Seconds
of the whole process, imports, proof and journal included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import SETS, SHIPPED, asked, likeness, paired, summary, timed

from runner import settings
from runner.evaluate.asking import AT_ONCE
from runner.hardware import profile
from runner.serving import engines, server
from runner.serving.found import find

BY_HAND = Path(__file__).with_name("by_hand_vllm.py")


class Bench:
    def __init__(self, url: str, root: Path) -> None:
        self.url, self.root = url, root

    def ours(self) -> dict[str, Any]:
        out = self.root / "answers"
        shutil.rmtree(out, ignore_errors=True)
        job = {"url": self.url, "model": "tuned", "engine": "vLLM", "sets": asked(out), "without": "base"}
        job |= {"store": str(self.root / "store"), "pace": "1000", "at_once": str(AT_ONCE)}
        (self.root / "ask.json").write_text(json.dumps(job))
        seconds = timed([sys.executable, "-m", "runner.jobs.ask", str(self.root / "ask.json")], self.root)
        rows = [
            json.loads(x) for n, _ in SETS for x in (out / n / "said.jsonl").read_text("utf-8").splitlines()
        ]
        return {"seconds": seconds, "said": {row["id"]: row["message"].get("content") or "" for row in rows}}

    def by_hand(self) -> dict[str, Any]:
        out = self.root / "by-hand.json"
        sets = [f"{SHIPPED / 'probes' / name}:{most}" for name, most in SETS]
        seconds = timed([sys.executable, str(BY_HAND), self.url, str(AT_ONCE), str(out), *sets], self.root)
        return {"seconds": seconds, **json.loads(out.read_bytes())}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--run", default="quickstart")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed-vllm.json")
    options = parser.parse_args()
    gpu = profile() == "gpu"
    engine = engines.choose("vllm", gpu, settings.load()["vllm_python"])
    served = find(options.run, options.workspace)
    with (
        tempfile.TemporaryDirectory(prefix="evaluate-") as folder,
        server.serving(served, engine, arms=("base", "tuned")) as running,
    ):
        bench = Bench(running.url, Path(folder))
        pairs = paired("answers", (bench.ours, bench.by_hand), options.pairs)
    result = {"cores": os.cpu_count(), "python": platform.python_version(), "engine": engine.why}
    result |= {"answers": summary(pairs) | likeness(*pairs[0])}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
