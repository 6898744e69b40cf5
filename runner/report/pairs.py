"""Duplicates as pairs, both texts side by side; and what decontamination found. A few of each, chosen by rule."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from runner import drops
from runner.making import Making
from runner.record import Record, Said
from runner.rows import Shelf, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR, EXACT, FOUND = 10, 2, 6
"""How many pairs and rows are shown."""
OF = 20
"""Texts of evaluations that are named with how many rows they took."""
LONGEST = 1500
"""Characters of a text that are shown."""


class _Texts:
    """Rows by number: what is compared of each, as dedup saw it."""

    def __init__(self, m: Making) -> None:
        self.names = [s.name for s in m.plan.loaded.recipe.sources]
        folders = [m.inputs[f"source.{n}"].path for n in self.names]
        self.shelf = Shelf(folders, [m.inputs["filter"].path] if "filter" in m.inputs else [])
        self.originals = Shelf(folders)

    def row(self, number: int) -> dict[str, Any]:
        import numpy as np

        text = msgspec.json.decode(self.shelf.one(number), type=Said).compared
        return {
            "id": msgspec.json.decode(self.originals.one(number), type=Record).id,
            "source": self.names[int(self.shelf.source(np.array([number]))[0])],
            "text": text[:LONGEST],
            "cut": len(text) > LONGEST,
        }


def duplicates(m: Making) -> dict[str, Any] | None:
    """How many rows repeat others, and some of the pairs: of near ones the least alike first, for they show whether the
    threshold is right, then some from all over. None without the step."""
    if "dedup" not in m.inputs:
        return None
    import numpy as np

    folder, near = m.inputs["dedup"].path, m.plan.loaded.recipe.dedup.near
    found, similarity = drops.read(folder), load(folder / "similarity.npy")
    exact = np.array([w.by == "dedup.exact" for w in found.whys], dtype=bool)[found.why]
    texts = _Texts(m)
    pairs = []
    for at in [*_chosen(np.flatnonzero(~exact), similarity), *np.flatnonzero(exact)[:EXACT].tolist()]:
        stayed = int(found.of[at])
        pairs.append(
            {
                "kind": "exact" if exact[at] else "near",
                "similarity": round(float(similarity[at]), 4),
                "dropped": texts.row(int(found.rows[at])),
                "kept": texts.row(stayed) if stayed < len(texts.shelf) else _earlier(m, stayed, texts.shelf),
            }
        )
    counts = {"exact": int(exact.sum()), "near": int((~exact).sum())}
    return counts | {"threshold": near.jaccard if near else None, "pairs": pairs}


def _chosen(near: NDArray[Any], similarity: NDArray[Any]) -> list[int]:
    """Half of what is shown are the least alike, the others lie evenly over the rest."""
    import numpy as np

    order = near[np.lexsort((near, similarity[near]))]
    if len(order) <= NEAR:
        return [int(i) for i in order]
    least, rest = order[: NEAR // 2], order[NEAR // 2 :]
    some = np.linspace(0, len(rest) - 1, NEAR - len(least)).round().astype(int)
    return [int(i) for i in [*least, *rest[some]]]


def _earlier(m: Making, stayed: int, shelf: Shelf) -> dict[str, Any]:
    """A row of an earlier run: its place in the file. Its text is in no artifact of this run."""
    raw = m.inputs["dedup"].file("against.json").read_bytes()
    begin, at = 0, stayed - len(shelf)
    for name, end in msgspec.json.decode(raw, type=list[tuple[str, int]]):
        if at < end:
            return {"id": f"{name}:{at - begin + 1}", "source": "an earlier run", "text": None, "cut": False}
        begin = end
    return {"id": "", "source": "an earlier run", "text": None, "cut": False}


def contamination(m: Making) -> dict[str, Any] | None:
    """What was found of the evaluations in the data: rows taken out, by the text that they share; some of these rows.
    Or, where none is taken out, what was looked for. None where nobody looked."""
    if "decontaminate" not in m.inputs:
        looked = m.inputs.get("contaminated")
        return {"looked": msgspec.json.decode(looked.file("looked.json").read_bytes())} if looked else None
    found = drops.read(m.inputs["decontaminate"].path)
    of = Counter(found.whys[n].of for n in found.why.tolist())
    texts = _Texts(m)
    rows = [
        texts.row(int(found.rows[n])) | {"of": found.whys[int(found.why[n])].of}
        for n in range(min(FOUND, len(found.rows)))
    ]
    by = sorted(of.items(), key=lambda x: (-x[1], x[0]))
    return {
        "dropped": len(found.rows),
        "ngram": m.plan.loaded.recipe.decontaminate.ngram,
        "texts": len(of),
        "of": [{"of": name, "rows": n} for name, n in by[:OF]],
        "rows": rows,
    }
