"""What all scripts here share: `--in FILE --out FILE`, rows in, ids of the kept rows out.

Each runs in an environment of its own, so nothing of ours is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

NGRAM, THRESHOLD, PERMUTATIONS = 5, 0.8, 128


def arguments(*flags: str) -> argparse.Namespace:
    """`source` and `target`, and each of `flags` as a switch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="source", type=Path, required=True)
    parser.add_argument("--out", dest="target", type=Path, required=True)
    for flag in flags:
        parser.add_argument(f"--{flag}", action="store_true")
    return parser.parse_args()


def rows(source: Path) -> Iterator[tuple[int, str]]:
    """(id, text) of each line, read as fast as Python can."""
    try:
        from orjson import loads
    except ImportError:  # data-juicer comes without; there it reads only what was kept
        from json import loads

    with open(source, "rb") as file:
        for line in file:
            row = loads(line)
            yield row["id"], row["text"]


def shingles(text: str) -> list[str]:
    """Word n-grams, as the users of a library without a splitter write them.

    A text with fewer words is its own one shingle. Without that, a library would see such rows as
    empty sets, all alike; that would be this benchmark's fault, not the library's.
    """
    words = text.split()
    if len(words) < NGRAM:
        return [" ".join(words)]
    return [" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]


def write_kept(target: Path, ids: Iterable[int]) -> None:
    """One id a line."""
    with open(target, "w", encoding="ascii") as file:
        file.writelines(f"{i}\n" for i in ids)


def ids_of(source: Iterable[Path]) -> Iterator[int]:
    """The ids in the JSON Lines files that a tool left."""
    for path in source:
        for id, _ in rows(path):
            yield int(id)
