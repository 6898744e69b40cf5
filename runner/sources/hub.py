"""Source `hub`: a data set on a Hugging Face hub, streamed: one split of one commit, or its first rows.

The library that streams it reads endpoint, token and cache folder from the environment when it is imported, so it
runs in a process of its own (`runner.jobs.hub_rows`), with a cache that goes when the fetch ends. What came is
one item; a stream that breaks off is none.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runner import extras, hubenv, warded
from runner.datafiles import spans
from runner.datafiles.rows import Columns, record_of, shown
from runner.errors import StepError
from runner.fetching import Fetcher, Item
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext, Unit, source
from runner.scrub import Scrubber

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$"


def fetch(
    net: Fetcher,
    *,
    path: str,
    revision: str | None = None,
    subset: str | None = None,
    split: str = "train",
    files: list[str] | None = None,
    limit: int | None = None,
) -> Iterator[Item]:
    """The rows of one split as one item, each a line {"row": …}; its meta says which commit they are of."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("datasets")  # `import datasets` would find any folder of that name
    except PackageNotFoundError:
        raise StepError(net.name, f"needs datasets: {extras.install('hub')}") from None
    key = "/".join(x for x in (path, subset, split) if x)
    with tempfile.TemporaryDirectory(prefix="mirepoix-hub-") as folder:
        out, job = Path(folder, "rows.jsonl"), Path(folder, "job.json")
        addresses = hubenv.addresses(net.setting)
        asked = {"path": path, "revision": revision, "subset": subset, "split": split, "files": files}
        job.write_text(
            json.dumps(asked | {"limit": limit, "settings": addresses, "out": str(out)}), encoding="utf-8"
        )
        scrubber = Scrubber([net.setting("hub_token")])
        try:
            taken = _run(net, job, Path(folder), limit or 0, path)
        except _Failed as e:
            yield Item(key, meta={"origin": path}, error=scrubber.text(str(e)))
            return
        scrubber.file(out)  # a hub may say what it was sent, in rows too
        with out.open("rb") as rows:
            sha256 = net.store(iter(lambda: rows.read(1 << 20), b""))
    commit = str(taken["commit"])
    if revision != commit:
        how = f"revision {revision!r}" if revision else "no revision is named"
        net.progress(taken["rows"], limit or 0, f"{path}: {how}; took {commit} (pin it: revision: {commit})")
    meta = {"origin": f"{path}@{commit}", "revision": commit, "license": scrubber.text(str(taken["license"]))}
    yield Item(key, sha256, {k: v for k, v in meta.items() if v})


class _Failed(Exception):
    """The job's own words."""


def _run(net: Fetcher, job: Path, folder: Path, of: int, path: str) -> dict[str, Any]:
    """Run the job, tell how far it is; its last words. Raises _Failed."""
    said: dict[str, Any] = {}
    with open(folder / "errors", "w+b") as errors:
        child = warded.start(
            [sys.executable, "-m", "runner.jobs.hub_rows", str(job)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=hubenv.environment(net.setting, folder),
        )
        try:
            assert child.stdout is not None
            with child.stdout as lines:
                for line in lines:
                    said |= json.loads(line)
                    net.progress(said.get("done", 0), of, f"rows of {path}")
            code = child.wait()
        finally:
            warded.end(child, 0)
        if code:
            errors.seek(0)
            words = errors.read()[-20_000:].decode("utf-8", "replace").strip().splitlines()
            last = words[-1] if words else "it said nothing"
            raise _Failed(last if code == 3 else f"the hub's library failed (exit code {code}): {last[:300]}")
    return said


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    if options["files"] is not None and options["subset"] is not None:
        yield ("files",), "files and a subset exclude each other"
    if options["columns"] and (what := msgspec.convert(options["columns"], Columns).problem()):
        yield ("columns",), what


class _Line(Struct, frozen=True):
    row: dict[str, Any] | None = None
    bad: str = ""


def _units(context: SourceContext) -> Iterator[Unit]:
    for item in context.items:
        path, id = context.raw(item), f"{context.name}/{item.key}"
        apart = path.stat().st_size > spans.RANGE
        yield Unit(id, item.key, path, item.sha256, item.key, item.meta, apart=apart, told=False)


def _read(
    context: SourceContext, unit: Unit, *, columns: Columns | None
) -> Iterator[Record | Document | Rejected]:
    about = {"source": context.name, "sha256": unit.sha256} | dict(unit.meta)
    if context.license:
        about["license"] = context.license
    with unit.path.open("rb") as file:
        for number, raw in spans.lines(file, unit.span):
            id = f"{unit.id}/{number}"
            line = msgspec.json.decode(raw, type=_Line)
            if line.row is None:
                yield Rejected(id, line.bad)
            elif _filled(line.row):
                yield Rejected(
                    id, "arguments of a call hold nulls that a table may have put there", shown(line.row)
                )
            else:
                yield record_of(line.row, columns, id=id, meta=about)


@source("hub", version=2, fetch=fetch, check=_wrong, units=_units, read=_read)
def hub(
    context: SourceContext,
    *,
    path: Annotated[
        str, Meta(pattern=NAME, max_length=200, description="OWNER/NAME.", examples=["local/chat"])
    ],
    revision: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=100)] | None,
        Meta(
            description="Commit, which pins it; a branch or tag is resolved to its commit when it is fetched.",
            examples=["3f6c2a1"],
        ),
    ] = None,
    subset: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+ -]*$", max_length=100)] | None,
        Meta(description="Configuration, where the data set has several.", examples=["default"]),
    ] = None,
    split: Annotated[
        str, Meta(pattern=r"^\w+(\.\w+)*$", max_length=100, description="Which part of it.")
    ] = "train",
    files: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_*][A-Za-z0-9_*?./ -]*$", max_length=300)]] | None,
        Meta(
            description="Only these files of it, or globs of them, where it says no subsets; they are the split.",
            extra_json_schema={"minItems": 1},
            examples=[["data/*.parquet"]],
        ),
    ] = None,
    limit: Annotated[int, Meta(ge=1, description="Fetch only the first so many rows.")] | None = None,
    columns: Annotated[Columns | None, Meta(description="Which column holds what.")] = None,
) -> Iterator[Record | Document | Rejected]:
    """A data set of a Hugging Face hub, streamed: JSON, CSV or Parquet files, no code of it ever run."""
    for unit in _units(context):
        yield from _read(context, unit, columns=columns)


def _filled(row: dict[str, Any]) -> bool:
    """Whether a call's arguments are a map with nulls: tables give every row's map the keys of all rows."""
    for messages in row.values():
        for message in messages if isinstance(messages, list) else ():
            calls = message.get("tool_calls") if isinstance(message, dict) else None
            for call in calls if isinstance(calls, list) else ():
                function = call.get("function", call) if isinstance(call, dict) else None
                arguments = function.get("arguments") if isinstance(function, dict) else None
                if isinstance(arguments, dict) and None in arguments.values():
                    return True
    return False
