"""What a job says of the keys that it was given is covered in its log: while it runs, at its end, after kills."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from runner import process, scrub

CANARY = "canary/k3y+0123456789="
SPELLED = (CANARY, quote(CANARY, safe=""), base64.b64encode(f"x:{CANARY}".encode()).decode()[8:-8])
TELLS = (
    "import os, sys, time, base64, urllib.parse as u; k = os.environ['HF_TOKEN'];"
    "print(dict(os.environ)); print(u.quote(k, safe='')); print(base64.b64encode(b'x:' + k.encode()).decode());"
    "print('Err' 'or: Bearer ' + k, flush=True); {}"
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", CANARY)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary-of-proxy@proxy:3128")


def told(path: Path) -> list[str]:
    return [s for s in (*SPELLED, "canary-of-proxy") if s in path.read_text()]


def test_a_job_that_prints_its_environment(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process.run([sys.executable, "-c", TELLS.format("")], log=log, cwd=tmp_path, network=True)
    assert not told(log) and "HF_TOKEN" in log.read_text()


def test_a_job_that_fails_and_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(process.Failed) as failed:
        process.run([sys.executable, "-c", TELLS.format("sys.exit(1)")], log=log, cwd=tmp_path, network=True)
    assert not told(log)
    assert str(failed.value) == f"exit code 1: Error: Bearer {'*' * len(CANARY)}"
    assert CANARY not in failed.value.said


def test_a_key_that_only_this_job_was_given(tmp_path: Path) -> None:
    log, code = tmp_path / "log", "import os; print(os.environ['MIREPOIX_ASK_KEY'])"
    process.run(
        [sys.executable, "-c", code], log=log, cwd=tmp_path, more={"MIREPOIX_ASK_KEY": "canary-of-endpoint"}
    )
    assert "canary" not in log.read_text()


def test_a_log_is_clean_while_its_job_runs(tmp_path: Path) -> None:
    log, seen = tmp_path / "log", []

    def watch() -> None:
        if "Error" in log.read_text():
            seen.append(told(log))

    process.run(
        [sys.executable, "-c", TELLS.format("time.sleep(0.5)")],
        log=log,
        cwd=tmp_path,
        watch=watch,
        every=0.05,
        network=True,
    )
    assert len(seen) > 1 and not any(seen)


def test_no_job_is_kept_in_mind_when_it_is_over(tmp_path: Path) -> None:
    process.run([sys.executable, "-c", ""], log=tmp_path / "log", cwd=tmp_path)
    assert not process._logs


def test_after_a_kill_the_log_is_whole_and_the_warden_cleans_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys; from pathlib import Path; from runner import process;"
        f"process.run([sys.executable, '-c', sys.argv[1]], log=Path({str(log)!r}), cwd=Path.cwd(), every=60, network=True)"
    )
    ours = subprocess.Popen(
        [sys.executable, "-c", code, TELLS.format("time.sleep(60)")], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 20
    while time.monotonic() < until and not (log.exists() and "Error" in log.read_text()):
        time.sleep(0.02)
    os.kill(ours.pid, signal.SIGKILL)
    ours.wait()
    assert "Error: Bearer" in log.read_text()  # not a word is lost: it never was in our hands
    until = time.monotonic() + 20
    while time.monotonic() < until and told(log):
        time.sleep(0.05)
    assert not told(log) and f"Error: Bearer {'*' * len(CANARY)}" in log.read_text()


@pytest.mark.parametrize("signals", [1, 2])
def test_a_log_is_clean_when_a_signal_ends_us(tmp_path: Path, signals: int) -> None:
    """At the first all is put away in order; at the second, here while a deaf job is waited for, at once."""
    log = tmp_path / "log"
    code = (
        "import sys; from pathlib import Path; from runner import ending, process\n"
        f"with ending.listening():\n    process.run([sys.executable, '-c', sys.argv[1]], log=Path({str(log)!r}), "
        "cwd=Path.cwd(), every=60, network=True)"
    )
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if signals == 2 else ""
    job = deaf + TELLS.format("time.sleep(60)")
    ours = subprocess.Popen([sys.executable, "-c", code, job], cwd=tmp_path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while time.monotonic() < until and not (log.exists() and "Error" in log.read_text()):
        time.sleep(0.02)
    for _ in range(signals):
        os.kill(ours.pid, signal.SIGTERM)
        time.sleep(0.5)
    ours.wait(timeout=20)
    assert not told(log) and f"Error: Bearer {'*' * len(CANARY)}" in log.read_text()


def test_what_is_left_of_a_log_is_cleaned_by_the_next_job(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"killed, and its warden too: {CANARY}\n")
    process.run([sys.executable, "-c", ""], log=tmp_path / "log", cwd=tmp_path)
    assert not told(tmp_path / "log") and "its warden too" in (tmp_path / "log").read_text()


def test_a_job_gets_no_key_that_scrubbing_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the allow-list lets pass under a name like a key's is covered."""
    passed = (*process.ALLOWED, *process.NETWORK)
    for name in passed:
        monkeypatch.setenv(name, f"http://me:canary-of-{name}@x" if "PROXY" in name else f"canary-of-{name}")
    known = scrub.Scrubber(scrub.secrets(process.environment(network=True)))
    keys = [
        n
        for n in passed
        if any(w in n for w in ("TOKEN", "KEY", "PROXY")) and n not in ("NO_PROXY", "TOKENIZERS_PARALLELISM")
    ]
    assert "HF_TOKEN" in keys and all(f"canary-of-{n}" not in known.text(f"canary-of-{n}") for n in keys)
