"""Child processes: argv lists, an allow-listed environment, a log kept whole; they end with us, and all of them do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner import ending, paths, scrub, warded

# What a job may know of the user's environment; nothing of it is secret.
ALLOWED = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CACHE_HOME", "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES",
    "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "WANDB_BASE_URL", "OMP_NUM_THREADS",
)  # fmt: skip
# What of that a job is told on another machine, too: where a hub and its models are, and the user's own thrift.
ELSEWHERE = ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "OMP_NUM_THREADS")
# What those jobs know besides that fetch or send. Proxies may hold a password.
NETWORK = ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# What the others are kept from: tokens in files below HOME, which they have because the cache of models is there.
WITHOUT = {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_OFFLINE": "1", "NETRC": os.devnull}
# Threads wait for each other by spinning a little, then by sleeping: endless spinning makes a busy machine
# ten times slower, no spinning a quiet one by a sixth.
QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "20000",
    # Large tensors come and go at every step: without these, each is fetched from the kernel anew.
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "HF_DATASETS_OFFLINE": "1",
    # Kernels are code of a hub, which bitsandbytes and a model's config.json ask for when they are loaded. What is no
    # list of kernels makes the library refuse each of them, with these words.
    "LOCAL_KERNELS": "code of a hub is never run",
    "AXOLOTL_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "PYTHONHASHSEED": "0",
    # `python -m` would look for modules in the current folder first: a workspace that somebody shared may hold a
    # torch.py (Python 3.10 does not know this: hence 3.11).
    "PYTHONSAFEPATH": "1",
}


def environment(more: Mapping[str, str] | None = None, network: bool = False) -> dict[str, str]:
    """The environment of a job. The folder of our own Python comes first in PATH: Axolotl looks there."""
    passed = (*ALLOWED, *NETWORK) if network else ALLOWED
    out = {k: os.environ[k] for k in passed if k in os.environ} | QUIET
    out |= ({} if network else WITHOUT) | dict(more or {})
    out["PATH"] = str(Path(sys.executable).parent) + os.pathsep + out.get("PATH", os.defpath)
    return out


@dataclass(frozen=True)
class Job:
    """A Python of ours with `arguments`; the rest is as `run` wants it. It goes to other machines by pickle."""

    arguments: tuple[str, ...]
    log: Path
    cwd: Path
    more: Mapping[str, str] = field(default_factory=dict)
    network: bool = False

    def run(self, watch: Callable[[], None] = lambda: None, every: float = 0.5) -> None:
        """Run it here, to its end. Raises Failed."""
        argv, cwd, net = [sys.executable, *self.arguments], self.cwd, self.network
        try:
            run(argv, log=self.log, cwd=cwd, more=self.more, network=net, watch=watch, every=every)
        except Failed as e:
            e.log = self.log
            raise


class Failed(Exception):
    """A job ended badly; `str()` is the last line that says why, `said` the end of all that it said.

    `code` is its exit code, negative where a signal ended it; `log` what a `Job` wrote to.
    """

    def __init__(self, why: str, code: int = 1, said: str = "", log: Path | None = None) -> None:
        self.code, self.said, self.log = code, said, log
        super().__init__(why)

    def __reduce__(self) -> tuple[type[Failed], tuple[str, int, str, Path | None]]:
        return Failed, (str(self), self.code, self.said, self.log)


def start(
    argv: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    more: Mapping[str, str] | None = None,
    network: bool = False,
) -> tuple[subprocess.Popen[bytes], int]:
    """A child in a session of its own, all that it says in `log`; and where in the log that begins.

    It ends with us, however we end; who starts it calls `end_group`.
    """
    with paths.append(log, cwd) as out:
        out.write(f"$ {' '.join(argv)}\n".encode())
        out.flush()
        begins = out.tell()
        child = warded.start(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment(more, network) | {"WARDEN_LOG": str(log.absolute())},
        )
    _logs[child.pid] = scrub.Log(log, scrub.known(more))
    return child, begins


_logs: dict[int, scrub.Log] = {}
"""By job: what it writes to. It writes there itself, not through us: whatever kills us loses no word of it."""


def clean(ended: subprocess.Popen[bytes] | None = None) -> None:
    """Cover the secrets in what our jobs have written so far, and in what killed ones left in the same logs."""
    for log in list(_logs.values()):
        log.clean()
    if ended is not None:
        _logs.pop(ended.pid, None)


ending.also(clean)


def run(
    argv: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    more: Mapping[str, str] | None = None,
    watch: Callable[[], None] = lambda: None,
    every: float = 0.5,
    network: bool = False,
) -> None:
    """Run a job to its end; everything it says goes to `log`. `watch` is called every so many seconds. Only with
    `network` does it know the user's token for the hub and proxies.

    Raises Failed. All that the job started ends with it, and with us.
    """
    child, begins = start(argv, log=log, cwd=cwd, more=more, network=network)
    try:
        while True:
            try:
                code = child.wait(timeout=every)
                break
            except subprocess.TimeoutExpired:
                clean()
                watch()
    finally:
        end_group(child)
        clean(child)
    watch()
    if code:
        said = _said(log, begins)
        raise Failed(_why(said, code), code, said)


def end_group(child: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """End a child and all that it started: asked first, killed after `patience` seconds."""
    warded.end(child, patience)


def _said(log: Path, started: int) -> str:
    """The end of what a job wrote to its log."""
    with log.open("rb") as f:
        f.seek(max(started, log.stat().st_size - 200_000))
        return f.read().decode("utf-8", "replace")


def _why(said: str, code: int) -> str:
    """The last line that looks like a reason."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [x for x in lines if "Error" in x or "error:" in x.lower() or "Exception" in x]
    last = (errors or lines or ["it said nothing"])[-1]
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"exit code {code}: {last[:300]}"
