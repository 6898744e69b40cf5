"""What the evaluation jobs share: the fields that say which model, the way in, and the way to fail.

A job is started as `python -m runner.jobs.NAME JOB.json` in a process of its own, never with the
network. It exits 0, or says in one line on stderr what is wrong and exits 3; a traceback is a
defect of ours.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from runner import templates
from runner.errors import StepError
from runner.jobs.axolotl_node import differ, words

Row = TypeVar("Row", bound=Struct)


class Job(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model answers: a folder, or a hub id (with its `revision`) that is in the local cache.

    `adapter` is a PEFT folder or None (the base arm); `template` a Jinja file that replaces the
    model's own chat template; `nf4` says that the adapter was trained on the base in four bits, of the
    kind `quant_type`, with `double_quant` or without; `threads` is the number of CPU threads, 0 leaves it to
    the library. `libraries` are the versions that the step's fingerprint names, where the job may come to run on
    another machine than the one that has them.
    """

    model: str
    revision: str | None = None
    adapter: str | None = None
    nf4: bool = False
    quant_type: Literal["nf4", "fp4"] = "nf4"
    double_quant: bool = True
    template: str | None = None
    end_of_turn: str | None = None
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    seed: int = 0
    threads: int = 0
    libraries: dict[str, str] = {}


def command(name: str, run: Callable[[bytes], None]) -> None:
    """Run `run` on the bytes of the job file that the command line names; exits the process."""
    quiet()
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: python -m runner.jobs.{name} JOB.json")
    try:
        run(Path(sys.argv[1]).read_bytes())
    except msgspec.MsgspecError as e:
        fail(StepError(name, f"{sys.argv[1]}: {e}"))
    except templates.TooMuch as e:
        fail(StepError(name, f"the model's chat template {e}; name another in model.template"))
    except (StepError, OSError) as e:
        fail(e if isinstance(e, StepError) else StepError(name, str(e)))


def alike(job: Job) -> None:
    """Raises StepError where other versions are installed than the job is to run with: what came of it would be kept
    under a fingerprint that names these."""
    if other := differ(job.libraries):
        raise StepError("load", words(platform.node(), other))


def fail(error: StepError) -> None:
    """One line on stderr, exit code of the error."""
    sys.stderr.write(" ".join(str(error).split()) + "\n")
    raise SystemExit(error.exit_code)


def quiet() -> None:
    """No network, no progress bars, no notices. Must come before the heavy imports."""
    logging.disable(logging.WARNING)
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TRANSFORMERS_VERBOSITY="error",
        TOKENIZERS_PARALLELISM="false",
        TQDM_DISABLE="1",
    )


def progress(path: str | None, done: int, of: int) -> None:
    """Append one line {"done": n, "of": m}; lines are whole even where a reader looks meanwhile."""
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"done": done, "of": of}) + "\n")


def read_rows(path: str, kind: type[Row]) -> list[Row]:
    """The rows of a JSONL file, which all have an `id`, each once. StepError names the line."""
    rows: list[Row] = []
    seen: set[str] = set()
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError as e:
            raise StepError("read", f"{path}:{number}: {e}") from e
        if (key := getattr(row, "id", "")) in seen:
            raise StepError("read", f"{path}:{number}: the id {key!r} is there twice")
        seen.add(key)
        rows.append(row)
    return rows
