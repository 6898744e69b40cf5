"""Rows of a data set on a hub, streamed through Hugging Face's own library, as JSON Lines.

Started as `python -m runner.jobs.hub_rows JOB.json`, since that library reads its endpoint, token and cache folder
from the environment once, when it is imported. Tells on stdout, a JSON line at a time, how far it is, and last
what it took. Exits 3 with one line on stderr where it cannot.

Only files of data (JSON, CSV, Parquet, text) are read, only those of the data set itself, and only from addresses
that the user's settings allow: a data set's card is a stranger's text, and may name any file or address.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import sys
import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.net.client import agent
from runner.net.guard import Guard
from runner.settings import Settings

FORMATS = ("json", "csv", "parquet", "text")
ROW = 8 << 20  # bytes of one row
ALL = 8 << 30  # bytes of all rows
CHUNK = 1 << 20  # bytes, or a thousand rows, that the library reads at once
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
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    import datasets

    settings = Settings(job.settings, {})
    _guard(Guard(settings))
    _name(agent(settings))
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEMORY,) * 2)
    try:
        info = HfApi().dataset_info(job.path, revision=job.revision, timeout=60)
    except RevisionNotFoundError:
        raise StepError("hub", f"{job.path} has no revision {job.revision!r}") from None
    except RepositoryNotFoundError:
        raise StepError(
            "hub", f"the hub has no data set {job.path}, or shows it only with a hub_token"
        ) from None
    except Exception as e:  # whatever the library, or what it is built on, raises
        raise _why(job, "cannot be had", e) from None
    commit = str(info.sha)
    if job.revision and len(job.revision) == 40 and job.revision != commit:
        raise StepError("hub", f"{job.path}: the hub gave revision {commit}, not {job.revision}")
    if getattr(info, "gated", False) and not os.environ.get("HF_TOKEN"):
        raise StepError("hub", f"{job.path} is gated: set hub_token, and accept its terms on the hub")
    _stay_inside(job.path, commit)
    try:
        named = {job.split: job.files} if job.files else None
        builder = datasets.load_dataset_builder(job.path, job.subset, data_files=named, revision=commit)
        _only_data(job, builder, commit)
        rows = builder.as_streaming_dataset(split=_split(job, builder))
        if rows.features is not None:
            rows = rows.decode(False)  # pictures and sounds stay what they are in the file
        _say({"commit": commit})
        count = _write(job, rows)
    except StepError:
        raise
    except Exception as e:
        raise _why(job, "cannot be read", e) from None
    license = getattr(info.card_data, "license", None) if info.card_data else None
    _say({"commit": commit, "rows": count, "license": license if isinstance(license, str) else ""})


def _why(job: HubJob, what: str, error: BaseException) -> StepError:
    if isinstance(error, MemoryError) or "malloc" in str(error) or "Cannot allocate" in str(error):
        return StepError("hub", f"{job.path} {what}: a row of it takes too much memory")
    if type(error).__name__ == "CastError":
        return StepError(
            "hub", f"{job.path}: its files have different columns; name those of one kind (files)"
        )
    chain: BaseException | None = error
    said: list[str] = []
    while chain is not None and len(said) < 4:
        line = next((x for x in str(chain).splitlines() if x.strip()), type(chain).__name__)
        said.append(line.replace(job.settings["hub_url"], "hub:")[:300])
        chain = chain.__cause__ or chain.__context__
    # The outermost words are the library's for the person; the innermost say which address or line it was.
    return StepError("hub", f"{job.path} {what}: {'; '.join(dict.fromkeys([said[0], said[-1]]))}")


def _name(user_agent: str) -> None:
    """Every request of the library says who we are, and not who it is."""
    import httpx
    from huggingface_hub import set_client_factory

    def sign(request: httpx.Request) -> None:
        request.headers["user-agent"] = user_agent

    set_client_factory(
        lambda: httpx.Client(follow_redirects=True, timeout=60, event_hooks={"request": [sign]})
    )


def _guard(guard: Guard) -> None:
    """Every connection of this process goes to an address that is checked as it is looked up."""
    plain = socket.getaddrinfo

    def checked(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        socket.getaddrinfo = plain
        try:
            found = guard.addresses(name, int(port))
        except Unfetched as e:
            raise OSError(str(e)) from None
        finally:
            socket.getaddrinfo = checked
        return [x for a in found for x in plain(str(a), port, *args, **kwargs)]

    socket.getaddrinfo = checked


def _stay_inside(path: str, commit: str) -> None:
    """Files that a card names by an address or an absolute path are not looked for, let alone read."""
    from datasets import data_files

    plain = data_files.resolve_pattern

    def inside(pattern: str, base_path: str, *args: Any, **kwargs: Any) -> Any:
        own = pattern.startswith(f"hf://datasets/{path}@{commit}/")
        if not own and ("://" in pattern or pattern.startswith(("/", "~")) or ".." in pattern.split("/")):
            raise StepError("hub", f"{path}: its card names a file outside it ({pattern[:100]!r})")
        return plain(pattern, base_path, *args, **kwargs)

    data_files.resolve_pattern = inside


def _only_data(job: HubJob, builder: Any, commit: str) -> None:
    kind = type(builder).__module__.rpartition(".")[2]
    if not type(builder).__module__.startswith("datasets.packaged_modules.") or kind not in FORMATS:
        raise StepError("hub", f"{job.path} holds {kind} files; only {', '.join(FORMATS)} are read")
    own = f"hf://datasets/{job.path}@{commit}/"
    for files in (builder.config.data_files or {}).values():
        for name in files:
            if not str(name).startswith(own):
                raise StepError("hub", f"{job.path}: the file {str(name)[:100]!r} is not its own")
    if kind == "json":
        builder.config.chunksize = CHUNK
    if kind == "csv":
        builder.config.chunksize = 1000
        builder.config.na_filter = False  # "NA" and "None" are words
    if kind == "parquet":
        builder.config.batch_size = 1000


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
