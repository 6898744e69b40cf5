"""A tiny hub on the loopback address, read through Hugging Face's own library, and rows of every usual shape."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_hub import COMMIT, Hub

from runner.datafiles.rows import Columns, record_of
from runner.fetching import Item
from runner.record import Document, Record, Rejected
from runner.registry import Plugin, SourceContext
from runner.settings import SETTINGS
from runner.sources import hub


class Net:
    """As much of a fetcher as the hub needs."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.name, self.seed, self.folder, self.told = "h", 1, folder, list[str]()
        self.settings = {n: s.default for n, s in SETTINGS.items()} | {"hub_url": url} | settings

    def store(self, chunks: Iterable[bytes]) -> str:
        data = b"".join(chunks)
        name = hashlib.sha256(data).hexdigest()
        (self.folder / name).write_bytes(data)
        return name

    def setting(self, name: str) -> str:
        return self.settings[name]

    def progress(self, done: int, of: int, what: str) -> None:
        self.told.append(f"{done}/{of} {what}")


@pytest.fixture
def serve() -> Iterator[Callable[..., Hub]]:
    started: list[Hub] = []

    def start(files: dict[str, bytes]) -> Hub:
        started.append(Hub(files))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(autouse=True)
def _installed() -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")


def run(net: Net, **options: Any) -> tuple[Item, list[Record | Document | Rejected]]:
    plugin = Plugin("source", "hub", 1, hub.hub, fetch=hub.fetch)
    options = {"path": "o/d"} | options
    [item] = hub.fetch(net, **plugin.bind_fetch(options))  # type: ignore[arg-type]
    context = SourceContext("h", 1, {}, "", [] if item.error else [item], lambda i: net.folder / i.sha256)
    return item, list(plugin.call(context, **plugin.bind(options)))


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in rows)


def test_a_split_comes_with_its_commit_and_licence(tmp_path: Path, serve: Any, monkeypatch: Any) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", "not-for-jobs")
    server = serve({"data/train.jsonl": lines({"q": "Why?", "a": "Because."}, {"q": "Who?", "a": None}),
                    "data/test.jsonl": lines({"q": "x", "a": "y"})})  # fmt: skip
    net = Net(tmp_path, server.url)
    item, rows = run(net, columns={"prompt": "q", "response": "a"})
    assert item.key == "o/d/train"
    assert not item.error
    assert item.meta == {"origin": f"o/d@{COMMIT}", "revision": COMMIT, "license": "cc0-1.0"}
    assert any(f"no revision is named; took {COMMIT}" in t for t in net.told)
    first, second = rows
    assert isinstance(first, Record) and [m.content for m in first.messages] == ["Why?", "Because."]
    assert first.meta["id"] == "h/o/d/train/1" and first.meta["license"] == "cc0-1.0"
    assert isinstance(second, Rejected) and second.reason == "column 'a' is empty"
    assert server.tokens == {""} and not list(home.iterdir())
    [agent] = server.agents
    assert agent.startswith("mirepoix/")


def test_a_limit_leaves_the_rest_where_it_is(tmp_path: Path, serve: Any) -> None:
    big = lines({"text": "The river rose."}) * 2_000_000
    server = serve({"train.jsonl": big})
    item, rows = run(Net(tmp_path, server.url, hub_token="t-1"), limit=5, revision=COMMIT)
    assert [type(r) for r in rows] == [Document] * 5 and not item.error
    assert server.sent < len(big) / 4, f"{server.sent} of {len(big)} bytes were sent"
    assert server.tokens == {"Bearer t-1"}


def test_parquet_and_calls(tmp_path: Path, serve: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    calls = [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": a}}]} for a in
             ({"x": 1, "y": None}, {"x": None, "y": 2})]  # fmt: skip
    table = pa.Table.from_pylist([{"messages": [{"role": "user", "content": "Go."}, c]} for c in calls])
    out = io.BytesIO()
    pq.write_table(table, out)
    server = serve({"train.parquet": out.getvalue()})
    _, rows = run(Net(tmp_path, server.url))
    assert [getattr(r, "reason", "")[:38] for r in rows] == ["arguments of a call hold nulls that a "] * 2


@pytest.mark.parametrize(
    "named",
    ["/etc/hostname", "http://127.0.0.1:{port}/canary", "file:///etc/hostname", "../../other/d/x.jsonl"],
)
def test_a_card_cannot_name_files_elsewhere(tmp_path: Path, serve: Any, named: str) -> None:
    server = serve({"train.jsonl": lines({"text": "a"})})
    named = named.format(port=server.server.server_port)
    server.files["README.md"] = (
        f"---\nconfigs:\n- config_name: default\n  data_files: {json.dumps(named)}\n---\n".encode()
    )
    item, rows = run(Net(tmp_path, server.url))
    assert "its card names a file outside it" in item.error and rows == []
    assert not [p for p in server.seen if "canary" in p]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"d.py": b"import os\nos.abort()\n"}, {}, "cannot be read"),
        ({"train.tar": b"\0" * 10240}, {}, "holds webdataset files"),
        ({"train.jsonl": b'{"text": "a"}\n{"text": \n{"text": "b"}\n'}, {}, "cannot be read"),
        ({"train.jsonl": b'{"text": "a"}\n'}, {"split": "dev"}, "has no split 'dev'; there are train"),
        ({"train.jsonl": b'{"text": "a"}\n'}, {"revision": "f" * 40}, f"gave revision {COMMIT}"),
        ({"train.jsonl": b'{"text": "a"}\n'}, {"path": "o/none"}, "the hub has no data set o/none"),
        ({"a.jsonl": b'{"a": 1}\n', "b.jsonl": b'{"b": 1}\n'}, {}, "name those of one kind (files)"),
    ],
)
def test_what_cannot_be_had_is_one_failed_item(
    tmp_path: Path, serve: Any, files: Any, options: Any, said: str
) -> None:
    server = serve(files)
    item, rows = run(Net(tmp_path, server.url), **options)
    assert said in item.error and not item.sha256 and rows == []
    assert "127.0.0.1" not in item.error and "Traceback" not in item.error


def test_a_hub_that_no_setting_allows_is_not_reached(tmp_path: Path, serve: Any) -> None:
    server = serve({"train.jsonl": lines({"text": "a"})})
    net = Net(tmp_path, server.url)
    plain = net.setting
    asked: list[str] = []

    def first_then_default(name: str) -> str:
        """The address reaches the library, but not the list of what may be reached."""
        asked.append(name)
        return SETTINGS[name].default if name == "hub_url" and asked.count(name) == 1 else plain(name)

    net.setting = first_then_default  # type: ignore[method-assign]
    item, _ = run(net)
    assert "not a public one" in item.error and server.seen == []


def test_a_bomb_ends_the_job_and_not_the_machine(tmp_path: Path, serve: Any) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as out:
        out.write(b'{"text": "')
        for _ in range(1000):
            out.write(b"a" * (1 << 20))
    server = serve({"train.jsonl.gz": packed.getvalue()})
    item, _ = run(Net(tmp_path, server.url), limit=1)
    assert "takes too much memory" in item.error


# -- rows of every shape --------------------------------------------------------------------------

CALL = {"name": "f", "arguments": {"x": 1}}
ROWS: dict[str, tuple[dict[str, Any], Any]] = {
    "messages": ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, ["a", "b"]),
    "as JSON text": ({"messages": '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'}, ["a", "b"]),
    "nulls": ({"messages": [{"role": "user", "content": "a", "tool_calls": None, "name": None},
                            {"role": "assistant", "content": "b", "tool_calls": None}]}, ["a", "b"]),
    "parts": ({"messages": [{"role": "user", "content": [{"type": "text", "value": "a"}], "loss_weight": 0.0},
                            {"role": "assistant", "content": [{"type": "text", "text": "b"}], "loss_weight": 1.0}]}, ["a", "b"]),
    "ShareGPT": ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, ["a", "b"]),
    "Alpaca": ({"instruction": "a", "input": "", "output": "b"}, ["a", "b"]),
    "Alpaca with input": ({"instruction": "a", "input": "c", "output": "b"}, ["a\n\nc", "b"]),
    "Alpaca with history": ({"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "s"}, ["s", "a", "b", "c", "d"]),
    "prompt": ({"prompt": "a", "completion": "b", "text": "never"}, ["a", "b"]),
    "text": ({"text": "Once.", "title": "T"}, "Once."),
    "image part": ({"messages": [{"role": "user", "content": [{"type": "image", "text": None}]}]}, "type 'image'"),
    "half a weight": ({"messages": [{"role": "assistant", "content": "b", "weight": 0.5}]}, "a weight of 0.5 cannot be kept"),
    "two weights": ({"messages": [{"role": "assistant", "content": "b", "weight": 0, "train": True}]}, "say that it is to be"),
    "unknown role": ({"conversations": [{"from": "narrator", "value": "a"}]}, "its `from` is not known"),
    "written call": ({"prompt": "a", "response": "<tool_call>{}</tool_call>"}, "call written as text"),
    "empty answer": ({"instruction": "a", "output": " "}, "column 'output' is empty"),
    "a number": ({"prompt": "a", "response": 7}, "column 'response' is a number"),
    "nothing known": ({"a": 1}, "no known shape; its columns are a"),
    "empty": ({}, "no known shape"),
    "empty text": ({"text": ""}, "column 'text' is empty"),
    "no list": ({"messages": {"a": 1}}, "no list of messages"),
    "bad JSON": ({"conversations": "[{"}, "is not JSON"),
    "unanswering": ({"conversations": [{"from": "observation", "value": "x"}]}, "answers no call"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    row, expected = ROWS[name]
    made = record_of(row, id="i", meta={"origin": "o"})
    if isinstance(expected, list):
        assert isinstance(made, Record) and [m.content for m in made.messages] == expected
        assert made.meta == {"id": "i", "origin": "o", "group": "i"}
    elif isinstance(made, Document):
        assert made.text == expected
    else:
        assert isinstance(made, Rejected) and expected in made.reason and made.id == "i"


def test_what_a_message_says_of_its_training_is_kept() -> None:
    said = [
        ("weight", 0, 0),
        ("loss_weight", 1.0, 1),
        ("train", False, 0),
        ("train", True, 1),
        ("name", "x", None),
    ]
    rows = [{"role": "assistant", "content": "b", key: value} for key, value, _ in said]
    made = record_of({"messages": rows}, id="i", meta={})
    assert isinstance(made, Record) and [m.weight for m in made.messages] == [weight for *_, weight in said]
    talk = [{"from": "human", "value": "a", "weight": 0}, {"from": "gpt", "value": "b", "weight": 0}]
    made = record_of({"conversations": talk}, id="i", meta={})
    assert isinstance(made, Record) and [m.weight for m in made.messages] == [0, 0]


def test_calls_of_share_gpt_meet_the_contract() -> None:
    from runner import contract

    talk = [{"from": "human", "value": "Go."}, {"from": "function_call", "value": json.dumps([CALL, CALL])},
            {"from": "observation", "value": "{}"}, {"from": "observation", "value": "{}"}, {"from": "gpt", "value": "Gone."}]  # fmt: skip
    tools = json.dumps(
        [{"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}]
    )
    made = record_of({"conversations": talk, "tools": tools}, id="i", meta={})
    assert isinstance(made, Record) and contract.broken(made) is None
    assert [c.function.arguments for c in made.messages[1].tool_calls] == ['{"x":1}', '{"x":1}']


def test_named_columns() -> None:
    row = {"Q": "a", "A": "b", "S": "s", "who": "W", "l": "MIT", "text": "other", "g": 7}
    columns = Columns(prompt="Q", response="A", system="S", author="who", license="l", group="g")
    made = record_of(row, columns, id="i", meta={"license": "x"})
    assert isinstance(made, Record) and [m.content for m in made.messages] == ["s", "a", "b"]
    assert made.meta == {"id": "i", "author": "W", "license": "MIT", "group": "7"}
    missing = record_of({"Q": "a"}, columns, id="i", meta={})
    assert isinstance(missing, Rejected) and missing.reason == "no column 'who'; there are Q"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": "a", "messages": "b"}, "exclude each other"),
        ({"prompt": "a"}, "go together"),
        ({"text": "a", "system": "b"}, "no system message"),
        ({"input": "a", "messages": "b"}, "needs a `prompt`"),
        ({"text": "a"}, None),
    ],
)
def test_columns_that_cannot_be(columns: dict[str, str], said: str | None) -> None:
    what = Columns(**columns).problem()
    assert (said is None and what is None) or (said is not None and what is not None and said in what)
