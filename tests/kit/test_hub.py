"""The hub of the stand-in, read through Hugging Face's own library: every row of the kit's files, and their commit."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from runner import contract
from runner.fetching import Item
from runner.record import Document, Record, Rejected
from runner.registry import Plugin, SourceContext
from runner.settings import SETTINGS
from runner.sources import hub

SHARED = Path(__file__).parents[2] / ".." / "shared"
StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
if not (KIT / "chat").is_dir():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)
pytest.importorskip("datasets", reason="datasets is not installed")


@pytest.fixture(scope="module")
def upstream(stand_in: StandIn) -> Iterator[str]:
    with stand_in() as found:
        yield found


class Net:
    """As much of a fetcher as the hub needs."""

    def __init__(self, folder: Path, url: str) -> None:
        self.name, self.seed, self.folder = "h", 1, folder
        self.settings = {n: s.default for n, s in SETTINGS.items()} | {"hub_url": url}

    def store(self, chunks: Iterable[bytes]) -> str:
        data = b"".join(chunks)
        name = hashlib.sha256(data).hexdigest()
        (self.folder / name).write_bytes(data)
        return name

    def setting(self, name: str) -> str:
        return self.settings[name]

    def progress(self, done: int, of: int, what: str) -> None:
        return


def run(folder: Path, url: str, **options: Any) -> tuple[Item, list[Record | Document | Rejected]]:
    plugin, net = Plugin("source", "hub", 1, hub.hub, fetch=hub.fetch), Net(folder, url)
    [item] = hub.fetch(net, **plugin.bind_fetch(options))  # type: ignore[arg-type]
    assert not item.error, item.error
    context = SourceContext("h", 1, {}, "", [item], lambda i: folder / i.sha256)
    return item, list(plugin.call(context, **plugin.bind(options)))


def records(rows: list[Any]) -> list[Record]:
    assert [r.reason for r in rows if isinstance(r, Rejected)] == []
    assert [contract.broken(r) for r in rows if isinstance(r, Record)] == [None] * len(rows)
    return rows


@pytest.mark.parametrize(
    ("file", "asked", "answered"),
    [
        ("alpaca_en.jsonl", "instruction", "output"),
        ("identity.json", "instruction", "output"),
        ("toy_chat_fine_tuning.jsonl", "", ""),
        ("v1_sft_demo.jsonl", "", ""),
    ],
)
def test_every_row_of_the_chat_files(
    tmp_path: Path, upstream: str, file: str, asked: str, answered: str
) -> None:
    item, rows = run(tmp_path, upstream, path="local/chat", files=[file])
    text = (KIT / "chat" / file).read_text(encoding="utf-8")
    there = json.loads(text) if file.endswith(".json") else [json.loads(x) for x in text.splitlines()]
    made = records(rows)
    assert len(made) == len(there) and re.fullmatch(r"[0-9a-f]{40}", item.meta["revision"])
    for row, record in zip(there, made, strict=True):
        if asked:
            assert (record.messages[0].content or "").startswith(row[asked])
            assert record.messages[-1].content == row[answered]
        else:
            assert [m.role for m in record.messages] == [m["role"] for m in row["messages"]]


def test_titles(tmp_path: Path, upstream: str) -> None:
    _, rows = run(
        tmp_path, upstream, path="local/reddit", files=["OnionOrNot_part1.csv"], columns={"text": "text"}
    )
    assert len(rows) == 12_000 and all(isinstance(r, Document) for r in rows)


def test_tool_calls_written_as_conversations(tmp_path: Path, upstream: str) -> None:
    _, rows = run(tmp_path, upstream, path="local/tools", files=["glaive_toolcall_en.jsonl"])
    made = [r for r in rows if isinstance(r, Record) and contract.broken(r) is None]
    lost = {r.reason if isinstance(r, Rejected) else contract.broken(r) for r in rows if r not in made}  # type: ignore[arg-type]
    assert len(made) / len(rows) > 0.95, lost
    assert sum(bool(m.tool_calls) for r in made for m in r.messages) > 100


def test_pinned_is_the_same_bytes(tmp_path: Path, upstream: str) -> None:
    item, _ = run(tmp_path, upstream, path="local/chat", files=["toy*.jsonl"], limit=3)
    again, rows = run(
        tmp_path, upstream, path="local/chat", files=["toy*.jsonl"], limit=3, revision=item.meta["revision"]
    )
    assert again == item and len(rows) == 3
