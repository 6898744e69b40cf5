"""Rows of a data set on a hub, streamed through Hugging Face's own library, as JSON Lines.

Started as `python -m runner.jobs.hub_rows JOB.json`, since that library reads its endpoint, token and cache folder
from the environment once, when it is imported. Tells on stdout, a JSON line at a time, how far it is, and last
what it took. Exits 3 with one line on stderr where it cannot.

What of a data set is read, and from where, says `runner.jobs.hubaccess`.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner.errors import StepError
from runner.jobs import hubaccess

ROW = 8 << 20  # bytes of one row
ALL = 8 << 30  # bytes of all rows
MEMORY = 300 << 20  # bytes that reading may take on top of the library itself
EVERY = 500  # rows from one word about progress to the next


class HubJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`settings` are the addresses of `runner.settings`; `out` gets {"row": …} or {"bad": why} a line."""

    path: str
    revision: str | None
    subset: str | None
    split: str
    files: list[str] | None
    limit: int | None
    settings: dict[str, str]
    out: str


def main() -> None:
    """Run the job that the command line names."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=HubJob))
    except StepError as e:
        sys.stderr.write(" ".join(e.message.split()) + "\n")
        raise SystemExit(e.exit_code) from None


def run(job: HubJob) -> None:
    """Write the rows and say what was taken. Raises StepError."""
    import datasets

    resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEMORY,) * 2)
    info = hubaccess.found(job)
    commit = str(info.sha)
    try:
        named = {job.split: job.files} if job.files else None
        builder = datasets.load_dataset_builder(job.path, job.subset, data_files=named, revision=commit)
        hubaccess.only_data(job, builder, commit)
        hubaccess.in_small_steps(builder)
        rows = builder.as_streaming_dataset(split=_split(job, builder))
        if rows.features is not None:
            rows = rows.decode(False)  # pictures and sounds stay what they are in the file
        _say({"commit": commit})
        count = _write(job, rows)
    except StepError:
        raise
    except Exception as e:
        raise hubaccess.why(job, "cannot be read", e) from None
    _say({"commit": commit, "rows": count, "license": hubaccess.licence(info)})


def _split(job: HubJob, builder: Any) -> str:
    splits = sorted(map(str, builder.config.data_files or {}))
    if job.split not in splits:
        raise StepError("hub", f"{job.path} has no split {job.split!r}; there are {', '.join(splits)}")
    return job.split


def _write(job: HubJob, rows: Any) -> int:
    encoder = msgspec.json.Encoder(enc_hook=_plain)
    count = size = 0
    with open(job.out, "wb") as out:
        for row in _first(rows, job.limit):
            try:
                line = encoder.encode({"row": row})
            except (TypeError, ValueError, RecursionError) as e:
                line = encoder.encode({"bad": f"cannot be written as JSON: {e}"})
            if len(line) > ROW:
                line = encoder.encode({"bad": f"a row of more than {ROW >> 20} MB"})
            size += len(line) + 1
            if size > ALL:
                raise StepError(
                    "hub", f"{job.path} is larger than {ALL >> 30} GB; take the first rows (limit)"
                )
            out.write(line + b"\n")
            count += 1
            if count % EVERY == 0:
                _say({"done": count})
    return count


def _first(rows: Any, limit: int | None) -> Iterator[dict[str, Any]]:
    for n, row in enumerate(rows, 1):
        yield row
        if n == limit:  # not one more: the next may be in a chunk that is not loaded yet
            return


def _plain(value: Any) -> Any:
    """What JSON has no words for; times as ISO 8601."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__}")


def _data() -> int:
    """Bytes that RLIMIT_DATA counts already."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 1 << 30
    return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmData")) * 1024


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
