"""Starts `recipe`, and the jobs that it starts (Axolotl's, ours), by forking: their imports take 20 s and are done once.

All else is as it is: the same command line, the same code, the same process groups, logs and signals. Reads one JSON
line a request on stdin, {"argv": …, "out": FILE} to start `recipe`, the same with "cwd" to start `axolotl` by itself,
{"wait": PID}, or {"import": MODULE}; answers each with a number.
"""

from __future__ import annotations

import json
import os
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
JOBS = ("runner.jobs.generate", "runner.jobs.lm_eval")


def code_of(run: Callable[[], object]) -> int:
    """What a program's exit code would be."""
    try:
        run()
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(e.code is not None)
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
        over(code_of(run))
    return pid


class Forked:
    """As much of subprocess.Popen as `runner.warded` uses, for `python -m axolotl.cli.main …` and our own jobs, each
    with its warden: that, too, is a fork."""

    def __init__(self, line: int, argv: list[str], **how: Any) -> None:
        def run() -> None:
            os.setsid()
            for fd in list(Path("/proc/self/fd").iterdir()):  # Popen would close them
                with suppress(OSError):
                    if "/.mirepoix/locks/" in str(fd.readlink()):
                        os.close(int(fd.name))
            from runner.jobs.warden import Warden

            Warden(line, lambda: over(code_of(job))).keep()

        def job() -> None:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(how["stdout"].fileno(), number)
            os.chdir(how["cwd"])
            os.environ.clear()
            os.environ.update(how["env"])
            if argv[2] in JOBS:
                sys.argv = argv[2:]
                from runner.jobs.job import command

                command(argv[2].rpartition(".")[2], import_module(argv[2]).run)
                return
            sys.argv = ["axolotl", *argv[3:]]
            from axolotl.cli.main import main

            main()

        self.returncode: int | None = None
        self.pid = fork(run)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout or 1e9)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("axolotl", timeout or 0)
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode


def apart(out: str, err: str) -> None:
    """A session of its own, what it says in files."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)


def by_itself(argv: list[str], out: str, cwd: str) -> int:
    def run() -> None:
        apart(out, out)
        os.chdir(cwd)
        sys.argv = ["axolotl", *argv]
        from axolotl.cli.main import main

        main()

    return fork(run)


def recipe(argv: list[str], out: str) -> int:
    def run() -> None:
        apart(out, f"{out}.err")
        from runner import process
        from runner.cli import main
        from runner.warded import WARDEN

        popen: Any = subprocess.Popen

        def start(argv: list[str], **how: Any) -> Any:
            own = len(WARDEN)
            if argv[:own] == WARDEN and argv[own + 2 : own + 4] in (AXOLOTL, *(["-m", job] for job in JOBS)):
                return Forked(int(argv[own]), argv[own + 1 :], **how)
            return popen(argv, **how)

        process.subprocess.Popen = start  # type: ignore[attr-defined, misc, assignment]
        sys.argv = ["recipe", *argv]
        main()

    return fork(run)


def main() -> None:
    from runner import process

    more = {
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
    }
    os.environ.update(process.environment(more | {"AXOLOTL_DATASET_NUM_PROC": "1"}))
    import axolotl.cli.main
    import axolotl.cli.preprocess
    import axolotl.cli.train
    import axolotl.core.builders.causal
    import axolotl.core.trainers
    import axolotl.prompt_strategies.chat_template
    import axolotl.train
    import bitsandbytes
    import peft
    import torch._dynamo
    import transformers.trainer
    import trl

    import runner.cli.line
    import runner.jobs.axolotl_cpu
    import runner.run

    assert axolotl and bitsandbytes and peft and torch and transformers and trl and runner
    for line in sys.stdin:
        wanted = json.loads(line)
        if "wait" in wanted:
            answer = os.waitstatus_to_exitcode(os.waitpid(wanted["wait"], 0)[1])
        elif "import" in wanted:
            import_module(wanted["import"])
            answer = 0
        elif "cwd" in wanted:
            answer = by_itself(**wanted)
        else:
            answer = recipe(**wanted)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
