"""Twenty runs at once in one workspace: each step is made by one of them, the others wait for it and say for whom."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import Any

from runner.store import Store
from runner.store.garbage import collect

RUNS = 20
RUN = [sys.executable, "-c", "from runner.cli import main; main()", "run", "r.yaml", "--to", "prepare"]
# One process imports the program, and forks: twenty of them would spend their time on imports.
FORKS = """
import os, sys
from runner.cli import main
import runner.cli.line, runner.fetch, runner.plan, runner.prepare, runner.progress, runner.run

start, go = os.pipe()
children = []
for n in range(int(sys.argv[1])):
    if not (child := os.fork()):
        os.close(go)
        for number, name in ((1, f"out{n}"), (2, f"err{n}")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        os.read(start, 1)
        sys.argv = ["recipe", "run", f"r{n}.yaml", "--to", "prepare", *sys.argv[2:]]
        try:
            main()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    children.append(child)
os.close(go)
print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def many(place: Any, runs: int, *more: str) -> list[int]:
    """The exit codes of so many runs at once, and of `recipe gc` again and again meanwhile."""
    argv = [sys.executable, "-c", FORKS, str(runs), *more]
    started = subprocess.Popen(
        argv, cwd=place.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 300
    while started.poll() is None and time.monotonic() < until:
        collect(Store(place.root))
        time.sleep(0.05)
    said, errors = started.communicate(timeout=10)
    assert started.returncode == 0, errors
    return [int(code) for code in said.split()]


def test_one_makes_each_step(place: Any, whole: dict[str, str]) -> None:
    recipe = (place.root / "r.yaml").read_text()
    for n in range(RUNS):
        (place.root / f"r{n}.yaml").write_text(recipe.replace("name: t\n", f"name: t{n}\n"))
    assert many(place, RUNS, "--json") == [0] * RUNS, [
        (place.root / f"err{n}").read_text() for n in range(RUNS)
    ]
    said = [json.loads((place.root / f"out{n}").read_text()) for n in range(RUNS)]
    assert sum(one["executed"] for one in said) == 5
    assert all(one["executed"] + one["kept"] == 5 for one in said)
    files = place.files(left=True)
    for n in range(RUNS):
        own = {
            k.replace(f"runs/t{n}/", "runs/t/"): v for k, v in files.items() if k.startswith(f"runs/t{n}/")
        }
        own |= {k: v for k, v in files.items() if k.startswith(".mirepoix")}
        # The recipe's name stands in these.
        named = {"runs/t/recipe.yaml", "runs/t/recipe.lock", "runs/t/data/README.md"}
        assert own.keys() == whole.keys() and {k for k in own if own[k] != whole[k]} <= named
    for folder in ("locks", "tmp", "work", "quarantine"):
        left = place.root / ".mirepoix" / folder
        assert not left.exists() or not list(left.iterdir())


def test_the_same_run_at_once_is_one_run(place: Any, whole: dict[str, str]) -> None:
    for n in range(5):
        (place.root / f"r{n}.yaml").symlink_to("r.yaml")
    codes = many(place, 5)
    assert 0 in codes and set(codes) <= {0, 75}
    errors = [(place.root / f"err{n}").read_text() for n, code in enumerate(codes) if code]
    assert all(
        re.fullmatch(r"error: another run \(process (\d+|unknown)\) is working in runs/t\n", e)
        for e in errors
    )
    assert place.files(left=True) == whole


HOLD = """
import json, sys, time
from pathlib import Path
from runner.api import plan
from runner.store import Store
step = plan("r.yaml").planned.steps[2]
with Store(Path()).waiting(step.fingerprint) as mine:
    print(step.name, flush=True)
    time.sleep(120)
"""


def test_who_waits_says_for_whom_and_goes_on_when_that_is_killed(place: Any, whole: dict[str, str]) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=place.root, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder, (place.root / "said").open("w") as out:
        try:
            step = holder.stdout.readline().strip()
            started = subprocess.Popen(RUN, cwd=place.root, stderr=out)
            wanted = re.compile(rf"  wait  {step} +process {holder.pid} makes it\n")
            until = time.monotonic() + 60
            while not wanted.search(said := (place.root / "said").read_text()):
                assert started.poll() is None and time.monotonic() < until, said
                time.sleep(0.02)
        finally:
            holder.kill()
    assert started.wait(60) == 0
    assert f"  made  {step}" in (place.root / "said").read_text()
    assert place.files(left=True) == whole
