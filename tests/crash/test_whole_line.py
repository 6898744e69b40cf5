"""The whole line killed at random moments is the line that was never killed: no artifact is lost or wrong, nobody has to
lend a hand, no prompt is answered twice, and all that comes out is the same, to the last byte.

From files to report: prepare, Axolotl's training, answers, judges, lm-eval, perplexity, on a tiny model. The kills are
SIGKILL to `recipe` and all that it started. Their moments are drawn by a seed: some time after the start, some
answers later, or when the next things have appeared in the store. One run goes on in what the other left, until it
comes to its end; then it is all begun anew in an empty workspace. 20 kills; MIREPOIX_KILLS=200 asks for as many.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

KILLS = int(os.environ.get("MIREPOIX_KILLS") or 20)
SEED = int(os.environ.get("MIREPOIX_KILLS_SEED") or 3)
RECIPE = """
recipe: 1
name: r
seed: 5
sources:
  - tools: {set: weather, conversations: 10}
    name: weather
  - jsonl: {files: [talk.jsonl]}
    name: talk
filters:
  - words: {min: 3}
mix: {weights: {weather: 0.7, talk: 0.3}}
split: {validation: 0.1}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 2048}
adapter: {type: lora, r: 4, alpha: 32, dropout: 0.1, targets: [q_proj, v_proj]}
train:
  {max_steps: 5, micro_batch: 2, effective_batch: 2, packing: false, attention: sdpa, gradient_checkpointing: false,
   save_every: 1, evaluate_every: 4, learning_rate: 1e-2, precision: fp32}
evaluate:
  suites: [greedy, drawn, facts, held-out]
  arms: {prompted: {system: Be a captain.}}
  gates: [greedy.no_call >= base]
compute: {profile: cpu}
"""
JUDGED = "probes: probes/p.jsonl\nmax_new_tokens: 24\njudge: {tool_use: {}}\n"
SUITES = {
    "greedy": JUDGED,
    "drawn": f"{JUDGED}limit: 40\ndecoding: {{temperature: 1, repeats: 2}}\n",
    "facts": "lm_eval: {tasks: [everyday_facts], limit: 4}\n",
    "held-out": "perplexity: {texts: {book: [book.txt]}, passages: 4}\n",
}
WORDS = "red blue green white black amber pink grey teal gold".split()
PROBES = 140
PROMPTS = 3 * (PROBES + 2 * 40)
CODES = (0, 1, 5)  # the gates of a random model


def fill(root: Path, tiny: Path) -> Path:
    """A workspace in which nothing is made yet."""
    shutil.copytree(tiny, root / "tiny")
    talk = [
        {
            "messages": [
                {"role": "user", "content": f"Say {a} and {b}."},
                {"role": "assistant", "content": f"{b}, then {a}, and so on."},
            ]
        }
        for a in WORDS
        for b in WORDS[:2]
    ]
    lines = [json.dumps(t) + "\n" for t in talk]
    (root / "talk.jsonl").write_text("".join([*lines, lines[0], "not json\n"]))
    (root / "book.txt").write_text("\n\n".join(" ".join([w, *WORDS] * 20) for w in WORDS))
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
    for name, text in SUITES.items():
        (root / f"evals/suites/{name}.yaml").write_text(f"suite: 1\nname: {name}\n{text}")
    return root


def looked(folder: Path, pattern: str) -> list[Path]:
    """What a pattern finds, though folders go meanwhile: checkpoints do."""
    while True:
        try:
            return sorted(folder.glob(pattern))
        except FileNotFoundError:
            continue


def answered(root: Path) -> dict[tuple[str, str], list[bytes]]:
    """Every answer that is on the disk, finished or not, by (arm, fingerprint of the step): its line in each file that
    is not a link to another."""
    found: dict[tuple[str, str], list[bytes]] = {}
    seen = set()
    for path in looked(root / ".mirepoix", "**/*.jsonl*"):
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


def artifacts(root: Path) -> dict[str, Path]:
    """What is published, by fingerprint."""
    return {p.parent.name: p.parent for p in (root / ".mirepoix/artifacts").glob("*/*/manifest.json")}


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest; logs say when, and are left out."""
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items() if not n.startswith("r/logs/")
    }


def inputs(root: Path) -> dict[str, str]:
    """What was there before the first run."""
    return {k: v for k, v in digests(root).items() if not k.startswith((".mirepoix/", "runs/"))}


class Whole:
    """What an unbroken run makes, and how long it takes. It stood in the place where the killed ones stand now."""

    def __init__(self, forks: Any, place: Path, tiny: Path) -> None:
        fill(place, tiny)
        self.inputs, began = inputs(place), time.monotonic()
        self.code, _, said = forks.start("run", place / "r.yaml", "--workspace", place, "--json").end()
        assert self.code in CODES, said
        self.seconds = time.monotonic() - began
        assert len(inputs(place)) == len(self.inputs)
        self.made = {f: digests(path) for f, path in artifacts(place).items()}
        self.steps = {
            f: json.loads((p / "manifest.json").read_bytes())["step"] for f, p in artifacts(place).items()
        }
        self.runs, self.answers = digests(place / "runs"), answered(place)
        assert sum(map(len, self.answers.values())) == PROMPTS
        shutil.rmtree(place)


class Round:
    """One workspace from empty to the end of the line, and what was seen in it."""

    def __init__(self, place: Path, tiny: Path, whole: Whole) -> None:
        self.root, self.whole = fill(place, tiny), whole
        self.seen: dict[str, list[tuple[str, int, int]]] = {}  # by fingerprint, as it was when it appeared
        self.answers: dict[tuple[str, str], list[bytes]] = {}

    def look(self) -> None:
        """After a kill: what is there is right, what was there is there, and none of the inputs was touched."""
        found = artifacts(self.root)
        assert not (gone := self.seen.keys() - found.keys()), (
            f"lost: {sorted(map(self.whole.steps.get, gone))}"
        )
        for fingerprint, path in found.items():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            looks = [(p.name, p.stat().st_ino, p.stat().st_mtime_ns) for p in files]
            if fingerprint not in self.seen:
                assert digests(path) == self.whole.made[fingerprint], self.whole.steps[fingerprint]
            else:
                assert looks == self.seen[fingerprint], f"touched: {self.whole.steps[fingerprint]}"
            self.seen[fingerprint] = looks
        assert not list((self.root / ".mirepoix").glob("quarantine/*")), (
            "something was published that does not hold"
        )
        assert inputs(self.root) == self.whole.inputs
        now = answered(self.root)
        for key, lines in self.answers.items():
            assert set(lines) <= set(now[key]), f"{key}: an answer that was kept is gone"
        for key, lines in now.items():
            ids = [(r["id"], r.get("repeat", 0)) for r in map(json.loads, lines)]
            assert len(ids) == len(set(ids)), f"{key}: a prompt was answered twice"
        self.answers = now

    def end(self) -> None:
        """At the end of the line it is the unbroken run, and nothing is left of the kills."""
        self.look()
        assert self.seen.keys() == self.whole.made.keys()
        assert digests(self.root / "runs") == self.whole.runs
        sort = {k: sorted(v) for k, v in self.answers.items()}
        assert sort == {k: sorted(v) for k, v in self.whole.answers.items()}
        left = [p for n in ("tmp", "work") for p in (self.root / ".mirepoix" / n).glob("*")]
        assert not left, "nobody needs it any more"
        shutil.rmtree(self.root)


def appeared(root: Path) -> int:
    """How many things are in the store, published or under way."""
    return len(looked(root / ".mirepoix", "*/*")) + len(looked(root / ".mirepoix", "*/*/*"))


def wait(dice: random.Random, started: Any, root: Path, whole: Whole) -> str:
    """Until a moment that is drawn; how it was drawn. The run may end before."""
    how, until = dice.choice(("time", "store", "answers", "answers")), time.monotonic() + 300
    if how == "time":
        late = time.monotonic() + dice.random() ** 2 * whole.seconds
        while started.running and time.monotonic() < late:
            time.sleep(0.01)
        return how
    if how == "store":
        first, more = appeared(root), dice.choice((1, 1, 2, 3, 5, 8, 20))
        delay = dice.choice((0, 0, 0.002, 0.01, 0.05, 0.3))
        while started.running and appeared(root) < first + more:
            assert time.monotonic() < until
            time.sleep(0.001)
        time.sleep(delay)
        return how
    had = sum(map(len, answered(root).values()))
    wanted = had + dice.choice((1, 1, 65))
    delay = dice.random() * 0.1
    while started.running and sum(map(len, answered(root).values())) < wanted:
        assert time.monotonic() < until
        time.sleep(0.05)  # looking through the store takes a while itself
    time.sleep(delay)
    return how


def test_killed_at_random_moments(forks: Any, tiny: Path, tmp_path: Path) -> None:
    forks.ask({"import": "lm_eval"})
    forks.ask({"import": "lm_eval.models.huggingface"})
    place, dice = tmp_path / "w", random.Random(SEED)
    whole = Whole(forks, place, tiny)
    kills, rounds, how, at = 0, 0, Counter[str](), Counter[str]()
    while kills < KILLS:
        rounds += 1
        one = Round(place, tiny, whole)
        while True:
            started = forks.start("run", place / "r.yaml", "--workspace", place, "--json")
            if kills == KILLS:
                break
            drawn = wait(dice, started, place, whole)
            if not started.running:
                break
            started.kill()
            kills += 1
            how[drawn] += 1
            time.sleep(0.2)  # its job dies with it
            one.look()
            doing = [p.name for p in (place / ".mirepoix/work").glob("*")]
            at[" ".join(sorted({whole.steps.get(f, "?").partition(".")[0] for f in doing})) or "none"] += 1
        code, _, said = started.end()
        assert code == whole.code, said
        one.end()
    said = f"{kills} kills in {rounds} rounds by seed {SEED}; drawn by {dict(how)}; at work were {dict(at)}\n"
    sys.stdout.write(said)
