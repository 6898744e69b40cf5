"""FastSketchLSH as its README shows it: sketches in batches, inserted and queried for candidates.

Its one-shot duplicate flags mark every member of a group, the first too; so candidates are asked
for, and a row goes where an earlier one is among them. Unverified.
"""

from itertools import islice

import numpy as np
from FastSketchLSH import LSH, FastSimilaritySketch
from rows import PERMUTATIONS, arguments, rows, shingles, write_kept

BATCH = 10_000  # the README does all rows in one call, which needs all their shingles in memory

args = arguments()
source = rows(args.source)
sketcher = FastSimilaritySketch(size=PERMUTATIONS, seed=42)
lsh = LSH(num_perm=PERMUTATIONS, num_bands=16)
kept: list[int] = []
done = 0
while batch := list(islice(source, BATCH)):
    sketches = sketcher.batch([shingles(text) for _, text in batch])
    lsh.insert(sketches)
    candidates, starts = lsh.query(sketches, "csr")
    first = np.minimum.reduceat(candidates, np.asarray(starts[:-1], dtype=np.int64))
    fresh = first >= np.arange(done, done + len(batch))  # each row is among its own candidates
    kept += [id for (id, _), is_fresh in zip(batch, fresh.tolist(), strict=True) if is_fresh]
    done += len(batch)
write_kept(args.target, kept)
