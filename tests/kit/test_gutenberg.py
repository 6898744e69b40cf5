"""Every Gutenberg file of the test kit against what it says a cleaner must keep and drop."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from runner.booktext import Unusable, decode, header, strip_gutenberg

KIT = Path(os.environ.get("MIREPOIX_KIT") or Path(__file__).parents[2] / ".." / "shared" / "kit")
EXPECT = KIT / "gutenberg" / "expect.json"
if not EXPECT.is_file():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

CASES: dict[str, dict[str, Any]] = json.loads(EXPECT.read_text(encoding="utf-8"))
METADATA = {
    m["file"]: m for m in json.loads((KIT / "gutenberg" / "metadata.json").read_text(encoding="utf-8"))
}
BOOKS = [f for f, case in CASES.items() if not case.get("not_a_book")]
OTHERS = [f for f, case in CASES.items() if case.get("not_a_book")]


def solid(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


@lru_cache(maxsize=4)
def body(file: str) -> tuple[str, str, frozenset[str]]:
    text = strip_gutenberg(decode((KIT / file).read_bytes())[0])
    return text, solid(text), frozenset(solid(p) for p in text.split("\n"))


@pytest.mark.parametrize("file", BOOKS)
def test_book(file: str) -> None:
    case = CASES[file]
    text, letters, lines = body(file)
    keep = case["keep_lines"] + case["body_mentions_gutenberg"]
    assert [line for line in keep if solid(line) not in letters] == []
    # Per paragraph: a header's "TITLE, by AUTHOR" also arises where a title page is run on.
    drop = case["drop_lines"] + case["credit_lines_after_start"]
    long = [line for line in drop if len(solid(line)) >= 12]
    assert [x for x in long if any(solid(x) in line for line in lines)] == []
    assert [x for x in drop if solid(x) in lines] == []
    assert 0.9 < len(text) / case["body_chars_reference"] < 1.02
    assert not re.search(r"\n{3}|^\s*\[Illustration", text)
    assert header(decode((KIT / file).read_bytes())[0]).title


@pytest.mark.parametrize("file", BOOKS)
def test_charset(file: str) -> None:
    charset = decode((KIT / file).read_bytes())[1]
    actual = METADATA[file]["encoding_actual"]
    same = {"iso-8859-1": "cp1252", "windows-1252": "cp1252"}  # Latin-1 is read as its superset
    if actual not in same and actual not in ("utf-8", "ascii", "cp437"):
        pytest.skip(f"{actual}: mixed")
    assert charset == same.get(actual, actual)


@pytest.mark.parametrize("file", OTHERS)
def test_not_a_book(file: str) -> None:
    with pytest.raises(Unusable):
        body(file)


@pytest.mark.parametrize(
    "case",
    [c for c in json.loads((KIT / "broken" / "cases.json").read_text()) if c["file"].startswith("txt/")],
    ids=lambda c: str(c["file"]),
)
def test_broken_text(case: dict[str, str]) -> None:
    try:
        text = strip_gutenberg(decode((KIT / "broken" / case["file"]).read_bytes())[0])
    except Unusable:
        assert case["expect"] != "keep"
    else:
        assert case["expect"] != "reject"
        assert "General Terms" not in text and "Title:" not in text
