"""Texts → numbers: counts of n-grams in two feature sets, and their tf-idf as the training half weighs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.judges.style.reading import Lexicon, grams, tokens

SETS = ("masked", "words")
"""masked: 1- to 3-grams of common words and all marks. words: 1- and 2-grams, names masked, marks flattened."""
LEAST = 3
"""Groups of the training half that have an n-gram that counts: what one author alone writes is his topic."""
Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]


class Reader:
    """Feature sets learnt from texts without their labels: the lexicon, and which n-grams there are."""

    def __init__(self, texts: Sequence[str], groups: Sequence[str]) -> None:
        read = [tokens(t) for t in texts]
        self.lexicon = Lexicon(read, groups)
        self._columns: list[dict[str, int]] = []
        for docs in zip(*(self._docs(t) for t in read), strict=True):
            homes: dict[str, str | None] = {}
            for doc, group in zip(docs, groups, strict=True):
                for gram in dict.fromkeys(doc):
                    if homes.setdefault(gram, group) != group:
                        homes[gram] = None
            several = [gram for gram, home in homes.items() if home is None]
            self._columns.append({gram: n for n, gram in enumerate(several)})

    def _docs(self, text: list[str]) -> tuple[list[str], list[str]]:
        words = self.lexicon.words(text)
        return grams(self.lexicon.masked(words), 3), grams(self.lexicon.flat(words), 2)

    def counts(self, texts: Sequence[str]) -> list[Any]:
        """A scipy CSR matrix a feature set: texts × n-grams → how often."""
        from scipy.sparse import csr_matrix

        found: list[tuple[list[float], list[int], list[int]]] = [([], [], [0]) for _ in SETS]
        for text in texts:
            docs = self._docs(tokens(text))
            for doc, columns, (data, at, ends) in zip(docs, self._columns, found, strict=True):
                for gram, n in Counter(doc).items():
                    if (column := columns.get(gram)) is not None:
                        at.append(column)
                        data.append(n)
                ends.append(len(at))
        return [
            csr_matrix(
                (np.array(data, float), np.array(at, int), np.array(ends, int)), (len(texts), len(columns))
            )
            for columns, (data, at, ends) in zip(self._columns, found, strict=True)
        ]


class Weighing:
    """Tf-idf with sublinear counts, each text of length 1, learnt from `rows` of `counts`."""

    def __init__(self, counts: Any, rows: Rows, groups: Sequence[str]) -> None:
        """`groups`: of all texts. N-grams that fewer than LEAST groups of `rows` have are left out."""
        from scipy.sparse import csr_matrix

        there = counts[rows]
        there.data = np.ones_like(there.data)
        names, of = np.unique([groups[i] for i in rows], return_inverse=True)
        tally = csr_matrix((np.ones(len(rows)), (of, np.arange(len(rows)))), (len(names), len(rows)))
        spread = np.asarray(((tally @ there) > 0).sum(axis=0)).ravel()
        self.columns = np.flatnonzero(spread >= min(LEAST, len(names)))
        texts = np.asarray(there.sum(axis=0)).ravel()[self.columns]
        self.idf: Numbers = np.log((1 + len(rows)) / (1 + texts)) + 1

    def __call__(self, counts: Any) -> Any:
        """A CSR matrix: texts × weighed n-grams."""
        from scipy.sparse import diags

        found = counts[:, self.columns].tocsr().astype(float)
        found.data = 1 + np.log(found.data)
        found = found @ diags(self.idf)
        lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        return (diags(1 / np.where(lengths > 0, lengths, 1.0)) @ found).tocsr()
