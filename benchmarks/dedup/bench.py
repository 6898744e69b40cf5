"""Near-duplicate removal side by side: `python benchmarks/dedup/bench.py [--rows N] [--only NAME]`.

Makes a seeded corpus in which the truth is known, runs each contender on it in a process of its
own, and prints a Markdown table: CPU seconds (user and system) over ours, peak memory, recall and
precision, and the share found of the rows at each similarity. datasketch runs as its
documentation shows and by its faster batch call, over the same words.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
NGRAM = 5
SHINGLES = 190  # an edit of k words in front loses k: 10 of 190 is 180 / 200, exactly 0.9
WORDS = SHINGLES + NGRAM - 1


def corpus(rows: int, seed: int = 17) -> tuple[list[str], dict[int, float]]:
    """Texts, and for each copy (row -> similarity) how near it is to the row before it.

    A tenth of the rows are copies. Words have natural frequencies (Zipf), so rows share some
    shingles.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    vocabulary = [f"{'aeiou'[i % 5]}{i:x}" for i in range(50_000)]
    share = 1 / np.arange(1, len(vocabulary) + 1)
    share /= share.sum()
    texts: list[str] = []
    copies: dict[int, float] = {}
    while len(texts) < rows:
        drawn = rng.choice(len(vocabulary), size=WORDS, p=share)
        base = [vocabulary[i] for i in drawn]
        texts.append(" ".join(base))
        if rng.random() < 1 / 9 and len(texts) < rows:
            level = LEVELS[len(copies) % len(LEVELS)]
            lost = round(SHINGLES * (1 - level) / (1 + level))
            new = [f"{word}{len(texts)}" for word in base[:lost]]
            copies[len(texts)] = true_jaccard(new + base[lost:], base)
            texts.append(" ".join(new + base[lost:]))
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)  # a copy may stand anywhere, before what it was made from
    place = {old: new for new, old in enumerate(order)}
    truth = {max(place[row], place[row - 1]): level for row, level in copies.items()}
    return [texts[old] for old in order], truth


def true_jaccard(one: list[str], other: list[str]) -> float:
    a, b = ({tuple(w[i : i + NGRAM]) for i in range(len(w) - NGRAM + 1)} for w in (one, other))
    return len(a & b) / len(a | b)


def mirepoix(texts: list[str]) -> list[int]:
    from runner.dedup import find_duplicates
    from runner.recipe import Near

    return [d.index for d in find_duplicates(texts, exact=True, near=Near())]


def datasketch_update(texts: list[str]) -> list[int]:
    """As the examples of its documentation have it: one `update` a shingle."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(threshold=0.8, num_perm=128)
    dropped = []
    for row, text in enumerate(texts):
        words = text.split()
        minhash = MinHash(num_perm=128)
        for i in range(len(words) - NGRAM + 1):
            minhash.update(" ".join(words[i : i + NGRAM]).encode("utf8"))
        if lsh.query(minhash):
            dropped.append(row)
        else:
            lsh.insert(row, minhash)
    return dropped


def datasketch_bulk(texts: list[str]) -> list[int]:
    """The same with its batch call and a C hash: the fastest that datasketch itself offers."""
    from datasketch import MinHash, MinHashLSH
    from xxhash import xxh32_intdigest

    lsh = MinHashLSH(threshold=0.8, num_perm=128)
    rows = (
        [" ".join(w[i : i + NGRAM]).encode("utf8") for i in range(len(w) - NGRAM + 1)]
        for w in map(str.split, texts)
    )
    dropped = []
    for row, minhash in enumerate(MinHash.generator(rows, num_perm=128, hashfunc=xxh32_intdigest)):
        if lsh.query(minhash):
            dropped.append(row)
        else:
            lsh.insert(row, minhash)
    return dropped


CONTENDERS: dict[str, Callable[[list[str]], list[int]]] = {
    "mirepoix": mirepoix,
    "datasketch, update()": datasketch_update,
    "datasketch, bulk + xxhash": datasketch_bulk,
}


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, rows: int) -> dict[str, object]:
    """Runs one contender in this process; its imports count, the making of the corpus does not."""
    texts, truth = corpus(rows)
    before, wall = cpu(), time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dropped = set(CONTENDERS[name](texts))
    result: dict[str, object] = {"cpu": cpu() - before, "wall": time.perf_counter() - wall}
    result["mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    wanted = {row for row, level in truth.items() if level >= 0.8}
    result["recall"] = len(dropped & wanted) / max(1, len(wanted))
    result["precision"] = len(dropped & wanted) / max(1, len(dropped))
    for level in LEVELS:
        at = {row for row, true in truth.items() if abs(true - level) < 0.005}
        result[f"at {level}"] = len(dropped & at) / max(1, len(at))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3, help="the run of median CPU time is shown")
    parser.add_argument("--only", choices=CONTENDERS, help="run this one here and print JSON")
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.only, args.rows)))
        return
    results = {}
    for name in CONTENDERS:
        # A process each: imports and peak memory are then the contender's own.
        command = [sys.executable, __file__, "--rows", str(args.rows), "--only", name]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(args.repeat)
        ]
        results[name] = sorted(runs, key=lambda run: run["cpu"])[len(runs) // 2]
    levels = " | ".join(f"found at {level}" for level in LEVELS)
    print(f"{args.rows} rows of {WORDS} words, threshold 0.8, 128 permutations, {NGRAM}-grams\n")
    print(f"| who | CPU s | over ours | MB more | recall | precision | {levels} |")
    print("|---" * (6 + len(LEVELS)) + "|")
    ours = results["mirepoix"]["cpu"]
    for name, r in results.items():
        shares = " | ".join(f"{r[f'at {level}']:.2f}" for level in LEVELS)
        print(
            f"| {name} | {r['cpu']:.2f} | {r['cpu'] / ours:.1f} | {r['mb']:.0f} "
            f"| {r['recall']:.3f} | {r['precision']:.3f} | {shares} |"
        )


if __name__ == "__main__":
    main()
