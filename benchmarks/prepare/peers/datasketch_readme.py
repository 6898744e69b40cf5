"""datasketch as its documentation shows it: MinHash of the shingles, query, insert.

One `update` a shingle, as in its first example; with `--batch` one `update_batch` a row, which the
same page recommends.
"""

from datasketch import MinHash, MinHashLSH
from rows import PERMUTATIONS, THRESHOLD, arguments, rows, shingles, write_kept

args = arguments("batch")
lsh = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
kept = []
for id, text in rows(args.source):
    minhash = MinHash(num_perm=PERMUTATIONS)
    if args.batch:
        minhash.update_batch([shingle.encode("utf8") for shingle in shingles(text)])
    else:
        for shingle in shingles(text):
            minhash.update(shingle.encode("utf8"))
    if not lsh.query(minhash):
        lsh.insert(id, minhash)
        kept.append(id)
write_kept(args.target, kept)
