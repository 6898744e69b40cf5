"""Main text of web pages side by side: `python benchmarks/pages/bench.py [KIT]`.

Runs mirepoix and trafilatura, as its documentation shows it, over annotated pages of a folder with `index.json`
and `truth.json` (the test kit's pages/), in one process, and prints a Markdown table. Pages of kind `full_text` are
scored by word 4-grams as the article extraction benchmark does (precision and recall of each page, their means over
pages, F1 of the means) and by the mean of each page's own F1; `segments` by strings that must and must not appear.
White space counts nowhere. CPU time is per page, without imports.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

Extractor = Callable[[bytes], str]


def shingles(text: str, n: int = 4) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))) if words else Counter()


def precision_recall(truth: str, text: str) -> tuple[float, float]:
    wanted, got = shingles(truth), shingles(text)
    if wanted == got:
        return 1.0, 1.0
    both = sum((wanted & got).values())
    return (both / got.total() if both else 0.0), (both / wanted.total() if both else 0.0)


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass
class Score:
    """What one extractor reached. `pages` holds (precision, recall) of each full-text page, by its id."""

    pages: dict[str, tuple[float, float]] = field(default_factory=dict)
    found: int = 0
    wanted: int = 0
    leaked: int = 0
    unwanted: int = 0
    milliseconds: list[float] = field(default_factory=list)

    @property
    def means(self) -> tuple[float, float]:
        p, r = zip(*self.pages.values(), strict=True)
        return sum(p) / len(p), sum(r) / len(r)

    @property
    def mean_f1(self) -> float:
        return sum(f1(*page) for page in self.pages.values()) / len(self.pages)

    def row(self, name: str) -> str:
        p, r = self.means
        ms = sorted(self.milliseconds)
        return (
            f"| {name} | {p:.3f} | {r:.3f} | {f1(p, r):.3f} | {self.mean_f1:.3f} | {self.found} of {self.wanted} "
            f"| {self.leaked} of {self.unwanted} | {ms[len(ms) // 2]:.0f} | {ms[-1]:.0f} |"
        )


HEAD = (
    "| | precision | recall | F1 of means | mean F1 | wanted found | unwanted leaked | ms, median | ms, most |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def flat(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def measure(kit: Path, extract: Extractor) -> Score:
    truth: dict[str, Any] = json.loads((kit / "truth.json").read_text(encoding="utf-8"))
    files = {p["id"]: p["file"] for p in json.loads((kit / "index.json").read_text(encoding="utf-8"))}
    score = Score()
    extract(gzip.decompress((kit / files[next(iter(truth))]).read_bytes()))  # imports
    for id, said in truth.items():
        data = gzip.decompress((kit / files[id]).read_bytes())
        start = time.process_time()
        text = extract(data)
        score.milliseconds.append((time.process_time() - start) * 1000)
        if said["kind"] == "full_text":
            score.pages[id] = precision_recall(said["article_body"], text)
        else:
            score.found += sum(flat(s) in flat(text) for s in said["with"])
            score.leaked += sum(flat(s) in flat(text) for s in said["without"])
            score.wanted += len(said["with"])
            score.unwanted += len(said["without"])
    return score


def ours(data: bytes) -> str:
    from runner.webtext import NoPage, extract

    try:
        return extract(data).text
    except NoPage:
        return ""


def trafilatura(data: bytes) -> str:
    from trafilatura import extract

    return extract(data, include_comments=False) or ""


if __name__ == "__main__":
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    kit = Path(
        sys.argv[1] if len(sys.argv) > 1 else os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit"
    )
    print(HEAD)
    for name, extractor in (("trafilatura", trafilatura), ("mirepoix", ours)):
        print(measure(kit / "pages", extractor).row(name))
