"""A training killed at twenty moments, and at three more with everything started as users start it, is the training
that was never killed: the same steps, losses and adapter, to the last bit.

The kills are SIGKILL to `recipe` and all that it started. Their moments are drawn by a seed: when the job has just
started, when a file of a checkpoint has just appeared (or some milliseconds later), when an old checkpoint is being
removed, when the adapter is collected.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

STEPS = 29  # in the middle of the third epoch
RECIPE = f"""
recipe: 1
name: resume
seed: 5
sources:
  - jsonl: {{files: [talk.jsonl]}}
    name: talk
split: {{validation: 0.1}}
model: {{base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 256}}
adapter: {{r: 4, alpha: 8, dropout: 0.2, targets: [q_proj, v_proj]}}
train:
  {{epochs: 4, max_steps: {STEPS}, micro_batch: 2, effective_batch: 4, packing: false, attention: sdpa,
   gradient_checkpointing: false, save_every: 2, evaluate_every: 4, learning_rate: 2e-3}}
compute: {{profile: cpu}}
"""
WORDS = "red blue green white black amber pink grey teal gold ash oak elm fir yew bay fig sun fog ice".split()


def fill(root: Path, tiny: Path) -> Path:
    """A workspace with the recipe, its data and its base model."""
    root.mkdir(exist_ok=True)
    shutil.copytree(tiny, root / "tiny")
    talk = [
        {
            "messages": [
                {"role": "user", "content": f"Say {a} and {b}."},
                {"role": "assistant", "content": f"{b}, then {a}."},
            ]
        }
        for a in WORDS[:10]
        for b in WORDS[10:15]
    ]
    (root / "talk.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talk))
    (root / "resume.yaml").write_text(RECIPE)
    return root


def argv(root: Path, to: str = "train") -> list[str]:
    return ["run", str(root / "resume.yaml"), "--workspace", str(root), "--json", "--to", to]


def artifact(root: Path, step: str) -> Path:
    """The artifact folder of a step of the last run."""
    found = []
    for manifest in (root / ".mirepoix/artifacts").glob("*/*/manifest.json"):
        if json.loads(manifest.read_bytes())["step"] == step:
            found.append(manifest.parent)
    assert len(found) == 1, found
    return found[0]


def trained(root: Path) -> dict[str, Any]:
    """All that a training leaves: each step's loss, the validation losses, and the adapter's bytes."""
    folder = artifact(root, "train")
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    left = {n for n in names if n.rpartition(".")[2] not in ("json", "safetensors", "jinja", "yml")}
    assert not left, "an adapter is handed on without pickles, or anything else of the work folder"
    assert not list((root / ".mirepoix/work").glob("*/out")), "the checkpoints outlive the training"
    out: dict[str, Any] = json.loads((folder / "training.json").read_bytes())
    out["adapter"] = (folder / "adapter/adapter_model.safetensors").read_bytes()
    return out


@pytest.fixture(scope="module")
def whole(forks: Any, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the training ran to its end, unkilled."""
    root = fill(tmp_path_factory.mktemp("whole"), tiny)
    code, _, said = forks.start(*argv(root)).end()
    assert code == 0, said + (root / "runs/resume/logs/train.log").read_text()[-3000:]
    steps = [s["step"] for s in trained(root)["steps"]]
    assert steps == list(range(1, STEPS + 1))
    return root


def prepared(whole: Path, root: Path) -> Path:
    """A workspace in which all but the training is made."""
    shutil.copytree(whole, root, symlinks=True)
    shutil.rmtree(artifact(root, "train"))
    shutil.rmtree(root / "runs")
    return root


Moment = Callable[[Path], bool]


def appears(pattern: str, times: int) -> Moment:
    """When the `times`-th file of a name has appeared, counted from now."""
    seen: set[Path] | None = None

    def moment(store: Path) -> bool:
        nonlocal seen
        there = set(store.glob(pattern))
        new = there - (seen or set())
        if seen is None:
            new = set()
        seen = (seen or set()) | there
        counted.extend(new)
        return len(counted) >= times

    counted: list[Path] = []
    return moment


def vanishes(times: int) -> Moment:
    """When the `times`-th file of a checkpoint has been removed: the old ones go."""
    seen: set[Path] = set()
    gone: set[Path] = set()

    def moment(store: Path) -> bool:
        there = set(store.glob("work/*/out/checkpoint-*/*"))
        gone.update(seen - there)
        seen.update(there)
        return len(gone) >= times

    return moment


def after(seconds: float) -> Moment:
    until: list[float] = []

    def moment(store: Path) -> bool:
        if not until and list(store.glob("work/*/axolotl.yml")):
            until.append(time.monotonic() + seconds)
        return bool(until) and time.monotonic() > until[0]

    return moment


FILES = (
    "",
    "/adapter_model.safetensors",
    "/optimizer.pt",
    "/scheduler.pt",
    "/rng_state.pth",
    "/trainer_state.json",
)


def moments(seed: int) -> list[tuple[str, Moment, float]]:
    """Twenty moments: what to wait for, and how many seconds longer."""
    draw = random.Random(seed)
    out: list[tuple[str, Moment, float]] = []
    for name in FILES * 2:
        times = draw.randint(1, 3)
        out.append(
            (
                f"{times}th checkpoint-*{name}",
                appears(f"work/*/out/checkpoint-*{name}", times),
                draw.choice([0, 0.001, 0.005, 0.02]),
            )
        )
    for times in (1, draw.randint(2, 9), draw.randint(10, 20)):
        out.append((f"{times} files of old checkpoints removed", vanishes(times), 0))
    for seconds in (0, draw.uniform(0, 0.5), draw.uniform(0.5, 3)):
        out.append((f"{seconds:.2f} s after the start", after(seconds), 0))
    out.append(("the adapter at the end", appears("work/*/out/adapter_model.safetensors", 1), 0))
    out.append(("the adapter collected", appears("tmp/*/adapter*", 1), 0))
    draw.shuffle(out)
    assert len(out) == 20
    return out


def killed_at(started: Any, store: Path, moment: Moment, delay: float) -> bool:
    """Kill it at that moment. False where it came to its end before."""
    until = time.monotonic() + 300
    while not moment(store):
        assert time.monotonic() < until, "nothing happens"
        if not started.running:
            return False
        time.sleep(0.001)
    time.sleep(delay)
    started.kill()
    return True


def test_twenty_kills(forks: Any, whole: Path, tmp_path: Path) -> None:
    """One training after the other in workspaces where all before it is made, until twenty kills were had."""
    wanted, rounds, kills = trained(whole), 0, 0
    left = moments(seed=17)
    while left:
        rounds += 1
        assert rounds < 20
        root = prepared(whole, tmp_path / f"round-{rounds}")
        before = {p: p.stat().st_mtime_ns for p in (root / ".mirepoix/artifacts").rglob("*") if p.is_file()}
        for _ in range(6):  # then this one is let through
            if not left:
                break
            name, moment, delay = left[0]
            started = forks.start(*argv(root))
            if not killed_at(started, root / ".mirepoix", moment, delay):
                code, _, said = started.end()
                assert code == 0, (name, said)
                left.append(left.pop(0))  # too late for this one: again in another round
                left[-1] = next((n, m, d) for n, m, d in moments(17) if n == left[-1][0])
                break
            left.pop(0)
            kills += 1
        code, _, said = forks.start(*argv(root)).end()
        log = (root / "runs/resume/logs/train.log").read_text()
        assert code == 0, said + log[-3000:]
        got = trained(root)
        assert got == wanted, f"round {rounds}: not the training that was never killed"
        assert {p: p.stat().st_mtime_ns for p in before} == before, "an artifact of before was touched"
        shutil.rmtree(root)
    assert kills == 20


def trainers(workspace: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"axolotl.cli.main" in words and (path / "cwd").readlink() == workspace.resolve():
                found.append(path.name)
        except OSError:  # it ends just now
            continue
    return found


def test_two_workspaces_have_the_same_data_and_losses_and_real_kills_change_nothing(
    whole: Path, tiny: Path, tmp_path: Path
) -> None:
    """The same recipe, all of it made anew and every process started as users start it."""
    root = fill(tmp_path / "again", tiny)
    code = "from runner.cli import main; main()"
    plan: list[tuple[str, Moment]] = [
        ("training has started", after(3)),
        ("an optimizer is being saved", appears("work/*/out/checkpoint-*/optimizer.pt", 3)),
        ("late in the training", appears("work/*/out/checkpoint-2?/trainer_state.json", 1)),
    ]
    for name, moment in plan:
        child = subprocess.Popen(
            [sys.executable, "-c", code, *argv(root)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 300
        while not moment(root / ".mirepoix"):
            assert time.monotonic() < until and child.poll() is None, name
            time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        until = time.monotonic() + 10
        while trainers(root):  # the job dies with the run: it must not train on, unseen
            assert time.monotonic() < until, name
            time.sleep(0.05)
    (torn := next((root / ".mirepoix/work").glob("*/out")) / "checkpoint-9999").mkdir()
    (torn / "adapter_model.safetensors").write_bytes(b"torn")
    done = subprocess.run(
        [sys.executable, "-c", code, *argv(root)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for step, names in (
        ("split", ("data/train.jsonl", "data/validation.jsonl")),
        ("rows", ("train.jsonl", "validation.jsonl")),
    ):
        for name in names:
            assert (artifact(root, step) / name).read_bytes() == (artifact(whole, step) / name).read_bytes()
    got, wanted = trained(root), trained(whole)
    assert [s["loss"] for s in got["steps"][:20]] == [s["loss"] for s in wanted["steps"][:20]]
    assert got == wanted
    log = (root / "runs/resume/logs/train.log").read_text()
    assert log.count("Resuming") + log.count("auto-resume") >= 2


def test_a_changed_recipe_never_goes_on_from_anothers_checkpoint(
    forks: Any, whole: Path, tmp_path: Path
) -> None:
    root = prepared(whole, tmp_path / "changed")
    moment = appears("work/*/out/checkpoint-*/trainer_state.json", 3)
    assert killed_at(forks.start(*argv(root)), root / ".mirepoix", moment, 0)
    (work,) = (root / ".mirepoix/work").glob("*/out")
    left = {p: p.read_bytes() for p in work.rglob("*") if p.is_file()}
    recipe = root / "resume.yaml"
    recipe.write_text(RECIPE.replace("learning_rate: 2e-3", "learning_rate: 1e-3"))
    code, _, said = forks.start(*argv(root)).end()
    assert code == 0, said
    log = (root / "runs/resume/logs/train.log").read_text().rpartition("$ ")[2]
    assert "auto-resume" not in log
    assert {p: p.read_bytes() for p in left} == left, "the other recipe's checkpoints were touched"
    recipe.write_text(RECIPE)
    shutil.move(artifact(root, "train"), tmp_path / "other")
    code, _, said = forks.start(*argv(root)).end()
    assert code == 0 and trained(root) == trained(whole)
