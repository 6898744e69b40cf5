"""The whole chain on this machine's cores and on a Ray cluster of two processes: CPU seconds, side by side.

What a run on few rows takes is counted apart: of the engine `ray` most of that is the start of its cluster. CPU seconds
are those of the whole process tree, Ray's daemons and workers in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from contenders import OUR_CHAIN, OUR_CHAIN_ON_RAY, Contender

FEW = 1_000  # rows of a run that shows what starting costs
BOTH = {"local": OUR_CHAIN, "ray": OUR_CHAIN_ON_RAY}


def measure(
    sizes: list[int],
    repeat: int,
    corpus_of: Callable[[int, int], Path],
    run: Callable[[Contender, Path], dict[str, Any]],
) -> dict[str, Any]:
    """Medians of `repeat` runs of each engine, one after the other, for each number of rows and for few."""
    os.environ["MIREPOIX_WORKERS"] = "2"
    found: dict[str, Any] = {}
    for rows in (FEW, *sizes):
        folder = corpus_of(rows, 17)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in BOTH}
        for _ in range(repeat):
            for name, who in BOTH.items():
                runs[name].append(run(who, folder))
        for name, done in runs.items():
            score = {key: done[0]["score"][key] for key in ("recall", "precision")}
            found[f"{name} {rows}"] = {
                "rows": rows,
                "cpu": [round(d["cpu"], 2) for d in done],
                "wall": [round(d["wall"], 2) for d in done],
                "peak": [round(d["peak"]) for d in done],
            } | score
    return found


def markdown(found: dict[str, Any]) -> str:
    """A line for each number of rows: CPU seconds without those of few rows, their ratio, CPU a row."""
    lines = [
        "| rows | local CPU s | Ray CPU s | ratio | local µs a row | Ray µs a row |",
        "|---|---|---|---|---|---|",
    ]
    start = {name: median(found[f"{name} {FEW}"]["cpu"]) for name in BOTH}
    for rows in sorted({f["rows"] for f in found.values()} - {FEW}):
        spent = {name: median(found[f"{name} {rows}"]["cpu"]) - start[name] for name in BOTH}
        a_row = [f"{1e6 * s / (rows - FEW):.1f}" for s in spent.values()]
        ratio = spent["ray"] / spent["local"]
        lines.append(
            f"| {rows:,} | {spent['local']:.2f} | {spent['ray']:.2f} | {ratio:.2f} | {' | '.join(a_row)} |"
        )
    lines.append(
        f"\nbeside that, to start: local {start['local']:.2f}, Ray {start['ray']:.2f} CPU s ({FEW:,} rows)"
    )
    return "\n".join(lines)
