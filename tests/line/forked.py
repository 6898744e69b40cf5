"""Starts `recipe`, jobs (Axolotl's, ours) and scripts by forking: their imports take 20 s and are done once for all tests.

All else is as it is: the same command line, the same code, the same process groups, logs and signals. It is asked over
the Unix socket whose listening end is its first argument, by every process that runs tests (`forks.py`): one JSON object
a message, {"recipe": ARGV, "out": FILE, "cwd": …, "environ": …} to start `recipe`, the same with "axolotl" to start that
by itself, {"python": ["-c", CODE, …], …} (or "-m", MODULE; or a file) for what Python would run so,
{"job": ARGV, "cwd": …, "environ": …} with two descriptors, the warden's pipe and the log, {"wait": PID} for one that has
ended, or {"import": MODULE}. It answers each with a number, and ends with the last who asks.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import shutil
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

AXOLOTL = ["-m", "axolotl.cli.main"]
JOBS = tuple(f"runner.jobs.{name}" for name in ("generate", "lm_eval", "merge", "modules", "serve", "togguf"))
LONGEST = 1 << 20  # bytes of a message
MORE = {
    "ACCELERATE_USE_CPU": "true",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "AXOLOTL_DATASET_NUM_PROC": "1",
}
SOCKETS: list[socket.socket] = []
"""That of the listener, then those of who asks. A fork of ours closes them."""


def ours(argv: list[str]) -> bool:
    """Whether a job is one that is forked here: `python -m MODULE …`."""
    return argv[0] == sys.executable and (argv[1:3] == AXOLOTL or (argv[1] == "-m" and argv[2] in JOBS))


def code_of(run: Callable[[], object]) -> int:
    """What a program's exit code would be."""
    try:
        run()
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        sys.stderr.write(f"{e.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def over(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def fork(run: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        for one in SOCKETS:
            one.close()
        over(code_of(run))
    return pid


def interpret(argv: list[str]) -> None:
    """What `python ARGV` would do."""
    how = argv[0]
    sys.argv = argv[1:] if how == "-m" else ["-c", *argv[2:]] if how == "-c" else argv
    if how == "-m":
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif how == "-c":
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(how, run_name="__main__")


def job(argv: list[str], cwd: str, environ: dict[str, str], line: int, log: int) -> int:
    """The pid of the warden of `python -m axolotl.cli.main …`, or of one of our own jobs."""

    def begin() -> None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (1, 2):
            os.dup2(log, number)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)
        if argv[1:3] == AXOLOTL:
            from axolotl.cli.main import main

            sys.argv = ["axolotl", *argv[3:]]
            main()
        else:
            interpret(argv[1:])

    def ward() -> None:
        os.setsid()
        for fd in list(Path("/proc/self/fd").iterdir()):  # Popen would close them
            with suppress(OSError):
                if "/.mirepoix/locks/" in str(fd.readlink()):
                    os.close(int(fd.name))
        from runner.jobs.warden import Warden

        Warden(line, lambda: over(code_of(begin))).keep()

    return fork(ward)


class Forked:
    """As much of subprocess.Popen as `runner.warded` uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def reaped(self) -> int | None:
        """The exit code of one that has ended."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.reaped()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout or 1e9)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a fork", timeout or 0)
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode


def popen(start: Callable[[list[str], str, dict[str, str], int, int], Any]) -> Callable[..., Any]:
    """subprocess.Popen for `runner.warded`: `start` starts those jobs that are forked here."""
    from runner.warded import WARDEN

    real: Any = subprocess.Popen

    def begin(argv: list[str], **how: Any) -> Any:
        own = len(WARDEN)
        if argv[:own] == WARDEN and ours(argv[own + 1 :]):
            environ = {k: v for k, v in how["env"].items() if k != "WARDEN_LOG"}
            return start(argv[own + 1 :], str(how["cwd"]), environ, int(argv[own]), how["stdout"].fileno())
        return real(argv, **how)

    return begin


def apart(out: str, err: str, cwd: str, environ: dict[str, str]) -> None:
    """A session of its own, what it says in files."""
    from runner import process

    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    os.environ.update(process.environment(MORE))


def python(argv: list[str], out: str, **where: Any) -> int:
    def run() -> None:
        apart(out, f"{out}.err", **where)
        interpret(argv)

    return fork(run)


def axolotl(argv: list[str], out: str, **where: Any) -> int:
    def run() -> None:
        apart(out, out, **where)
        sys.argv = ["axolotl", *argv]
        from axolotl.cli.main import main

        main()

    return fork(run)


def recipe(argv: list[str], out: str, **where: Any) -> int:
    def run() -> None:
        apart(out, f"{out}.err", **where)
        from runner import process
        from runner.cli import main

        process.subprocess.Popen = popen(lambda *what: Forked(job(*what)))  # type: ignore[attr-defined, misc, assignment]
        sys.argv = ["recipe", *argv]
        main()

    return fork(run)


def answer(wanted: dict[str, Any], fds: list[int]) -> int:
    if "wait" in wanted:
        return os.waitstatus_to_exitcode(os.waitpid(wanted["wait"], 0)[1])
    if "import" in wanted:
        import_module(wanted["import"])
        return 0
    if "job" in wanted:
        return job(wanted["job"], wanted["cwd"], wanted["environ"], *fds)
    for verb in (axolotl, python, recipe):
        if (argv := wanted.pop(verb.__name__, None)) is not None:
            return verb(argv, **wanted)
    raise ValueError(f"nothing is known of {sorted(wanted)}")


def serve(listener: socket.socket) -> None:
    """Until nobody is left who asks."""
    SOCKETS.append(listener)
    while True:
        for one in select.select(SOCKETS, [], [])[0]:
            if one is listener:
                SOCKETS.append(listener.accept()[0])
                continue
            try:
                raw, fds, _, _ = socket.recv_fds(one, LONGEST, 2)
            except ConnectionError:
                raw, fds = b"", []
            if raw:
                said = answer(json.loads(raw), fds)
                with suppress(OSError):  # gone meanwhile: seen with the next look
                    one.send(b"%d" % said)
                for fd in fds:
                    os.close(fd)
                continue
            SOCKETS.remove(one)
            one.close()
            if len(SOCKETS) == 1:
                return


# What those programs import, some of it only when they are at it, and each of them anew.
HEAVY = (
    "axolotl.cli.main", "axolotl.cli.preprocess", "axolotl.cli.train", "axolotl.core.builders.causal",
    "axolotl.core.trainers", "axolotl.monkeypatch.attention.sdpa_varlen", "axolotl.prompt_strategies.chat_template",
    "axolotl.train", "axolotl.utils.quantization", "bitsandbytes", "datasets", "lm_eval", "lm_eval.models.huggingface",
    "peft.tuners.lora.bnb", "torch._dynamo", "transformers.models.gemma4.modeling_gemma4",
    "transformers.models.llama.modeling_llama", "transformers.trainer", "trl",
    "runner.cli.line", "runner.jobs.axolotl_cpu", "runner.run",
)  # fmt: skip


def warm() -> None:
    """What each would work out anew: our schema, with all that is plugged in, and Numba's code of how Axolotl packs."""
    from runner.schema import recipe_schema

    recipe_schema()
    with suppress(ImportError):
        import numpy as np
        from axolotl.utils.samplers.multipack import pack_parallel

        assert pack_parallel(np.array([3, 2, 4], dtype=np.int32), 5, 100, 9, 1, mp_start_method=None)


def bring() -> None:
    """All that is imported and worked out once."""
    for name in HEAVY:
        with suppress(ImportError):  # another version's, or not installed: who needs it says so
            import_module(name)
    warm()
    gc.collect()
    gc.freeze()  # Axolotl collects garbage all the time: what is here by now, no fork looks through


def main() -> None:
    from runner import process

    os.environ.update(process.environment(MORE))
    if sys.argv[1] == "compile":  # for what Python keeps of it
        bring()
        over(0)
    listener = socket.socket(fileno=int(sys.argv[1]))
    folder = Path(listener.getsockname()).parent
    os.environ["HF_HOME"] = str(
        folder / "hf"
    )  # what they keep goes with them; libraries read it when imported
    bring()
    try:
        serve(listener)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    over(0)  # what was imported takes seconds to take leave


if __name__ == "__main__":
    main()
