"""Sources that are read in parts: the same bytes wherever files are cut, whoever reads them, and after a kill."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import lock, pool, sourcing
from runner import recipe as r
from runner.datafiles import kinds, opened, spans
from runner.datafiles.spans import Span
from runner.errors import StepError
from runner.fetching import Item
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.prepare import parts
from runner.prepare.source import source
from runner.record import Rejected
from runner.steps import Plan
from runner.workspace import Workspace

MEMORY = next((m for m in ("/dev/shm",) if os.access(m, os.W_OK)), None)
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def talk(text: str) -> bytes:
    said = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]
    return json.dumps({"messages": said}, ensure_ascii=False).encode()


lines = st.one_of(
    st.text(max_size=40).map(talk),
    st.text(max_size=40).map(lambda t: talk(t).replace(b"messages", b"text").replace(b"Go", b"\xff")),
    st.text(max_size=60).map(lambda t: json.dumps({"text": t + " and so on."}).encode()),
    st.integers(0, 900).map(lambda n: talk("x" * n)),
    st.sampled_from(
        [b"", b" ", b"\t", b"{bad", b"[1]", b"\xef\xbb\xbf", b"\xc3", b'{"messages": []}', b"{", b"null"]
    ),
    st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")),
)
files = st.lists(
    st.builds(
        lambda start, made, end, last: start + end.join(made) + (end if last else b""),
        st.sampled_from([b"", b"\xef\xbb\xbf", b"\n\n", b"[", b"\x1f\x8b"]),
        st.lists(lines, max_size=60),
        st.sampled_from([b"\n", b"\r\n"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def laid(root: Path, plugin: str, data: Iterable[bytes], **common: Any) -> Plan:
    """A workspace whose one source reads such files, planned."""
    names = []
    for n, raw in enumerate(data):
        (root / f"{n}.jsonl").write_bytes(raw)
        names.append(f"{n}.jsonl")
    recipe = {"recipe": 1, "name": "r", "sources": [{plugin: {"files": names}, "name": "s", **common}]}
    (root / "r.yaml").write_text(json.dumps(recipe))
    place = Workspace(root)
    return plan(load_recipe(root / "r.yaml", place), place)


def made(found: Plan, folder: Path, **more: Any) -> dict[str, str] | str:
    """What the step makes: names and digests of its files; or why it makes nothing."""
    out = folder / f"out{len(list(folder.glob('out*')))}"
    out.mkdir(parents=True)
    (folder / "work").mkdir(exist_ok=True)
    step = found.step("source.s")
    try:
        source(Making(step, found, {}, out, folder / "work", folder / "log", lambda *_: None, **more))
    except StepError as e:
        return str(e)
    return digests(out)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    data=st.text("ab\n\r", max_size=60).map(str.encode), most=st.integers(1, 70), longest=st.integers(2, 9)
)
def test_each_line_is_of_one_range(data: bytes, most: int, longest: int) -> None:
    def read(span: Span | None) -> list[Any]:
        return list(opened.lines(io.BufferedReader(io.BytesIO(data)), span))

    with tempfile.NamedTemporaryFile(dir=MEMORY) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "LONGEST", longest)
        file.write(data)
        file.flush()
        ranges = spans.cut(len(data), most)
        counts = [spans.begun(Path(file.name), *at) for at in ranges]
        found = [read(span) for span in spans.numbered(ranges, counts)]
        assert [len(lines) for lines in found] == counts
        assert [line for lines in found for line in lines] == read(None)


@pytest.mark.parametrize("plugin", ["jsonl", "files"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(data=files, size=st.integers(100, 3000), longest=st.sampled_from([opened.LONGEST, 120]))
def test_cut_anywhere_the_bytes_are_the_same(plugin: str, data: list[bytes], size: int, longest: int) -> None:
    root = Path(tempfile.mkdtemp(dir=MEMORY))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opened, "LONGEST", longest)
            patch.setattr(kinds, "_HELD", 3)
            found = laid(root, plugin, data)
            whole = made(found, root / "whole")
            patch.setattr(spans, "RANGE", size)
            assert made(found, root / "cut") == whole
    finally:
        shutil.rmtree(root)


def rows(many: int) -> bytes:
    """Good and bad ones."""
    return b"".join(talk(f"Row {n}.") + b"\n" if n % 7 else b"{bad\n" for n in range(many))


def parted(root: Path) -> list[Path]:
    return sorted(p for p in (root / "work/parts").iterdir())


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_whoever_reads_the_bytes_are_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    found = laid(root, "jsonl", [rows(400), b"", rows(30)], license="CC0-1.0")
    whole = made(found, root / "whole")
    assert not (root / "whole/work/parts").exists()
    monkeypatch.setattr(spans, "RANGE", 5000)
    monkeypatch.setattr(pool, "PATIENCE", 0)
    assert made(found, root / "cut", workers=workers) == whole
    assert len(parted(root / "cut")) == 8


def test_a_part_that_is_done_is_not_done_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill in the middle of a part, and where a part that was done is not what it was."""
    found = laid(root, "jsonl", [rows(400)])
    whole = made(found, root / "whole")
    monkeypatch.setattr(spans, "RANGE", 5000)
    read, done = parts.Reading._read, []

    def killed(self: parts.Reading, piece: parts.Piece, folder: Path) -> parts.Part:
        if len(done) == 4:
            (folder / "records.jsonl").write_bytes(b"half a")
            raise KeyboardInterrupt
        done.append(folder.name)
        return read(self, piece, folder)

    monkeypatch.setattr(parts.Reading, "_read", killed)
    with pytest.raises(KeyboardInterrupt):
        made(found, root / "cut")
    (root / "cut/work/parts" / (done[3].split(".")[0] + ".1.left")).mkdir()  # of one who was killed at it
    ready = parted(root / "cut")
    whole_parts = [p for p in ready if (p / "part.json").exists()]
    assert len(whole_parts) == 4
    with (whole_parts[1] / "records.jsonl").open("r+b") as file:
        file.write(b"#")
    (whole_parts[2] / "part.json").write_bytes(b"")
    done.clear()
    monkeypatch.setattr(parts.Reading, "_read", lambda *a: done.append(a[2].name) or read(*a))
    assert made(found, root / "cut") == whole
    again = {name.split("-")[0] for name in done}
    assert {"000001", "000002"} <= again and not {"000000", "000003"} & again


@pytest.mark.parametrize("name", ["records.jsonl", "fates.jsonl", "lines.npy"])
def test_damage_in_a_part_is_noticed(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = laid(root, "jsonl", [rows(400)])
    whole = made(found, root / "whole")
    monkeypatch.setattr(spans, "RANGE", 5000)
    call = parts.Reading.__call__

    def damaging(self: parts.Reading, numbered: tuple[int, parts.Piece]) -> parts.Part:
        part = call(self, numbered)
        if numbered[0] == 2:
            path = self.place(*numbered) / name
            path.write_bytes(path.read_bytes()[:-1] + b"#")
        return part

    monkeypatch.setattr(parts.Reading, "__call__", damaging)
    assert f"{name} of a part that was read is not what was written" in made(found, root / "cut")
    monkeypatch.setattr(parts.Reading, "__call__", call)
    assert made(found, root / "cut") == whole


def test_what_cannot_be_read_further(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails in the middle of a file: what lies behind is not read, wherever the file is cut."""
    found = laid(root, "files", [rows(200)])
    text = (root / "0.jsonl").read_bytes()
    bad = text.index(b"Row 100.")
    real = kinds.json_lines

    def failing(stream: Any, *more: Any) -> Iterator[Any]:
        for number, raw, value in real(stream, *more):
            if b"Row 100." in raw:
                raise opened.Unreadable("cannot be read: Input/output error")
            yield number, raw, value

    monkeypatch.setattr(kinds, "json_lines", failing)
    whole = made(found, root / "whole")
    monkeypatch.setattr(spans, "RANGE", bad // 3)
    assert made(found, root / "cut") == whole
    assert (root / "cut/out0/rejected.jsonl").read_text().count("(100 rows came before that)") == 1


class Elsewhere:
    """A machine that sees other files: what `happens` to them comes before the work that is asked of it."""

    name, spread, fetching = "elsewhere", True, None

    def __init__(self, asked: Callable[..., Any] | type, happens: Callable[[], object]) -> None:
        self.asked, self.happens = asked, happens

    def mapped(self, work: Any, pieces: Iterable[Any]) -> Iterator[Any]:
        if self.asked in (work, type(work)):
            self.happens()
        return map(work, pieces)


@pytest.mark.parametrize("asked", [parts.count, parts.Reading])
@pytest.mark.parametrize("name", ["0.jsonl", "1.jsonl"])
def test_a_machine_that_does_not_see_a_file_makes_no_data(
    root: Path, monkeypatch: pytest.MonkeyPatch, asked: Any, name: str
) -> None:
    """Nor one that sees another: neither is a row that is rejected. The first is read in ranges, the second whole."""
    found = laid(root, "jsonl", [rows(400), rows(30)])
    monkeypatch.setattr(spans, "RANGE", 5000)
    path = root / name
    raw = path.read_bytes()
    gone = Elsewhere(asked, path.unlink)
    assert f"source.s: {name} cannot be read on " in made(found, root / "gone", engine=gone)
    path.write_bytes(raw)
    other = Elsewhere(asked, lambda: path.write_bytes(raw[:-9]))
    said = made(found, root / "other", engine=other)
    assert f"source.s: {name} has {len(raw) - 9:,} bytes on " in said
    assert f", {len(raw):,} where the run began; all machines" in said


def test_a_machine_whose_disk_fails_makes_no_data(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could be read where the run began is not the data's fault, however late it fails."""
    found = laid(root, "files", [rows(200)])
    real = kinds.json_lines

    def failing(stream: Any, *more: Any) -> Iterator[Any]:
        for number, raw, value in real(stream, *more):
            if b"Row 100." in raw:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            yield number, raw, value

    monkeypatch.setattr(spans, "RANGE", 5000)
    whole = made(found, root / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "json_lines", failing)
        assert "source.s: 0.jsonl cannot be read: Stale file handle on " in made(found, root / "cut")
    assert made(found, root / "cut") == whole


@pytest.mark.parametrize("many", [1, 20, 21, 60])
def test_the_row_that_names_a_file_stands_where_it_would(
    root: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Before the others, where they are few and none is good."""
    found = laid(root, "jsonl", [rows(9), b"{bad: 'all of it'}\n" * many, rows(9)])
    whole = made(found, root / "whole")
    monkeypatch.setattr(spans, "RANGE", 15)
    assert made(found, root / "cut") == whole
    told = (root / "cut/out0/rejected.jsonl").read_text().splitlines()
    named = [n for n, line in enumerate(told) if "nothing in it can be used; its first row" in line]
    assert named == [2 if many <= 20 else 2 + many]


def test_rows_of_a_limit_are_read_no_further(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "RANGE", 1000)
    found = laid(root, "jsonl", [rows(200)], limit=3)
    made(found, root / "some")
    assert not (root / "some/work/parts").exists()


def test_what_was_fetched_is_cut_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what could not be had stands where it would: before the next that could."""
    data = {
        "https://example.org/a.jsonl": rows(90),
        "https://example.org/b.csv": b"text\nOne row of it, long enough.\n",
    }
    places = {hashlib.sha256(raw).hexdigest(): raw for raw in data.values()}
    store = root / ".mirepoix"
    for sha256, raw in places.items():
        (path := lock.raw(store, Item("", sha256))).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    had = [
        Item(url, sha, {"origin": url, "label": url[-6:-4]}) for url, sha in zip(data, places, strict=True)
    ]
    gone = [Item(f"https://example.org/{n}", error="404", left_out=n > 2) for n in range(4)]
    spec = r.Source("files", "files", {"urls": list(data)}, r.SourceCommon(name="s"))
    given = (spec, {}, (gone[0], had[0], gone[1], gone[2], had[1], gone[3]), store, 7)
    whole = list(sourcing.rows(*given))
    monkeypatch.setattr(spans, "RANGE", 3000)
    cut: list[Any] = []
    step = SimpleNamespace(mapped=lambda work, pieces: map(work, pieces))
    for entry in (e for piece in parts.pieces(step, sourcing.entries(*given)) for e in piece):  # type: ignore[arg-type]
        cut += (
            [entry]
            if isinstance(entry, Rejected)
            else sourcing.unit_rows(spec, {}, entry, 7, kinds.Account())
        )
    assert cut == whole
    assert [n for n, row in enumerate(whole) if "404" in getattr(row, "reason", "")] == [
        0,
        91,
        92,
        len(whole) - 1,
    ]
    (lock.raw(store, had[0])).write_bytes(b"other")
    with pytest.raises(StepError, match="damaged"):
        list(sourcing.entries(*given))
