"""A recipe whose run is killed while it fetches, again and again: the same records as unkilled, nothing fetched twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2] / ".." / "shared"
StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
if not KIT.is_dir():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

RECIPE = {
    "recipe": 1,
    "name": "killed",
    "sources": [
        {
            "gutenberg": {"authors": ["Twain, Mark"], "languages": ["en"], "at_most": 12},
            "name": "twain",
            "chat": {"passages": {"prompt": "continue"}},
        }
    ],
    "split": {"validation": 0},
}
KILLS = 20


def start(home: Path, base: str) -> subprocess.Popen[bytes]:
    """`recipe run --to prepare` as a process of its own, on the stand-in."""
    home.mkdir(exist_ok=True)
    (home / "r.yaml").write_text(json.dumps(RECIPE))
    (home / "settings.toml").write_text(f'gutendex_url = "{base}"\ngutenberg_mirror = "{base}"\npace = 100\n')
    argv = [sys.executable, "-c", "from runner.cli import main; main()", "run", "r.yaml", "--to", "prepare"]
    environ = os.environ | {"MIREPOIX_SETTINGS": str(home / "settings.toml")}
    return subprocess.Popen(argv, cwd=home, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def requests(base: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{base}/__log") as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_killed_at_twenty_moments_of_a_fetch(stand_in: StandIn, tmp_path: Path) -> None:
    dice = random.Random(3)
    with stand_in("--no-extras") as base:
        assert start(tmp_path / "calm", base).wait() == 0
    home, since = tmp_path / "killed", dict[str, int]()
    with stand_in("--no-extras", "--fault", "/(cache|files)/=drip:400000") as base:
        for _ in range(KILLS):
            before = len(requests(base))
            run = start(home, base)
            while len(requests(base)) == before and run.poll() is None:
                time.sleep(0.02)  # until it is at the fetch
            time.sleep(dice.uniform(0, 1.5))
            if run.poll() is None:
                os.kill(run.pid, signal.SIGKILL)
            run.wait()
            for url in whole(home):  # from now on it must not be asked for
                since.setdefault(url, len(requests(base)))
        assert start(home, base).wait() == 0
        log = requests(base)
        assert len(since) > 3
        again = [r["target"] for n, r in enumerate(log) if since.get(base + r["target"], n) < n]
        assert [target for target in again if target != "/robots.txt"] == []
        assert start(home, base).wait() == 0
        assert len(requests(base)) == len(log)
    for name in ("data/train.jsonl", "data-card.md"):
        calm = (tmp_path / "calm/runs/killed" / name).read_bytes()
        assert calm
        assert (home / "runs/killed" / name).read_bytes() == calm


def whole(home: Path) -> set[str]:
    """Addresses whose answers are kept."""
    files = (home / ".mirepoix/fetched/requests").rglob("[!.]*.json")
    return {json.loads(f.read_bytes())["url"] for f in files}
