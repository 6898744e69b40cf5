"""The style judge on the kit's books: whole works and whole authors held out, 200-word pieces, bars asserted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

from runner.booktext import decode, strip_gutenberg
from runner.fetching import InputFile
from runner.judges.style import style
from runner.judges.style.pieces import cut
from runner.record import Answer, Message, Probe, Verdict
from runner.registry import JudgeContext

KIT = Path(os.environ.get("MIREPOIX_KIT") or Path(__file__).parents[2] / ".." / "shared" / "kit")
BOOKS = KIT / "gutenberg" / "metadata.json"
if not BOOKS.is_file():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

Books = dict[str, list[tuple[Path, str]]]
ENGLISH = frozenset("the of and to in a is that it for was with".split())


def books() -> Books:
    """Option → files with their authors. A book about the persona is one of another author that names it."""
    out: Books = {"persona_works": [], "period_works": [], "about_works": []}
    for row in json.loads(BOOKS.read_bytes()):
        path = KIT / row["file"]
        if row["language"] != ["en"] or row["is_variant"] or not path.is_file():
            continue
        mine = row["author"] == "Twain, Mark"
        option = "persona_works" if mine else "about_works" if "Twain" in row["title"] else "period_works"
        out[option].append((path, row["author"]))
    return out


def modern() -> Iterator[tuple[str, str]]:
    """(author, text): newspaper pages, each an author, and what assistants said, each file an author."""
    for name, page in sorted(json.loads((KIT / "pages/truth.json").read_bytes()).items()):
        words = page.get("article_body", "").lower().split()
        if len(words) > 100 and sum(w in ENGLISH for w in words) > 0.12 * len(words):
            yield f"page {name}", page["article_body"]
    for file in sorted((KIT / "chat").glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            for text in assistants(json.loads(line)):
                yield file.stem, text
    for line in (KIT / "tools/glaive_toolcall_en.jsonl").read_bytes().splitlines():
        for turn in json.loads(line)["conversations"]:
            if turn["from"] == "gpt":
                yield "glaive", turn["value"]


def assistants(row: dict[str, Any]) -> Iterator[str]:
    """What the assistant says in a row of one of the kit's chat files."""
    if "output" in row:
        yield row["output"]
    for message in row.get("messages", ()):
        content = message["content"]
        if message["role"] == "assistant" and content:
            yield (
                content
                if isinstance(content, str)
                else " ".join(
                    p["value"] for p in content if p["type"] == "text" and isinstance(p["value"], str)
                )
            )


def given(path: Path, name: str) -> InputFile:
    return InputFile(name, path, hashlib.sha256(path.read_bytes()).hexdigest())


def options(
    folder: Path, chosen: Books, others: Iterable[tuple[str, str]]
) -> dict[str, tuple[InputFile, ...]]:
    """The judge's files, as a workspace would give them: a folder for each author."""
    files = {
        option: tuple(given(p, f"{option}/{author}/{p.name}") for p, author in some)
        for option, some in chosen.items()
    }
    path = folder / "modern.jsonl"
    rows = [{"text": text, "author": author} for author, text in others]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return files | {"modern_works": (given(path, "modern.jsonl"),)}


def judged(files: dict[str, tuple[InputFile, ...]], said: dict[str, list[str]] | None = None) -> Verdict:
    probes, answers = [], []
    for arm, texts in (said or {}).items():
        for n, text in enumerate(texts):
            probes.append(Probe(f"{arm}/{n}", [Message("user", "Tell me something.")]))
            answers.append(Answer(f"{arm}/{n}", arm, text, "stop", Message("assistant", text)))
    context = JudgeContext(tuple(probes), tuple(answers), files, 17)
    verdict = style(context, **{o: [f.name for f in some] for o, some in files.items() if some})
    assert isinstance(verdict, Verdict)
    return verdict


def test_bars_on_works_and_authors_that_were_held_out(tmp_path: Path) -> None:
    start = time.process_time()
    files = options(tmp_path, books(), modern())
    facts = judged(files).facts
    took = time.process_time() - start
    print(json.dumps(facts, indent=1), f"{took:.0f} s of CPU")  # noqa: T201
    assert facts["classifier.words"] == 200
    assert facts["classifier.vs_modern.accuracy"] >= 0.95
    assert facts["classifier.vs_period.accuracy"] >= 0.82
    assert facts["classifier.of_five.accuracy"] >= 0.92
    assert abs(facts["classifier.shuffled.accuracy"] - 0.5) <= 0.05
    assert facts["classifier.vs_period.called_persona"] <= 0.15
    assert facts["check.about"] <= 0.25
    assert facts["check.names"] <= 0.05
    assert facts["check.dashes"] <= 0.05
    assert facts["classifier.ece"] <= 0.05


def test_what_the_judge_says_of_itself_holds_for_books_that_it_never_got(tmp_path: Path) -> None:
    """Every fourth work and author, and every third modern one, is kept back altogether and comes as answers."""
    all_books, others = books(), list(modern())
    authors = sorted({a for _, a in all_books["period_works"]})
    kept: Books = {"persona_works": all_books["persona_works"][1::4], "about_works": []}
    kept["period_works"] = [(p, a) for p, a in all_books["period_works"] if a in authors[1::4]]
    # A part of a book is no other work.
    whole = [solid(p) for p, _ in kept["persona_works"]]
    given_works = [
        (p, a)
        for p, a in all_books["persona_works"]
        if p not in [k for k, _ in kept["persona_works"]] and not any(overlap(solid(p), w) for w in whole)
    ]
    given_books: Books = {
        "persona_works": given_works,
        "period_works": [b for b in all_books["period_works"] if b not in kept["period_works"]],
        "about_works": [],
    }
    modern_kept = sorted({a for a, _ in others})[::3]
    files = options(tmp_path, given_books, [o for o in others if o[0] not in modern_kept])
    said = {
        "persona": [t for p, _ in kept["persona_works"] for t in cut(text(p), 200)[::3][:40]],
        "period": [t for p, _ in kept["period_works"] for t in cut(text(p), 200)[::3][:40]],
        "modern": cut("\n\n".join(t for a, t in others if a in modern_kept), 200)[:120],
    }
    verdict = judged(files, said)
    called = {
        arm: [
            s.value for s in verdict.scores if s.arm == arm and s.metric == "persona" and s.value is not None
        ]
        for arm in said
    }
    share = {arm: sum(some) / len(some) for arm, some in called.items()}
    print({arm: (len(some), round(share[arm], 3)) for arm, some in called.items()})  # noqa: T201
    facts = verdict.facts
    print({k: v for k, v in facts.items() if "recall" in k or "called" in k})  # noqa: T201
    assert share["persona"] > facts["classifier.recall"] - 0.15
    assert share["period"] < facts["classifier.vs_period.called_persona"] + 0.15
    assert share["modern"] < 0.05


@lru_cache
def text(path: Path) -> str:
    return strip_gutenberg(decode(path.read_bytes())[0])


@lru_cache
def solid(path: Path) -> str:
    return re.sub(r"\W+", "", text(path).lower())


def overlap(a: str, b: str) -> bool:
    """Whether one of both holds a piece of the other's middle."""
    return any(x[len(x) * k // 10 :][:60] in y for x, y in ((a, b), (b, a)) for k in range(1, 10))
