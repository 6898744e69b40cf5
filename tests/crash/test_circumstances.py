"""Disks that are full or closed, other locales, other years: clear words, nothing harmed, the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALL = os.environ.get("MIREPOIX_ALL_POINTS", "") not in ("", "0")

# In a user namespace: mount a disk of its own at $1, fill it with the workspace, go on with what follows.
ON_A_DISK = """
set -e
mount -t tmpfs -o "size=$2" tmpfs "$1"
cp talk.jsonl r.yaml "$1"
cd "$1"
run() { "$PYTHON" -c 'from runner.cli import main; main()' run r.yaml --to prepare; }
"""


def on_a_disk(place: Any, size: str, script: str) -> subprocess.CompletedProcess[str]:
    unshare = shutil.which("unshare")
    disk = place.root / "disk"
    disk.mkdir()
    able = unshare and not subprocess.run(
        [unshare, "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True
    ).returncode  # fmt: skip
    if not able:
        pytest.skip("a disk cannot be mounted here")
    argv = ["unshare", "-rm", "bash", "-c", ON_A_DISK + script, "bash", str(disk), size]
    return subprocess.run(
        argv, cwd=place.root, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, timeout=1200 if ALL else 120
    )  # fmt: skip


def test_a_disk_that_fills_up_and_has_room_again(place: Any) -> None:
    script = """
run && exit 90 || test $? = 3 || exit 91
cmp talk.jsonl ../talk.jsonl
mount -o remount,size=8m "$1"
run
"""
    done = on_a_disk(place, "64k", script)
    assert done.returncode == 0, (done.returncode, done.stderr)
    (error,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert "no space left" in error and "--workspace" in error
    assert "Traceback" not in done.stderr


def _spaced(text: str) -> str:
    return " ".join(text[n : n + 5] for n in range(0, len(text), 5))


@pytest.mark.skipif(not ALL, reason="takes minutes: MIREPOIX_ALL_POINTS=1")
@pytest.mark.parametrize("size", [1, 2, 4, 16, 64])
def test_disks_of_many_sizes_that_fill_up(place: Any, size: int) -> None:
    """In MiB. The rows come to a third of the disk, and what is made of them to more than it has left."""
    with place.input.open("w") as out:
        n = 0
        while out.tell() < size * 350_000:
            words = hashlib.sha512(b"%d" % n).hexdigest() * 4
            said = (
                {"role": "user", "content": f"Say {n}, please."},
                {"role": "assistant", "content": _spaced(words)},
            )
            out.write(json.dumps({"messages": said}) + "\n")
            n += 1
    assert place.run().returncode == 0
    script = """
run && exit 90 || test $? = 3 || exit 91
cmp talk.jsonl ../talk.jsonl
mount -o "remount,size=$((${2%m} * 8))m" "$1"
run
for f in train validation; do cmp runs/t/data/$f.jsonl ../runs/t/data/$f.jsonl; done
"""
    done = on_a_disk(place, f"{size}m", script)
    assert done.returncode == 0, (done.returncode, done.stderr)
    (error,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert "no space left" in error and "Traceback" not in done.stderr


def test_a_workspace_that_cannot_be_written_to(place: Any) -> None:
    script = """
mount -o remount,ro "$1"
"$PYTHON" -c 'from runner.cli import main; main()' check r.yaml
"$PYTHON" -c 'from runner.cli import main; main()' plan r.yaml
run && exit 90 || test $? = 3
"""
    done = on_a_disk(place, "8m", script)
    assert done.returncode == 0, (done.returncode, done.stderr)
    (error,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert "Read-only file system" in error and "the workspace cannot be written to" in error
    assert "Traceback" not in done.stderr


def test_another_locale_and_time_zone_give_the_same_bytes(place: Any, whole: dict[str, str]) -> None:
    done = place.run(LC_ALL="C", TZ="Asia/Kathmandu")
    assert done.returncode == 0, done.stderr
    assert place.files() == whole


def test_a_name_that_the_locale_cannot_say(place: Any) -> None:
    recipe = place.root / "r.yaml"
    recipe.write_text(recipe.read_text().replace("talk.jsonl", "dátä.jsonl"))
    place.input.rename(place.root / "dátä.jsonl")
    assert place.run().returncode == 0
    done = place.run(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 2, done.stderr
    assert "file names are taken to be ascii here" in done.stderr and "set LC_ALL=C.UTF-8" in done.stderr


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t c, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int r = real(c, t);
  if (c == CLOCK_REALTIME || c == CLOCK_REALTIME_COARSE) t->tv_sec += atol(getenv("CLOCK_OFF"));
  return r;
}
time_t time(time_t *p) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); if (p) *p = t.tv_sec; return t.tv_sec; }
int gettimeofday(struct timeval *v, void *z) {
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t); v->tv_sec = t.tv_sec; v->tv_usec = t.tv_nsec / 1000; return 0;
}
"""
TEN_YEARS = 315_360_000


@pytest.mark.parametrize("off", [TEN_YEARS, -TEN_YEARS])
def test_ten_years_off_gives_the_same_bytes(
    place: Any, whole: dict[str, str], tmp_path: Path, off: int
) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler to make a clock with")
    (tmp_path / "clock.c").write_text(CLOCK)
    library = tmp_path / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl"], check=True)
    clock = {"LD_PRELOAD": str(library), "CLOCK_OFF": str(off)}
    year = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"], env=os.environ | clock, capture_output=True, text=True
    )  # fmt: skip
    now = float(subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout)
    assert abs(float(year.stdout) - now - off) < 1000, "the clock was not moved"
    done = place.run(**clock)
    assert done.returncode == 0, done.stderr
    assert place.files() == whole
    assert "0 steps executed, 5 kept" in place.run().stdout, "back in our own time, nothing is made again"
