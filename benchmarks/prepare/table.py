"""Results as the Markdown table of docs/benchmarks.md, and as an entry of results/."""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from contenders import ALL, Contender

HEAD = (
    "who",
    "CPU s",
    "over ours",
    "µs a row",
    "peak MB",
    "recall",
    "precision",
    "found at .95 / .90 / .85 / .80",
    "taken at .75 / .70 / .50",
    "groups lost whole",
    "short rows lost",
)


def summary(rows: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the costs and ratios, the worst of the scores over seeds."""
    costs = {key: median(run[key] for run in runs) for key in ("cpu", "wall", "peak", "largest")}
    ratios = [run["cpu"] / run["ours"] for run in runs if run.get("ours")]
    scores = [run["score"] for run in runs]
    worst = {key: min(s[key] for s in scores) for key in ("recall", "precision")}
    worst |= {key: max(s[key] for s in scores) for key in ("lost_groups", "short_gone", "others_kept")}
    found = {level: median(s["found"][level] for s in scores) for level in scores[0]["found"]}
    return {
        **{key: round(value, 3) for key, value in costs.items()},
        "ratio": round(median(ratios), 2) if ratios else None,
        "us_a_row": round(costs["cpu"] / rows * 1e6, 1),
        "runs": len(runs),
        **{key: round(value, 5) for key, value in worst.items()},
        "found": {level: round(value, 4) for level, value in found.items()},
    }


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """One row a contender, ours first, then by CPU time; who could not run, and why, last."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    done = {name: r for name, r in results.items() if "cpu" in r}
    order = sorted(done, key=lambda name: (not name.startswith("ours"), done[name]["cpu"]))
    lines += [_line(ALL[name], done[name]) for name in order]
    lines += [f"| {ALL[name].title} | {r['error']} |" for name, r in results.items() if "error" in r]
    return "\n".join(lines)


def _line(who: Contender, r: dict[str, Any]) -> str:
    found = r["found"]
    cells = [
        who.title,
        f"{r['cpu']:.1f}",
        f"{r['ratio']:.1f}" if r["ratio"] else "",
        f"{r['us_a_row']:.0f}",
        f"{r['peak']:.0f}",
        f"{r['recall']:.3f}",
        f"{r['precision']:.3f}",
        " / ".join(f"{found[level]:.2f}" for level in ("0.95", "0.90", "0.85", "0.80")),
        " / ".join(f"{found[level]:.2f}" for level in ("0.75", "0.70", "0.50")),
        str(r["lost_groups"]),
        f"{r['short_gone']:.0%}" if not who.chain else "",
    ]
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """The machine in words; never its name."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    processor = model[1].strip() if model else platform.machine()
    gib = int(memory[1]) / 2**20 if memory else 0
    cores, python = os.cpu_count(), platform.python_version()
    return f"{cores} cores of {processor}, {gib:.0f} GiB, {platform.system()}, Python {python}"


def append(path: Path, entry: dict[str, Any]) -> None:
    """Adds an entry, with day and machine, to a JSON list of such."""
    entries = json.loads(path.read_text("utf-8")) if path.exists() else []
    entries.append({"day": date.today().isoformat(), "machine": machine(), **entry})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
