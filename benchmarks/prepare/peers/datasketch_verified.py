"""datasketch at its best: the batch call, a C hash, and each candidate checked against the true Jaccard.

Texts of kept rows stay in memory for the check; datasketch has no store of them.
"""

from collections.abc import Iterator
from itertools import tee

from datasketch import MinHash, MinHashLSH
from rows import PERMUTATIONS, THRESHOLD, arguments, rows, shingles, write_kept
from xxhash import xxh32_intdigest

args = arguments()
lsh = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
texts: dict[int, str] = {}


def encoded(texts: Iterator[tuple[int, str]]) -> Iterator[list[bytes]]:
    for _, text in texts:
        yield [s.encode("utf8") for s in shingles(text)]


def alike(text: str, others: list[int]) -> bool:
    own = set(shingles(text))
    for other in others:
        theirs = set(shingles(texts[other]))
        shared = len(own & theirs)
        if shared >= THRESHOLD * (len(own) + len(theirs) - shared):
            return True
    return False


one, other = tee(rows(args.source))
made = MinHash.generator(encoded(one), num_perm=PERMUTATIONS, hashfunc=xxh32_intdigest)
for minhash, (id, text) in zip(made, other, strict=True):
    if not alike(text, lsh.query(minhash)):
        lsh.insert(id, minhash)
        texts[id] = text
write_kept(args.target, texts)
