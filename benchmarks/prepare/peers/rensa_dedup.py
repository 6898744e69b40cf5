"""rensa as its README shows it: RMinHashDeduplicator, which checks candidates by their sketches.

`--lsh` takes its LSH index alone, no candidate checked, 16 bands of 8: query, insert. (Its
duplicate flags for a whole batch mark every member of a group, the first too.) Its "rho" signatures
are left out: they sample places of tokens, and are not MinHash of the set.
"""

from itertools import islice

from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH
from rows import PERMUTATIONS, THRESHOLD, arguments, rows, shingles, write_kept

BATCH = 10_000

args = arguments("lsh")
source = rows(args.source)
kept = []
if args.lsh:
    lsh = RMinHashLSH(THRESHOLD, PERMUTATIONS, 16)
    while batch := list(islice(source, BATCH)):
        made = RMinHash.from_token_sets((shingles(text) for _, text in batch), num_perm=PERMUTATIONS, seed=42)
        for (id, _), minhash in zip(batch, made, strict=True):
            if not lsh.query(minhash):
                lsh.insert(id, minhash)
                kept.append(id)
else:
    dedup = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=PERMUTATIONS, use_lsh=True)
    while batch := list(islice(source, BATCH)):
        fresh = dedup.add_pairs((str(id), shingles(text)) for id, text in batch)
        kept += [id for (id, _), is_fresh in zip(batch, fresh, strict=True) if is_fresh]
write_kept(args.target, kept)
