"""The forecast of a CPU's time beside the trainings themselves: SmolLM2-135M in QLoRA, short records and long ones.

    .venv/bin/python benchmarks/train/forecast.py [--out FILE]

Prepares seeded conversations of two lengths, asks `recipe plan` what their training takes (this measures the CPU anew:
run it on a quiet machine), then trains, and takes the time from the stage's start to its end. Prints both and their
ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECIPE = """
recipe: 1
name: {name}
extends: base/smollm2-135m.yaml
sources:
  - jsonl: {{files: [talk.jsonl]}}
    name: talk
    license: CC0-1.0
dedup: {{exact: true, near: null}}
split: {{validation: 0.05}}
model: {{max_length: {length}}}
train: {{epochs: 1, micro_batch: {batch}, effective_batch: {batch}, save_every: 1000}}
compute: {{profile: cpu}}
"""
# name, records, sentences of an answer, records a step, longest record
KINDS = [("short", 240, 4, 4, 256), ("long", 60, 45, 1, 1024)]
NAMES = ("Ann", "Bell", "Clay", "Dora", "Ezra", "Finn", "Gert", "Hal")
THINGS = ("a lantern", "the ferry", "some rope", "a kettle", "the mule", "a barrel", "his hat", "the ledger")
DEEDS = ("mended", "sold", "lost", "carried", "found", "painted", "borrowed", "counted")


def talk(file: Path, records: int, sentences: int) -> None:
    draw = random.Random(f"{records}/{sentences}")
    with file.open("w", encoding="utf-8") as out:
        for n in range(records):
            said = [
                f"{draw.choice(NAMES)} {draw.choice(DEEDS)} {draw.choice(THINGS)} before the {draw.randint(2, 30)}th."
                for _ in range(sentences)
            ]
            messages = [
                {"role": "user", "content": f"Tell me what the diary says on page {n}."},
                {"role": "assistant", "content": " ".join(said)},
            ]
            out.write(json.dumps({"messages": messages}) + "\n")


def recipe(*arguments: str, cwd: Path, env: dict[str, str]) -> Any:
    argv = [sys.executable, "-c", "from runner.cli import entry; entry()", *arguments, "--json"]
    return json.loads(subprocess.run(argv, cwd=cwd, env=env, stdout=subprocess.PIPE, check=True).stdout)


def one(folder: Path, name: str, records: int, sentences: int, batch: int, length: int) -> dict[str, Any]:
    folder.mkdir()
    talk(folder / "talk.jsonl", records, sentences)
    (folder / "r.yaml").write_text(RECIPE.format(name=name, length=length, batch=batch))
    # A cache of its own: the CPU is measured now, not remembered from another day.
    env = dict(os.environ) | {"XDG_CACHE_HOME": str(folder / "cache")}
    recipe("run", "r.yaml", "--to", "prepare", cwd=folder, env=env)
    forecast = recipe("plan", "r.yaml", cwd=folder, env=env)["forecast"]
    start = time.perf_counter()
    recipe("run", "r.yaml", "--to", "train", cwd=folder, env=env)
    stage = time.perf_counter() - start
    training = json.loads(next((folder / ".mirepoix/artifacts").glob("*/*/training.json")).read_bytes())
    (machine,) = forecast["machines"]
    return {
        "training": name,
        "tokens": forecast["tokens"]["train"],
        "steps": {"forecast": forecast["steps"], "taken": training["steps"][-1]["step"]},
        "seconds": {"forecast": machine["seconds"], "taken": round(stage, 1)},
        "ratio": round(machine["seconds"] / stage, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "forecast.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forecast-") as folder:
        found = [one(Path(folder) / kind[0], *kind) for kind in KINDS]
    print(json.dumps(found, indent=1))
    result = {"cores": os.cpu_count(), "python": platform.python_version(), "trainings": found}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
