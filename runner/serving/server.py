"""Starts a server for a run, waits until it answers, and ends it with all that it started."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner import hardware, paths, process
from runner.errors import StepError, UsageError
from runner.serving import vllm
from runner.serving.engines import Engine
from runner.serving.found import Served
from runner.store import Store, digest, file_digest

HOST = "127.0.0.1"
ARMS = ("base", "tuned")
USUAL = 4096
"""Tokens that vLLM makes room for, where the recipe trained on fewer and the model holds them."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """A server that runs. `models` are the names that it may be asked by; `ended` is its exit code, if it has."""

    url: str
    engine: Engine
    models: list[str]
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> int | None:
        process.clean()  # whoever asks so waits, and the log grows meanwhile
        return self.child.poll()


def free_port(wanted: int) -> int:
    """That port, or any free one for 0. Raises UsageError where another program listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except PermissionError:
            raise UsageError(
                f"port {wanted} is for the system's own services; choose one from 1024 on"
            ) from None
        except OSError:
            what = f"port {wanted} is taken, perhaps by another `recipe serve`; choose one with --port (0: any free)"
            raise UsageError(what) from None
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    served: Served,
    engine: Engine,
    *,
    arms: tuple[str, ...],
    port: int = 0,
    limit: int = 0,
    tell: Tell = lambda what: None,
    dtype: str = "",
    made: Path | None = None,
) -> Iterator[Running]:
    """A server for `arms` of a run, ended on leaving. `limit` is in tokens, 0 for as many as the model holds; it
    computes in `dtype`, or in what suits this machine. `made` is what `ready` says, where another machine has asked it:
    that one also sees that nothing of it is collected, and here no lock is taken.

    Raises UsageError, or StepError with the log where the server does not come up.
    """
    arms = _arms(served, arms)
    port = free_port(port)
    log, root = _log(served), served.folder.parent.parent
    dtype = dtype or hardware.dtype("gpu" if engine.gpu else "cpu")
    make = partial(_vllm, made=made) if engine.name == "vllm" else _transformers
    with nullcontext() if made else kept(root, str(port)):
        argv, more = make(served, engine, arms, port, limit, dtype, log, tell)
        child, begins = process.start(argv, log=log, cwd=root, more=more)
        yield from _running(child, begins, served, engine, arms, port, log, tell)


def kept(root: Path, name: str) -> AbstractContextManager[object]:
    """What a server of a workspace reads is not collected meanwhile; `name` tells those of one process apart."""
    return Store(root).trying(f"serving.{os.getpid()}.{name}")


def _running(
    child: subprocess.Popen[bytes],
    begins: int,
    served: Served,
    engine: Engine,
    arms: tuple[str, ...],
    port: int,
    log: Path,
    tell: Tell,
) -> Iterator[Running]:
    """The server once it is well, and its end."""
    try:
        tell(f"starting ({'minutes' if engine.name == 'vllm' else 'seconds'}); log: {shown(log)}")
        _wait(child, port, log, begins)
        names = [n for arm in arms for n in ([arm] if arm == "base" else ["tuned", served.name])]
        yield Running(f"http://{HOST}:{port}/v1", engine, list(dict.fromkeys(names)), child, log)
    finally:
        process.end_group(child)
        process.clean(child)
        log.with_name(f"serve-{port}.json").unlink(missing_ok=True)


def log_of(served: Served) -> Path:
    """Where what a server of this run says is written down."""
    return served.folder / "logs" / served.log


def _log(served: Served) -> Path:
    """The same, its folder made and looked at: what is to be served is written there, too."""
    log, root = log_of(served), served.folder.parent.parent
    paths.folder(root, log.parent.relative_to(root))
    paths.check_all(root, log.parent)
    return log


def _arms(served: Served, arms: tuple[str, ...]) -> tuple[str, ...]:
    if served.adapter is None and served.whole is None:  # a base by itself: an evaluation wants it so
        return ("base",)
    if served.adapter is None and "tuned" not in arms:
        raise UsageError(f"the run {served.name!r} has a whole model and no adapter: its base is not served")
    return ("tuned",) if served.adapter is None else arms


def _wait(child: subprocess.Popen[bytes], port: int, log: Path, started: int) -> None:
    """Until the server says that it is well. Raises StepError where it ends before."""
    import httpx

    with httpx.Client(trust_env=False, timeout=5) as client:
        while True:
            if (code := child.poll()) is not None:
                process.clean()
                raise StepError("serve", _why(log, started, code), shown(log))
            try:
                if client.get(f"http://{HOST}:{port}/health").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)


def shown(log: Path) -> str:
    """A log of a run as the user knows it: from the workspace on."""
    return log.relative_to(log.parents[3]).as_posix()


def _why(log: Path, started: int, code: int) -> str:
    """The last line that a server said, or which signal ended it."""
    if code < 0:
        return f"the server was ended by {signal.Signals(-code).name}"
    said = [
        x.strip() for x in log.read_bytes()[started:].decode("utf-8", "replace").splitlines() if x.strip()
    ]
    errors = [x for x in said if "Error" in x or "error:" in x.lower()]
    return f"the server did not start: {(errors or said or ['it said nothing'])[-1][:500]}"


def _common(served: Served) -> dict[str, Any]:
    return {
        "model": served.model,
        "revision": served.base.revision,
        "template": str(served.template) if served.template else None,
        "end_of_turn": served.base.end_of_turn,
    }


def _transformers(
    served: Served,
    engine: Engine,
    arms: tuple[str, ...],
    port: int,
    limit: int,
    dtype: str,
    log: Path,
    tell: Tell,
) -> tuple[list[str], dict[str, str]]:
    tuned = (
        {"adapter": str(served.adapter)} | served.four_bits
        if served.adapter
        else {"model": str(served.whole), "revision": None}
    )
    jobs = {arm: _common(served) | {"dtype": dtype} | (tuned if arm == "tuned" else {}) for arm in arms}
    names = {served.name: "tuned"} if "tuned" in arms and served.name not in ARMS else {}
    job = {"arms": jobs, "names": names, "port": port, "limit": limit}
    path = log.with_name(f"serve-{port}.json")  # of this server alone: another may start meanwhile
    path.write_text(json.dumps(job, indent=1), encoding="utf-8")
    return [sys.executable, "-m", "runner.jobs.serve", str(path)], {}


def _vllm(
    served: Served,
    engine: Engine,
    arms: tuple[str, ...],
    port: int,
    limit: int,
    dtype: str,
    log: Path,
    tell: Tell,
    *,
    made: Path | None,
) -> tuple[list[str], dict[str, str]]:
    folder = made or ready(served, tell)
    about = json.loads((folder / "about.json").read_bytes())
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    found = vllm.parser(served.base.template, template)
    if found is None:
        tell("vLLM has no parser for the tool calls of this template: it answers in text only")
    if "base" in arms and (folder / "model").is_dir():
        tell(
            "vLLM applies the adapter to the base in four bits, as it was trained: the base arm has these weights too"
        )
    argv = vllm.argv(
        engine, served, ready=folder, port=port, arms=arms, r=about["rank"],
        limit=limit or length(served, folder), tool_parser=found, dtype=dtype,
    )  # fmt: skip
    return argv, vllm.environment(engine)


def length(served: Served, made: Path | None = None) -> int:
    """How many tokens vLLM makes room for, where nobody says: what was trained on or more, if the model holds it.
    `made` is what `ready` says, where it is known."""
    about = json.loads(((made or ready(served)) / "about.json").read_bytes())
    return int(min(about["positions"] or USUAL, max(served.base.max_length, USUAL)))


def ready(served: Served, tell: Tell = lambda what: None) -> Path:
    """The folder of what vLLM needs besides, made once for an adapter. Raises StepError."""
    job = _common(served) | {"adapter": str(served.adapter) if served.adapter else None} | served.four_bits
    if served.whole is not None:
        job |= {"model": str(served.whole), "revision": None}
    files = [p for p in (served.template, served.adapter and served.adapter / "adapter_config.json") if p]
    key = digest(
        {k: v for k, v in job.items() if k != "adapter"} | {"files": [file_digest(p) for p in files]}
    )
    store = Store(served.folder.parent.parent)
    folder = store.folder("served") / key[:32]
    with store.waiting(f"served.{key[:32]}"):
        if not (folder / "about.json").is_file():
            _make_ready(served, folder, job, tell)
        if re.fullmatch("[0-9a-f]{64}", served.step):  # `recipe gc` goes by that
            (store.folder("served", key[:32], "for") / served.step).touch()
        os.utime(folder)
    return folder


def _make_ready(served: Served, folder: Path, job: dict[str, Any], tell: Tell) -> None:
    log = _log(served)
    tell(
        "writing the base as the adapter knows it, once"
        if served.four_bits
        else "reading the model's template"
    )
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    path = log.with_name(f"for_vllm-{os.getpid()}.json")
    path.write_text(json.dumps(job | {"out": str(temporary)}, indent=1), encoding="utf-8")
    argv = [sys.executable, "-m", "runner.jobs.for_vllm", str(path)]
    try:
        process.run(argv, log=log, cwd=served.folder.parent.parent)
    except process.Failed as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StepError("serve", str(e), shown(log)) from None
    finally:
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
