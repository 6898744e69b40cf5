"""The way of rows and tokens from sources to the split: what each step took, of which source, for which reason.

Rows are counted exactly. Tokens are, where the tokenizer saw the row; of a row that went before, they are reckoned from
its bytes, at the rate of its source's other rows, and called so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner import drops
from runner.making import Making
from runner.rows import Shelf, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = ("source", "filter", "dedup", "decontaminate", "render", "mix")
MOST = 200
"""Losses that are told one by one; the smallest of more are told together, by step."""


class Loss(Struct):
    """Rows of one source that one step took for one reason. `tokens` is None where nothing tells."""

    step: str
    source: str
    by: str
    reason: str
    rows: int
    tokens: int | None = None
    exact: bool = True


class Sizes:
    """Bytes and tokens of every row of the shelf, and which source each is of."""

    def __init__(self, m: Making, shelf: Shelf) -> None:
        import numpy as np

        lines = [np.diff(table.lines.astype(np.int64)) for table in shelf.tables]
        self.bytes = np.concatenate(lines) if lines else np.zeros(0, np.int64)
        self.source = np.repeat(np.arange(len(lines)), [len(x) for x in lines])
        self.tokens: NDArray[Any] = np.full(len(self.bytes), -1, dtype=np.int64)
        if "render" in m.inputs:
            folder = m.inputs["render"].path
            self.tokens[load(folder / "kept.npy")] = load(folder / "tokens.npy")
        self.seen = self.tokens >= 0
        self.known = bool(self.seen.any())
        if self.known:
            self.tokens = np.where(self.seen, self.tokens, np.rint(self.bytes * self._rate(len(lines))))

    def _rate(self, sources: int) -> NDArray[Any]:
        """Tokens a byte, for each row: those of its source; where no row of it was rendered, those of all."""
        import numpy as np

        size, tokens = (
            np.bincount(self.source[self.seen], weights=x[self.seen], minlength=sources)
            for x in (self.bytes, self.tokens)
        )
        whole = tokens.sum() / max(size.sum(), 1)
        rate: NDArray[Any] = np.where(size > 0, tokens / np.maximum(size, 1), whole)[self.source]
        return rate


def flow(m: Making, rows: dict[str, Any]) -> dict[str, Any]:
    """`sources` (what each gave), `lost` (what went, in the order of the steps), `used` (what is trained and held out).

    `rows` are the ledger's counts: they know of rows that never became records.
    """
    import numpy as np

    names = [s.name for s in m.plan.loaded.recipe.sources]
    shelf = Shelf([m.inputs[f"source.{n}"].path for n in names])
    sizes = Sizes(m, shelf)
    lost = [
        Loss("source", x["source"], x["by"], x["reason"], x["rows"])
        for x in rows["by_reason"]
        if x["by"].split(".")[0] == "source"
    ]
    for step in STEPS[1:]:
        if step in m.inputs:
            lost += _lost(step, drops.read(m.inputs[step].path), sizes, names)
    return {
        "sources": _given(names, sizes, rows),
        "lost": [_data(x) for x in _fewer(lost)],
        "used": _used(m, sizes, names, np),
        "steps": [s for s in STEPS if s == "source" or s in m.inputs],
    }


def _lost(step: str, found: drops.Drops, sizes: Sizes, names: list[str]) -> list[Loss]:
    import numpy as np

    if not len(found.rows):
        return []
    words = list(dict.fromkeys((w.by, w.reason) for w in found.whys))
    word = np.array([words.index((w.by, w.reason)) for w in found.whys])
    at = sizes.source[found.rows] * len(words) + word[found.why]
    many = np.bincount(at, minlength=len(names) * len(words))
    tokens, seen = (
        np.bincount(at, weights=x[found.rows], minlength=len(many)) for x in (sizes.tokens, sizes.seen)
    )
    return [
        Loss(
            step=step,
            source=names[n // len(words)],
            by=words[n % len(words)][0],
            reason=words[n % len(words)][1],
            rows=int(many[n]),
            tokens=int(tokens[n]) if sizes.known else None,
            exact=bool(seen[n] == many[n]),
        )
        for n in np.flatnonzero(many).tolist()
    ]


def _fewer(lost: list[Loss]) -> list[Loss]:
    """At most MOST, and one more a step and source for the rest."""
    if len(lost) <= MOST:
        return lost
    least = sorted(lost, key=lambda x: -x.rows)[MOST - 1].rows
    out, rest = list[Loss](), dict[tuple[str, str], Loss]()
    for x in lost:
        if x.rows > least or (x.rows == least and len(out) < MOST):
            out.append(x)
            continue
        one = rest.setdefault((x.step, x.source), Loss(x.step, x.source, "", "other reasons", 0, 0))
        one.rows += x.rows
        one.exact &= x.exact
        one.tokens = None if x.tokens is None or one.tokens is None else one.tokens + x.tokens
    return sorted([*out, *rest.values()], key=lambda x: STEPS.index(x.step))


def _data(x: Loss) -> dict[str, Any]:
    return {f: getattr(x, f) for f in Loss.__struct_fields__}


def _given(names: list[str], sizes: Sizes, rows: dict[str, Any]) -> list[dict[str, Any]]:
    import numpy as np

    whole = {x["source"]: x["in"] for x in rows["by_source"]}
    tokens = np.bincount(sizes.source, weights=sizes.tokens, minlength=len(names))
    seen, many = (
        np.bincount(sizes.source, weights=x, minlength=len(names)) for x in (sizes.seen, sizes.bytes >= 0)
    )
    return [
        {
            "source": name,
            "rows": whole.get(name, 0),
            "records": int(many[n]),
            "tokens": int(tokens[n]) if sizes.known else None,
            "exact": bool(seen[n] == many[n]),
        }
        for n, name in enumerate(names)
    ]


def _used(m: Making, sizes: Sizes, names: list[str], np: Any) -> list[dict[str, Any]]:
    """By source: different rows, records with their copies, and tokens with theirs."""
    mixed = m.inputs["mix"].path
    rows, times, held = (load(mixed / f"{n}.npy") for n in ("kept", "times", "held"))
    out = list[dict[str, Any]]()
    for fate, side in (("trained", ~held.astype(bool)), ("validation", held.astype(bool))):
        mine = side & (times > 0)
        source, many = sizes.source[rows[mine]], times[mine].astype(np.int64)
        each = [np.ones(len(many)), many, many * sizes.tokens[rows[mine]]]
        counts = [
            np.bincount(source, weights=x, minlength=len(names)).astype(np.int64).tolist() for x in each
        ]
        out += [
            {
                "source": name,
                "fate": fate,
                "rows": counts[0][n],
                "records": counts[1][n],
                "tokens": counts[2][n] if sizes.known else None,
            }
            for n, name in enumerate(names)
            if counts[0][n]
        ]
    return out
