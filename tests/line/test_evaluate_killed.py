"""An evaluation killed at twenty random moments is the one that was never killed: no prompt is answered twice, and the
verdict is the same, to the last byte.

The kills are SIGKILL to `recipe` and all that it started. Their moments are drawn by a seed: so and so many answers
after the start, and some milliseconds later.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

RECIPE = """
recipe: 1
name: r
seed: 5
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, r: 4, alpha: 32, dropout: 0, targets: [q_proj, v_proj]}
train:
  {max_steps: 4, micro_batch: 2, effective_batch: 2, packing: false, attention: sdpa, gradient_checkpointing: false,
   learning_rate: 1e-2, precision: fp32}
evaluate:
  suites: [greedy, drawn]
  arms: {prompted: {system: Be a captain.}}
  gates: [greedy.no_call >= base]
compute: {profile: cpu}
"""
WORDS = "red blue green white black amber pink grey teal gold".split()
PROBES = 640
KILLS = 20


def fill(root: Path, tiny: Path) -> Path:
    shutil.copytree(tiny, root / "tiny")
    talk = [
        {
            "messages": [
                {"role": "user", "content": f"Say {w}."},
                {"role": "assistant", "content": f"{w}, then."},
            ]
        }
        for w in WORDS
    ]
    (root / "talk.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talk))
    (root / "r.yaml").write_text(RECIPE)
    for folder in ("evals/suites", "evals/probes"):
        (root / folder).mkdir(parents=True)
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    rows = [
        {"id": f"p{n}", "messages": [{"role": "user", "content": f"Fox {n}? " + "dog " * (n % 7)}], "tools": [tool],
         "expect": {"calls": []}}
        for n in range(PROBES)
    ]  # fmt: skip
    (root / "evals/probes/p.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for name, more in (("greedy", ""), ("drawn", "limit: 90\ndecoding: {temperature: 1, repeats: 2}\n")):
        text = f"suite: 1\nname: {name}\nprobes: probes/p.jsonl\nmax_new_tokens: 24\njudge: {{tool_use: {{}}}}\n{more}"
        (root / f"evals/suites/{name}.yaml").write_text(text)
    return root


def answered(root: Path) -> dict[tuple[str, str], list[bytes]]:
    """Every answer that is on the disk, finished or not, by (arm, fingerprint of the step): its line in each file that
    is not a link to another."""
    found: dict[tuple[str, str], list[bytes]] = {}
    seen = set()
    for path in sorted((root / ".mirepoix").rglob("*.jsonl*")):
        if path.name.split(".")[0] != "answers" or path.suffix == ".tmp":
            continue
        step = next(p for part in path.parts if len(p := part.split(".")[0]) == 64)
        if path.suffix == ".partial" and path.with_suffix("").exists():
            continue  # killed just before it was removed: the lines are in the whole file now
        try:
            raw, node = path.read_bytes(), path.stat().st_ino
        except FileNotFoundError:
            continue
        if node in seen:
            continue
        seen.add(node)
        for line in raw.split(b"\n")[:-1]:
            if b'"arm"' in line:
                arm = json.loads(line)["arm"]
                found.setdefault((arm, step), []).append(line)
    return found


def verdict(root: Path) -> tuple[bytes, dict[str, bytes]]:
    files = {
        p.relative_to(root).as_posix(): p.read_bytes() for p in (root / "runs/r/answers").rglob("*.jsonl")
    }
    report: dict[str, Any] = json.loads((root / "runs/r/report.json").read_bytes())
    return json.dumps([report["suites"], report["gates"], report["exit"]]).encode(), files


def test_killed_at_twenty_random_moments(
    forks: Any, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = fill(tmp_path_factory.mktemp("whole"), tiny)
    code, _, said = forks.start(
        "run", whole / "r.yaml", "--workspace", whole, "--json", "--to", "train"
    ).end()
    assert code == 0, said
    killed = tmp_path_factory.mktemp("killed") / "w"
    shutil.copytree(whole, killed)
    code, _, said = forks.start("run", whole / "r.yaml", "--workspace", whole, "--json").end()
    assert code in (0, 1, 5), said
    total = 3 * (PROBES + 2 * 90)
    assert sum(map(len, answered(whole).values())) == total

    dice, kills, before = random.Random(3), 0, answered(killed)
    while kills < KILLS:
        started = forks.start("run", killed / "r.yaml", "--workspace", killed, "--json")
        had, until = sum(map(len, before.values())), time.monotonic() + 120
        wanted = had + dice.choice((0, 0, 1, 65))
        while started.running and sum(map(len, answered(killed).values())) < wanted:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(dice.random() * (1.5 if wanted == had else 0.1))
        assert started.running, (
            f"over after {kills} kills: give it more to answer, or see why: {started.end()}"
        )
        started.kill()
        kills += 1
        time.sleep(0.2)  # its job dies with it
        now = answered(killed)
        for key, lines in before.items():
            assert set(lines) <= set(now[key]), f"{key}: an answer that was kept is gone"
        for key, lines in now.items():
            ids = [(r["id"], r.get("repeat", 0)) for r in map(json.loads, lines)]
            assert len(ids) == len(set(ids)), f"{key}: a prompt was answered twice"
        before = now
    assert 0 < sum(map(len, before.values())) < total, "killed before it began, or when all was done"
    code, _, said = forks.start("run", killed / "r.yaml", "--workspace", killed, "--json").end()
    assert code in (0, 1, 5), said
    assert {k: sorted(v) for k, v in answered(killed).items()} == {
        k: sorted(v) for k, v in answered(whole).items()
    }
    assert verdict(killed) == verdict(whole)
