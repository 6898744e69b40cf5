"""What a row costs, step by step and on which side of the engine: the constants of simulate.py.

    python benchmarks/scaling/measure.py                    # two minutes of one core
    python benchmarks/scaling/measure.py --rows 20000 100000

Prepare is made twice, on corpora of two sizes; what a row costs is the difference between the two over the difference
in rows, and what is left is what a step costs anyway. All in one process (metered.py), CPU time alone, so other work on
the machine hardly shows. Steps that need a model cost far more a row, and are measured on fewer. What so few rows do
not have is measured by itself: dedup's columns of more keys than are sorted at once. Writes results/constants.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent / "prepare/corpus.py"
sys.path.insert(1, str(HERE))


def workspace(root: Path, rows: int) -> Path:
    """A folder with the corpus as chat rows, and the recipes."""
    root.mkdir(parents=True)
    made = [sys.executable, str(CORPUS), "--rows", str(rows), "--out", str(root)]
    subprocess.run(made, check=True, cwd=CORPUS.parent)
    with (root / "corpus.jsonl").open(encoding="utf-8") as lines, (root / "rows.jsonl").open("w") as out:
        for line in lines:
            text = json.loads(line)["text"]
            turns = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]
            out.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")
    (root / "corpus.jsonl").unlink()
    for name in ("chain.yaml", "rendered.yaml"):
        shutil.copy(HERE / name, root)
    return root


def weighed(recipe: Path) -> dict[str, Any]:
    """Make all data of a recipe; each step, booked, the bytes that it left, and the memory that all took."""
    from metered import Metered

    from runner.load import load_recipe
    from runner.plan import plan
    from runner.runfolder import folder
    from runner.settings import load as settings
    from runner.stepping import make
    from runner.store import Artifact, Store
    from runner.workspace import Workspace

    begun = time.process_time()
    place = Workspace(recipe.parent)
    planned = plan(load_recipe(recipe, place), place)
    (folder(planned) / "logs").mkdir(parents=True)
    store, engine, made = Store(recipe.parent), Metered(), dict[str, Artifact]()
    out: dict[str, Any] = {"plan": time.process_time() - begun, "steps": {}}
    for step in planned.steps:
        if step.stage != "prepare":
            continue

        def one(step: Any = step) -> Artifact:
            return make(planned, store, step, made, lambda event: None, settings(), engine)

        artifact = made[step.name] = engine.making(step.name, one)
        kept = artifact.path / "kept.npy"
        out["steps"][step.name] = engine.steps[-1].data() | {
            "disk": sum(p.stat().st_size for p in artifact.path.rglob("*") if p.is_file()),
            "rows": _rows(kept) if kept.is_file() else None,
        }
    return out


def _rows(path: Path) -> int:
    from runner.rows import load

    return len(load(path))


def sorting(folder: Path) -> dict[str, float]:
    """Seconds of CPU for a key of a column that is sorted in runs, and then found with its like in a range of keys."""
    import numpy as np
    from metered import Metered

    from runner.dedup import buckets, spill

    dice, many = np.random.default_rng(1), 2 * spill.AT_ONCE
    column = spill.Column(folder / "column", "u8")
    for _ in range(2):
        keys = dice.integers(1 << 63, size=spill.AT_ONCE, dtype=np.uint64)
        column.append(keys << np.uint64(1))
    engine = Metered()
    engine.making("dedup", lambda: list(buckets.repeated([column], None, engine.mapped)))
    spent = {one.work: one.worker.cpu / many for one in engine.steps[0].maps}
    return {"sort": spent["Sorting"], "find": spent["Finding"]}


def constants(small: dict[str, Any], large: dict[str, Any], rows: tuple[int, int]) -> dict[str, Any]:
    """What a row costs each step, and what a step costs anyway, of two measurements."""
    from runner.prepare.selected import PIECE

    def line(low: float, high: float) -> dict[str, float]:
        slope = max(0.0, (high - low) / (rows[1] - rows[0]))
        return {"row": slope, "fixed": max(0.0, low - slope * rows[0])}

    def books(low: dict[str, float], high: dict[str, float]) -> dict[str, dict[str, float]]:
        return {key: line(low[key], high[key]) for key in low}

    def mapped(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
        sides = {side: books(low[side], high[side]) for side in ("driver", "worker")}
        rest = {k: line(low[k], high[k]) for k in ("pieces", "sent", "back")}
        if low["pieces"] == high["pieces"] == 1:  # so few rows that they are one piece
            rest["pieces"]["row"] = 1 / PIECE
        return {"work": high["work"], **sides} | rest

    steps = {}
    for name, b in large["steps"].items():
        a = small["steps"][name]
        steps[name] = {
            "alone": books(a["alone"], b["alone"]),
            "maps": [mapped(_like(one, a["maps"]), one) for one in b["maps"]],
            "disk": line(a["disk"], b["disk"]),
            "kept": b["rows"] / rows[1] if b["rows"] is not None else None,
        }
    return steps


def _like(one: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """The same map in the smaller measurement; where there was nothing to do, one of nothing."""
    nothing: dict[str, Any] = dict.fromkeys(("pieces", "sent", "back"), 0)
    nothing |= {side: dict.fromkeys(one[side], 0) for side in ("driver", "worker")}
    return next((other for other in others if other["work"] == one["work"]), nothing)


def measured(
    recipe: str, rows: tuple[int, int], scratch: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The constants of a recipe's steps, and what they are of. Each size has a process of its own."""
    found = []
    for many in rows:
        root = scratch / str(many)
        if not root.exists():
            workspace(root, many)
        if not (kept := root / f"{recipe}.json").exists():
            argv = [sys.executable, str(Path(__file__)), "--weigh", str(root / recipe)]
            kept.write_bytes(subprocess.run(argv, check=True, stdout=subprocess.PIPE, cwd=root).stdout)
        found.append(json.loads(kept.read_bytes()))
    return constants(found[0], found[1], rows), found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs=2, default=(20_000, 150_000))
    parser.add_argument("--rendered", type=int, nargs=2, default=(2_000, 6_000), help="rows, with a model")
    parser.add_argument("--out", type=Path, default=HERE / "results/constants.json")
    parser.add_argument("--scratch", type=Path, help="a folder to go on in, after a kill")
    parser.add_argument("--weigh", type=Path, help=argparse.SUPPRESS)  # one size, in a process of its own
    args = parser.parse_args()
    if args.weigh:
        print(json.dumps(weighed(args.weigh)))
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = args.scratch or Path(folder)
        bands = sorting(Path(folder))
        chain, of_chain = measured("chain.yaml", tuple(args.rows), scratch)
        rendered, _ = measured("rendered.yaml", tuple(args.rendered), scratch)
        result = {
            "steps": chain,
            "model": {name: step for name, step in rendered.items() if name not in chain},
            "start": of_chain[0]["plan"],
            "bands": bands,
        }
    import numpy

    said_of = {
        "day": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {numpy.__version__}",
        "rows": {"chain": list(args.rows), "model": list(args.rendered)},
        "unit": "seconds of CPU, bytes; `row`: for each row of the sources, `fixed`: for each run",
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(said_of | result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
