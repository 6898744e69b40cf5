"""gaoya as its README shows it, its own word n-grams, bands by its own S-curve for 128 hashes."""

from gaoya.minhash import MinHashStringIndex
from rows import NGRAM, PERMUTATIONS, THRESHOLD, arguments, rows, write_kept

args = arguments()
index = MinHashStringIndex(
    hash_size=32,
    jaccard_threshold=THRESHOLD,
    num_bands=None,
    band_size=None,
    num_hashes=PERMUTATIONS,
    analyzer="word",
    lowercase=True,
    ngram_range=(NGRAM, NGRAM),
)
kept = []
for id, text in rows(args.source):
    if not index.query(text):
        index.insert_document(id, text)
        kept.append(id)
write_kept(args.target, kept)
