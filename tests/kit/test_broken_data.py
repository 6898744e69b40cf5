"""Every broken file of the kit that is rows of data, and those too large to keep: refused by name, the rest kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import contract
from runner.datafiles.rows import Columns
from runner.fetching import InputFile
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext
from runner.sources.files import files
from runner.sources.jsonl import jsonl
from runner.sources.reddit import reddit

SHARED = Path(__file__).parents[2] / ".." / "shared"
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
MAKE_BIG = (
    Path(os.environ.get("MIREPOIX_UPSTREAM") or SHARED / "upstream" / "upstream.py").parent / "make_big.py"
)
BROKEN = KIT / "broken"
if not (BROKEN / "cases.json").is_file():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

CASES: list[dict[str, Any]] = json.loads((BROKEN / "cases.json").read_text(encoding="utf-8"))
JSONL = {c["file"]: c for c in CASES if c["file"].startswith("jsonl/")}
CSV = {c["file"]: c for c in CASES if c["file"].startswith("csv/")}
MOST_MB = 500


def read(source: Any, path: Path, **options: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What a source and the contract make of a file: id → what is kept, id → why not."""
    file = InputFile(path.name, path, hashlib.sha256(path.read_bytes()).hexdigest())
    kept: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for row in source(SourceContext("s", 1, {"files": (file,)}, ""), files=[path.name], **options):
        if isinstance(row, Record) and (why := contract.broken(row)):
            refused[row.id] = why
        elif isinstance(row, Rejected):
            assert row.id not in refused
            refused[row.id] = row.reason
        else:
            kept[row.meta["id"]] = row
            json.dumps([str(row)], ensure_ascii=False).encode()  # can be written
    assert not kept.keys() & refused.keys()
    return kept, refused


def lines_of(ids: Any) -> set[int]:
    return {int(last) for i in ids if (last := i.rpartition("/")[2]).isdigit()}


# What may be either way, as it was decided: which lines are kept by both sources (or by each).
DECIDED = {
    "jsonl/nul_escaped.jsonl": {1},
    "jsonl/nan.jsonl": set(),
    "jsonl/sharegpt.jsonl": {"jsonl": set(), "files": {1, 3}},
    "jsonl/template_injection.jsonl": {"jsonl": {1, 2, 3, 4}, "files": {1, 2, 3}},
    "jsonl/pii_secrets.jsonl": {1, 2, 3, 4},
    "jsonl/duplicates.jsonl": {1, 2, 3, 4, 5, 6, 7},
    "jsonl/odd_text.jsonl": {1, 2, 3, 4, 5, 6},
    "jsonl/deep_1000.jsonl": {2},
    "jsonl/long_turns.jsonl": {1},
}
POLICY = {"jsonl/roles.jsonl": {2, 10}, "jsonl/tool_calls.jsonl": {12, 17}}  # lines that may go either way


@pytest.mark.parametrize("source", [jsonl, files])
@pytest.mark.parametrize("file", JSONL)
def test_json_lines(file: str, source: Any) -> None:
    case, path = JSONL[file], BROKEN / file
    kept, refused = read(source, path)
    written = {n for n, line in enumerate(path.read_bytes().split(b"\n"), 1) if line.strip()}
    if case["expect"] == "reject":
        assert not kept
        assert refused[f"s/{path.stem}"].startswith(f"{path.name}: ")
        return
    if case["expect"] == "keep":
        assert not refused and len(kept) == case["valid"]
        assert lines_of(kept) == written
        return
    assert lines_of(kept) | lines_of(refused) == written
    if case["expect"] == "skip":
        bad = set(case["bad_lines"])
        assert lines_of(refused) - POLICY.get(file, set()) == bad - POLICY.get(file, set())
        assert len(kept) == case.get("valid", len(kept))
    else:
        decided = DECIDED[file]
        assert lines_of(kept) == (decided[source.__name__] if isinstance(decided, dict) else decided)


@pytest.mark.parametrize("file", [f for f, c in JSONL.items() if c["expect"] in ("keep", "skip")])
def test_what_is_kept_is_unchanged(file: str) -> None:
    kept, _ = read(jsonl, BROKEN / file)
    lines = (BROKEN / file).read_bytes().split(b"\n")
    for id, record in kept.items():
        meant = json.loads(lines[int(id.rpartition("/")[2]) - 1].decode("utf-8-sig"))["messages"]
        for said, message in zip(record.messages, meant, strict=True):
            assert said.role == message["role"] and said.content == message.get("content")


def titles(kept: dict[str, Any]) -> list[str]:
    return [x.text if isinstance(x, Document) else x.messages[-1].content for x in kept.values()]


# Titles that each source keeps: `files` as they stand, `reddit` as text, with its own rows left out.
TITLES: dict[str, Any] = {
    "csv/ok.csv": ["Man Buys Hat", "Area Man, 34, Sits"],
    "csv/embedded_newline.csv": {
        "files": ["Line one\nline two", "Plain"],
        "reddit": ["Line one line two", "Plain"],
    },
    "csv/unbalanced_quote.csv": [],
    "csv/crlf_lf_mixed.csv": {"files": ["A", "B\n", "C\n"], "reddit": ["A", "B", "C"]},
    "csv/header_case_space.csv": ["Man Buys Hat"],
    "csv/ragged.csv": ["C"],
    "csv/latin1.csv": [],
    "csv/nul.csv": ["C"],
    "csv/formula.csv": ['=HYPERLINK("http://x","y")', "+1+1", "@SUM(A1)", "-2"],
    "csv/entities.csv": {
        "files": ["Ben &amp; Jerry&#39;s &lt;b&gt;Melts&lt;/b&gt;", "[deleted]", "[removed]", "x"],
        "reddit": ["Ben & Jerry's <b>Melts</b>", "x"],
    },
}


@pytest.mark.parametrize("source", [files, reddit])
@pytest.mark.parametrize("file", CSV)
def test_tables(file: str, source: Any) -> None:
    case, path = CSV[file], BROKEN / file
    options = {"columns": Columns(text="title")} if source is files else {}
    kept, refused = read(source, path, **options)
    if case["expect"] == "reject":
        assert not kept
        assert list(refused) == [f"s/{path.stem}"]
        assert refused[f"s/{path.stem}"].startswith(f"{path.name}: ")
        return
    wanted = TITLES[file]
    assert titles(kept) == (wanted[source.__name__] if isinstance(wanted, dict) else wanted)
    if case["expect"] == "keep":
        assert not refused
    if "valid" in case:
        assert len(kept) == case["valid"]
    if file == "csv/ragged.csv":
        assert lines_of(refused) == {2, 3}
    if file in ("csv/unbalanced_quote.csv", "csv/latin1.csv", "csv/nul.csv"):
        assert refused


# -- too large to keep ----------------------------------------------------------------------------

SCRIPT = """
import json, sys
from pathlib import Path
from runner import contract
from runner.fetching import InputFile
from runner.record import Record, Rejected
from runner.registry import SourceContext
from runner.datafiles.rows import Columns
from runner.sources.files import files
from runner.sources.jsonl import jsonl
from runner.sources.reddit import reddit
name, path = sys.argv[1], Path(sys.argv[2])
source = {"files": files, "jsonl": jsonl, "reddit": reddit}[name]
options = {"columns": Columns(text="title")} if name == "files" and ".csv" in path.name else {}
context = SourceContext("s", 1, {"files": (InputFile(path.name, path, "0" * 64),)}, "")
kept, refused = [0, []], [0, []]
for row in source(context, files=[path.name], **options):
    bad = isinstance(row, Rejected) or (isinstance(row, Record) and contract.broken(row) is not None)
    tally = refused if bad else kept
    tally[0] += 1
    if len(tally[1]) < 5:
        tally[1].append([row.id, row.reason] if isinstance(row, Rejected) else row.meta["id"])
# Not ru_maxrss: that counts the process which started this one, too.
most = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"kept": kept, "refused": refused, "mb": int(most) // 1024}))
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not MAKE_BIG.is_file():
        pytest.skip(f"{MAKE_BIG} is not here (set MIREPOIX_UPSTREAM)")
    folder = tmp_path_factory.mktemp("big")
    subprocess.run([sys.executable, MAKE_BIG, folder], check=True, capture_output=True)
    yield folder
    for path in folder.glob("*.jsonl*"):
        if path.is_file():
            path.unlink()


BIG: list[tuple[str, str, int, dict[str, str]]] = [
    ("jsonl", "one_line.jsonl", 2, {"s/one_line/2": "a line of 52,428,880 bytes"}),
    ("files", "one_line.jsonl", 2, {"s/one_line/2": "a line of 52,428,880 bytes"}),
    ("jsonl", "no_newline.jsonl", 0, {"s/no_newline": "no_newline.jsonl: ", "s/no_newline/1": "a line of"}),
    ("jsonl", "many_lines.jsonl", 400_000, {}),
    ("files", "many_distinct.jsonl", 200_000, {}),
    ("jsonl", "deep_100k.jsonl", 2, {"s/deep_100k/2": "nested"}),
    ("files", "deep_100k.jsonl", 2, {"s/deep_100k/2": "nested"}),
    ("jsonl", "wide_object.jsonl", 1, {"s/wide_object/1": "not a chat record"}),
    ("files", "wide_object.jsonl", 1, {"s/wide_object/1": "no known shape"}),
    ("jsonl", "bomb.jsonl.gz", 0, {"s/bomb.jsonl": "bomb.jsonl.gz: grows"}),
    ("files", "bomb.jsonl.gz", 0, {"s/bomb.jsonl": "bomb.jsonl.gz: grows"}),
    ("jsonl", "sparse_5g.jsonl", 0, {"s/sparse_5g": "sparse_5g.jsonl: "}),
    ("files", "huge_field.csv", 1, {"s/huge_field/2": "a line of"}),
    ("reddit", "huge_field.csv", 1, {"s/huge_field/2": "a line of"}),
    ("files", "open_quote.csv", 1_000_000, {"s/open_quote/2": "a row of more than"}),
    ("reddit", "open_quote.csv", 1_000_000, {"s/open_quote/2": "a row of more than"}),
    ("reddit", "wide.csv", 0, {"s/wide": "wide.csv: has no column 'title'"}),
    ("files", "slip.zip", 0, {"s/slip": "slip.zip: its name says not what it is"}),
    ("files", "spaces.html", 0, {"s/spaces": "spaces.html: "}),
    ("files", "long_line.txt", 0, {"s/long_line": "long_line.txt: is larger than"}),
    ("files", "stars.txt", 0, {"s/stars": "stars.txt: "}),
    ("jsonl", "dir.jsonl", 0, {"s/dir": "dir.jsonl: cannot be read"}),
    ("jsonl", "loop_a.jsonl", 0, {"s/loop_a": "loop_a.jsonl: cannot be read"}),
    ("jsonl", "-dash.jsonl", 1, {}),
    ("files", "with space.jsonl", 1, {}),
    ("files", "UPPER.JSONL", 1, {}),
    ("jsonl", "ünï.jsonl", 1, {}),
]


@pytest.mark.parametrize(("source", "name", "kept", "refused"), BIG, ids=[f"{s}-{n}" for s, n, _, _ in BIG])
def test_large_files_are_read_in_bounded_memory(
    big: Path, source: str, name: str, kept: int, refused: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, source, str(big / name)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["kept"][0] == kept
    assert found["refused"][0] == len(refused)
    reasons = dict(found["refused"][1])
    assert reasons.keys() == refused.keys()
    assert all(what in reasons[id] for id, what in refused.items())
    assert found["mb"] <= MOST_MB
