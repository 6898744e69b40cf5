"""A vLLM that is started to be asked, and ended. Where an engine has room for several models, each is one of these, on
its own node: `python -m runner.serving.replica JOB.json`. It serves 127.0.0.1, and is asked from beside it.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import msgspec
from msgspec import Struct

from runner import hardware, installed, process
from runner.errors import MirepoixError, StepError
from runner.serving import engines, server
from runner.serving.found import Served
from runner.store import write_atomic


class Asker(Struct, frozen=True, forbid_unknown_fields=True):
    """One of runner/jobs/ that asks the server, and its job but for what only the server says."""

    module: Literal["ask", "lm_eval"]
    job: dict[str, Any]


class Replica(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`served` for `arms`, computed in `dtype` by the vLLM of the Python `vllm_python`, on a GPU or not; it is asked by
    `askers`, one after the other. `place` is what their job files are called, without an end; `log` what they write to.

    Where it is started on another machine, `made` is what `server.ready` said on the one that runs the recipe, which
    holds the locks, and `versions` those that the fingerprint names of that Python's distributions.
    """

    served: Served
    arms: tuple[str, ...]
    dtype: str
    gpu: bool
    vllm_python: str
    askers: list[Asker]
    place: Path
    log: Path
    made: Path | None = None
    versions: dict[str, str] = {}

    def json(self) -> dict[str, Any]:
        """As a job file holds it. What a recipe calls the base may be a path by now, which no recipe could say: a
        server goes by `served.model`."""
        base = msgspec.structs.replace(self.served.base, base="base")
        what = msgspec.structs.replace(self, served=replace(self.served, base=base))
        plain: dict[str, Any] = msgspec.to_builtins(what, enc_hook=str)
        return plain


def serve(what: Replica, run: Callable[[str, dict[str, Any]], None]) -> None:
    """Start it, have each asker `run`, end it. Raises UsageError, StepError, and what `run` raises."""
    engine = engines.choose("vllm", what.gpu, what.vllm_python)
    with server.serving(what.served, engine, arms=what.arms, dtype=what.dtype, made=what.made) as running:
        for asker in what.askers:
            run(asker.module, asker.job | _told(what, asker, running.url, engine.why))


def _told(what: Replica, asker: Asker, url: str, why: str) -> dict[str, Any]:
    if asker.module == "lm_eval":
        return {"server": asker.job["server"] | {"url": url, "engine": f"{why} in {what.dtype}"}}
    template = (what.made or server.ready(what.served)) / "chat_template.jinja"
    by = installed.vllm(what.vllm_python, installed.DECIDES)
    return {
        "url": url,
        "engine": why,
        "template_sha256": hashlib.sha256(template.read_bytes()).hexdigest(),
        "by": by | {"processor": hardware.processor(what.gpu)},
    }


def main(path: Path) -> None:
    """Exits 3, with a line that says why, where something is wrong; so does an asker that fails."""
    what = msgspec.json.decode(path.read_bytes(), type=Replica, dec_hook=lambda kind, said: kind(said))

    def run(module: str, job: dict[str, Any]) -> None:
        file = what.place.with_name(f"{what.place.name}.{module}.json")
        write_atomic(file, msgspec.json.encode(job))
        argv = [sys.executable, "-m", f"runner.jobs.{module}", str(file)]
        process.run(argv, log=what.log, cwd=Path.cwd())

    with _one_line(), TemporaryDirectory(prefix="mirepoix-asked-") as own:
        _alike(what)
        for asker in what.askers:
            if (
                asker.module == "ask"
            ):  # what the client keeps, and locks; the store's locks are of one machine
                asker.job["store"] = own
        serve(what, run)


def _alike(what: Replica) -> None:
    """Raises StepError where the vLLM of this node is another than the fingerprint names."""
    found = installed.vllm(what.vllm_python, installed.DECIDES)
    if other := [
        f"{name} {found.get(name, 'absent')} instead of {version}"
        for name, version in what.versions.items()
        if found.get(name) != version
    ]:
        raise StepError(
            "serve", f"it has {', '.join(other)}; install the same there as where the recipe is run"
        )


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except process.Failed as e:  # what an asker says stands in the log already
        if e.code < 0:
            sys.stderr.write(f"{e}; what was answered is kept: run it again to go on\n")
        raise SystemExit(3) from None
    except (MirepoixError, OSError) as e:
        log = f"; log: {e.log}" if isinstance(e, StepError) and e.log else ""
        why = e.message if isinstance(e, StepError) else e
        sys.stderr.write(" ".join(f"vLLM on the node {platform.node()}: {why}{log}".split()) + "\n")
        raise SystemExit(3) from None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
