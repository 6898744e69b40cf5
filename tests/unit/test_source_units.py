"""Sources that many can read at once: read a file at a time, elsewhere, they give what they give at once."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from runner import lock, sourcing
from runner import recipe as r
from runner.datafiles import spans
from runner.datafiles.kinds import Account
from runner.fetching import InputFile, Item
from runner.prepare import parts
from runner.record import Record, Rejected
from runner.registry import plugins

APART = {
    n: p
    for n, p in plugins("source").items()
    if p.units is not None and p.call.__module__.startswith("runner.")
}
BOOK = "\n\n".join(
    f"The boat went on, and it was the night of day {n}; nobody spoke for a while." for n in range(60)
)
POSTS = "title,score,subreddit\n" + "".join(
    f"Area man speaks for the {n}th time,{n},onion\n" for n in range(30)
)
TALK = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "No."}]
CHAT = "".join(json.dumps({"messages": TALK}) + "\n" for _ in range(30))
HUB = "".join(json.dumps({"row": {"text": BOOK}} if n % 3 else {"bad": "no row"}) + "\n" for n in range(30))
POST = {"title": "Area man speaks", "subreddit": "onion", "id": "a1", "score": 3}
CASES: list[tuple[str, dict[str, Any], dict[str, str], dict[str, str]]] = [
    ("files", {"files": ["*"]}, {"a.jsonl": CHAT, "b.csv": "text\nShort.\n", "c.what": "x", "d.txt": BOOK}, {}),
    ("gutenberg", {"ids": [1]}, {}, {"1": BOOK, "2": "", "3": "CHAPTER I\n\n" + BOOK + "\n\nCHAPTER II\n\n" + BOOK}),
    ("hub", {"path": "o/n"}, {}, {"one": HUB, "none": ""}),
    ("jsonl", {"files": ["*"]}, {"a.jsonl": CHAT, "b.jsonl": "{bad\n", "c/a.jsonl": CHAT + "\n{bad"}, {}),
    ("reddit", {"files": ["*"], "subreddits": ["onion"]}, {"a.csv": POSTS, "b.csv": POSTS.replace("onion", "x")},
     {"p": json.dumps(POST) + "\n{bad\n"}),
    ("text", {"files": ["*"]}, {"a.txt": BOOK, "b.txt": "", "c/a.txt": BOOK}, {}),
]  # fmt: skip


def test_all_of_them_are_tried() -> None:
    assert {name for name, *_ in CASES} == set(APART)


@pytest.mark.parametrize(("plugin", "options", "named", "fetched"), CASES, ids=[c[0] for c in CASES])
def test_a_file_at_a_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plugin: str,
    options: dict[str, Any],
    named: dict[str, str],
    fetched: dict[str, str],
) -> None:
    found = []
    for name, text in named.items():
        (path := tmp_path / name).parent.mkdir(exist_ok=True)
        path.write_text(text)
        found.append(InputFile(name, path, hashlib.sha256(text.encode()).hexdigest()))
    items = [Item("gone", error="404")]
    for key, text in fetched.items():
        item = Item(key, hashlib.sha256(text.encode()).hexdigest(), {"origin": f"https://example.org/{key}"})
        (path := lock.raw(tmp_path / "store", item)).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        items += [item, Item(f"{key}-gone", error="404")]
    spec = r.Source(plugin, plugin, options, r.SourceCommon(name="s", license="CC0-1.0"))
    files = {"files": tuple(found)} if found else {}
    given = (spec, files, tuple(items), tmp_path / "store", 7)
    whole = list(sourcing.rows(*given))
    assert any(isinstance(row, Record) for row in whole)
    assert any(isinstance(row, Rejected) for row in whole)
    for size in (spans.RANGE, 300):
        monkeypatch.setattr(spans, "RANGE", size)
        cut: list[Any] = []
        for piece in parts.pieces(_Here(), sourcing.entries(*given)):  # type: ignore[arg-type]
            for entry in pickle.loads(pickle.dumps(piece)):
                one = (
                    [entry]
                    if isinstance(entry, Rejected)
                    else sourcing.unit_rows(spec, files, entry, 7, Account())
                )
                cut += one
        assert cut == whole


class _Here:
    """A step that does all of it here."""

    def mapped(self, work: Any, pieces: Any) -> Any:
        return map(work, pieces)
