"""What the parts of the work cost at least, in microseconds a row, on the corpus that we are measured on.

Each part runs over the same rows, held in memory, several times; the fastest counts. The parts in C
(floor.c) need a compiler and are left out without one.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

ROWS = 20_000
TIMES = 5
NGRAM, PERMUTATIONS, BANDS = 5, 128, 25
# What no one can do without: these make up the sum, as far as they could be measured.
SUM = ("read lines", "decode, msgspec struct", "shingles + 128 permutations, C", "25 bands: keys, sort")


class Row(msgspec.Struct):
    id: int
    text: str


def measure(folder: Path) -> dict[str, float]:
    """Part -> microseconds a row."""
    path = folder / "corpus.jsonl"
    with open(path, "rb") as file:
        lines = [line for line, _ in zip(file, range(ROWS), strict=False)]
    rows = msgspec.json.decode(b"[" + b",".join(lines) + b"]", type=list[Row])
    texts = [row.text for row in rows]
    decoder = msgspec.json.Decoder(Row)
    parts: dict[str, Callable[[], object]] = {
        "read lines": lambda: _read(path, len(lines)),
        "decode, msgspec struct": lambda: [decoder.decode(line) for line in lines],
        "decode, msgspec dict": lambda: [msgspec.json.decode(line) for line in lines],
        "encode, msgspec struct": lambda: [msgspec.json.encode(row) for row in rows],
        "split into words": lambda: [text.split() for text in texts],
        "lower": lambda: [text.lower() for text in texts],
        "Python sets of 5-grams": lambda: [_sets(text) for text in texts],
        "25 bands: keys, sort": lambda: _bands(len(texts)),
    }
    try:
        loads = import_module("orjson").loads
        parts["decode, orjson"] = lambda: [loads(line) for line in lines]
    except ImportError:
        pass
    with tempfile.TemporaryDirectory() as scratch:
        parts |= _compiled(texts, Path(scratch))
        out = {name: _fastest(part) / len(lines) * 1e6 for name, part in parts.items()}
    out["bytes a row"] = sum(map(len, lines)) / len(lines)
    out["sum of the unavoidable"] = sum(out.get(name, 0.0) for name in SUM)
    return {name: round(value, 2) for name, value in out.items()}


def markdown(results: dict[str, float]) -> str:
    lines = ["| part | µs a row |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in results.items() if name != "bytes a row"]
    return "\n".join(lines)


def _fastest(part: Callable[[], object]) -> float:
    def once() -> float:
        start = time.process_time()
        part()
        return time.process_time() - start

    return min(once() for _ in range(TIMES))


def _read(path: Path, rows: int) -> int:
    with open(path, "rb") as file:
        return sum(len(line) for line, _ in zip(file, range(rows), strict=False))


def _sets(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return set(zip(*(words[i:] for i in range(NGRAM)), strict=False))


def _bands(rows: int) -> None:
    """Folds signatures into a key a band, and sorts each band's keys with their rows."""
    rng = np.random.default_rng(17)
    signatures = _CACHE.setdefault(rows, rng.integers(1 << 32, size=(BANDS * 5, rows), dtype=np.uint64))
    for band in range(BANDS):
        key = np.zeros(rows, dtype=np.uint64)
        for part in signatures[band * 5 : band * 5 + 5]:
            key = (key ^ part) * np.uint64(0xFF51AFD7ED558CCD)
        np.argsort(key, kind="stable")


_CACHE: dict[int, Any] = {}


def _compiled(texts: list[str], scratch: Path) -> dict[str, Callable[[], object]]:
    compiler = shutil.which("cc")
    if not compiler:
        return {}
    library = scratch / "floor.so"
    source = Path(__file__).with_name("floor.c")
    subprocess.run(
        [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", str(library), str(source)], check=True
    )
    c = ctypes.CDLL(str(library))
    c.shingles.restype = ctypes.c_size_t
    data = [text.encode() for text in texts]
    room = np.empty(max(map(len, data)) // 2 + 1, dtype=np.uint32)
    out = np.empty(PERMUTATIONS, dtype=np.uint32)
    a = np.random.default_rng(1).integers(1 << 32, size=(2, PERMUTATIONS), dtype=np.uint32)
    # Pointers are made once, not at each call; `shingles` and `both` keep alive what they point to.
    into, low, first, second = (
        array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)) for array in (room, out, a[0], a[1])
    )
    many, size = ctypes.c_size_t(PERMUTATIONS), ctypes.c_size_t

    def shingle() -> None:
        for text in data:
            c.shingles(text, size(len(text)), into)

    def both() -> None:
        for text in data:
            count = c.shingles(text, size(len(text)), into)
            c.signature(into, size(count), first, second, low, many)

    return {"shingles, C": shingle, "shingles + 128 permutations, C": both}
