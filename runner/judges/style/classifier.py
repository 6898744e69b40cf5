"""The classifier: is this text the persona's? Asked against each kind of other texts apart; the lowest answer counts.

Against modern text alone, a classifier calls most of the persona's contemporaries the persona. Against all at once, the
easier kind hides how bad it is at the harder. So there is a member for each kind and each feature set, and a text must
pass them all. Whole groups (works of the persona, authors of the others) are held out, and probabilities are read off
what was held out, not off what was trained on. Nothing is drawn at random; the solver uses one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runner.errors import StepError
from runner.judges.style.features import SETS, Numbers, Reader, Rows, Weighing
from runner.judges.style.kinds import KINDS, OTHER, PERSONA
from runner.judges.style.pieces import Piece

if TYPE_CHECKING:
    from runner.pool import Mapped

FOLDS = 10
SLACK = 300.0
"""Inverse strength of the regularisation: many weak features, hardly any held back, meet unseen authors best."""
_CURVE_SLACK = 100.0


class Labels:
    """The kind and the group of each piece, as arrays."""

    def __init__(self, kinds: Sequence[str], groups: Sequence[str]) -> None:
        self.kinds, self.groups = np.array(kinds), list(groups)
        self.others = tuple(k for k in KINDS if k in set(kinds))
        self.mine = self.kinds == PERSONA

    def weights(self, kinds: Sequence[str], rows: Rows) -> Numbers:
        """A weight for each of `rows`, which are all of `kinds`: each kind weighs the same, whatever its number of
        texts; within a kind a group of four times as many texts weighs twice as much. Their mean is 1."""
        out = np.zeros(len(rows))
        for kind in kinds:
            of = self.kinds[rows] == kind
            _, at, n = np.unique([self.groups[i] for i in rows[of]], return_inverse=True, return_counts=True)
            each = 1 / np.sqrt(n[at])
            out[of] = each / each.sum()
        weights: Numbers = out * len(rows) / len(kinds)
        return weights

    def against(self, kind: str, rows: Rows) -> Rows:
        """Which of `rows` are the persona's or of `kind`, by their place in `rows`."""
        return np.flatnonzero(self.mine[rows] | (self.kinds[rows] == kind))


class Members:
    """A logistic regression for each feature set and each kind of other texts, trained on `rows`."""

    def __init__(self, counts: Sequence[Any], labels: Labels, rows: Rows) -> None:
        from sklearn.linear_model import LogisticRegression

        self.weighings, self.lines = [], []
        for some in counts:
            weighing = Weighing(some, rows, labels.groups)
            seen = weighing(some[rows])
            for kind in labels.others:
                use = labels.against(kind, rows)
                train = rows[use]
                line = LogisticRegression(C=SLACK, solver="liblinear", max_iter=1000)
                line.fit(seen[use], labels.mine[train], labels.weights((PERSONA, kind), train))
                self.lines.append((line.coef_[0], float(line.intercept_[0])))
            self.weighings.append(weighing)

    def margins(self, counts: Sequence[Any]) -> Numbers:
        """texts × members: feature sets one after the other, in each all kinds."""
        each = len(self.lines) // len(SETS)
        columns = []
        for n, (some, weighing) in enumerate(zip(counts, self.weighings, strict=True)):
            seen = weighing(some)
            columns += [seen @ line + offset for line, offset in self.lines[n * each : (n + 1) * each]]
        margins: Numbers = np.stack(columns, axis=1)
        return margins


class Training:
    """The work of one process: rows → the members that were trained on them."""

    modules = ("sklearn.linear_model",)

    def __init__(self, counts: Sequence[Any], labels: Labels) -> None:
        self.counts, self.labels = counts, labels

    def __call__(self, rows: Rows) -> Members:
        return Members(self.counts, self.labels, rows)


def _platt(values: Numbers, mine: Any, weights: Numbers) -> Numbers:
    """Platt's curve: the coefficients of a logistic regression on columns of `values`, and its intercept."""
    from sklearn.linear_model import LogisticRegression

    scale = np.maximum(np.abs(values).max(axis=0), 1e-9)
    line = LogisticRegression(C=_CURVE_SLACK, max_iter=1000, tol=1e-8).fit(values / scale, mine, weights)
    curve: Numbers = np.append(line.coef_[0] / scale, line.intercept_[0])
    return curve


def _log_odds(curve: Numbers, values: Numbers) -> Numbers:
    odds: Numbers = values @ curve[:-1] + curve[-1]
    return odds


def chance(log_odds: Numbers) -> Numbers:
    """Log-odds → probability."""
    found: Numbers = 0.5 + np.tanh(log_odds / 2) / 2
    return found


class Curves:
    """Margins → probabilities, learnt from margins of texts that were held out.

    Each member has a Platt curve. The lowest of their log-odds has one more, which also knows how long the text is
    (`ratio`, its words over those of a training piece): a short text says less, and its margins mean less.
    """

    def __init__(self, margins: Numbers, ratios: Numbers, labels: Labels, rows: Rows, whole: Any) -> None:
        """`rows`: the piece of each row of `margins`; several where shorter cuts of a piece are there too, which are
        not `whole`."""
        self.others = labels.others
        self.curves = []
        for n in range(margins.shape[1]):
            kind = self.others[n % len(self.others)]
            use = labels.against(kind, rows)
            use = use[whole[use]]
            at = rows[use]
            weights = labels.weights((PERSONA, kind), at)
            self.curves.append(_platt(margins[use][:, n : n + 1], labels.mine[at], weights))
        weights = labels.weights((PERSONA, *self.others), rows)
        self.last = _platt(self._seen(self.lowest(margins), ratios), labels.mine[rows], weights)

    def against(self, kind: str, margins: Numbers) -> Numbers:
        """Log-odds that a text is the persona's and not of `kind`: the lower of both feature sets."""
        at = self.others.index(kind)
        found = [
            _log_odds(curve, margins[:, n : n + 1])
            for n, curve in enumerate(self.curves)
            if n % len(self.others) == at
        ]
        lower: Numbers = np.min(found, axis=0)
        return lower

    def lowest(self, margins: Numbers) -> Numbers:
        found: Numbers = np.min([self.against(kind, margins) for kind in self.others], axis=0)
        return found

    def _seen(self, lowest: Numbers, ratios: Numbers) -> Numbers:
        length = np.log(np.clip(ratios, 1 / 16, 1.5))
        return np.stack([lowest, length, lowest * length], axis=1)

    def __call__(self, margins: Numbers, ratios: Numbers) -> Numbers:
        """The probability of each row, rounded: libraries differ beyond some ten digits."""
        return np.round(chance(_log_odds(self.last, self._seen(self.lowest(margins), ratios))), 6)


class Classifier:
    """Trained on all pieces; and once without each fold, so that each piece has a judge that never saw its group."""

    def __init__(self, pieces: Sequence[Piece], words: int, name: str, mapped: Mapped = map) -> None:
        """`words`: of a piece; `mapped`: map, on whatever cores there are. Raises StepError, in the name of the files,
        where there are too few groups."""
        self.words = words
        self.texts = [p.text for p in pieces]
        self.labels = Labels(_kinds(pieces), [p.group for p in pieces])
        self.reader = Reader(self.texts, self.labels.groups)
        self.splits = folds(self.labels, name)
        counts = self.reader.counts(self.texts)
        rows = [*(train for train, _ in self.splits), np.arange(len(pieces))]
        *self._folds, self._all = mapped(Training(counts, self.labels), rows)
        self._fit(counts)

    def _fit(self, counts: Sequence[Any]) -> None:
        """Learn the curves from held-out margins, of whole pieces and of their first halves and quarters."""
        rows = np.arange(len(self.texts))
        self.margins = self._held_out_margins(counts, rows)
        parts, ratios = [self.margins], [self.ratios(self.texts)]
        for share in (2, 4):
            short = [shorten(t, share) for t in self.texts]
            parts.append(self._held_out_margins(self.reader.counts(short), rows))
            ratios.append(self.ratios(short))
        margins, ratio, of = np.concatenate(parts), np.concatenate(ratios), np.tile(rows, len(parts))
        whole = np.arange(len(of)) < len(rows)
        self._fold_curves = []
        for train, _ in self.splits:
            use = np.isin(of, train)
            self._fold_curves.append(Curves(margins[use], ratio[use], self.labels, of[use], whole[use]))
        self._curves = Curves(margins, ratio, self.labels, of, whole)

    def _held_out_margins(self, counts: Sequence[Any], rows: Rows) -> Numbers:
        """Margins of texts, of which `rows` says from which piece each is, by members that never saw its group."""
        margins = np.zeros((len(rows), len(SETS) * len(self.labels.others)))
        for members, (_, test) in zip(self._folds, self.splits, strict=True):
            at = np.flatnonzero(np.isin(rows, test))
            if len(at):
                margins[at] = members.margins([some[at] for some in counts])
        return margins

    def held_out(self, texts: Sequence[str] | None = None, rows: Rows | None = None) -> Numbers:
        """Probabilities of texts made from the pieces `rows`, by members and curves that never saw the piece's group;
        of all pieces as they are where no texts are given."""
        if texts is None or rows is None:
            texts, rows, margins = self.texts, np.arange(len(self.texts)), self.margins
        else:
            margins = self._held_out_margins(self.reader.counts(texts), rows)
        ratios = self.ratios(texts)
        found = np.zeros(len(rows))
        for curves, (_, test) in zip(self._fold_curves, self.splits, strict=True):
            at = np.flatnonzero(np.isin(rows, test))
            if len(at):
                found[at] = curves(margins[at], ratios[at])
        return found

    def against(self, kind: str) -> Numbers:
        """Probabilities of all pieces, held out, that they are the persona's if they are his or of `kind`."""
        found = np.zeros(len(self.texts))
        for curves, (_, test) in zip(self._fold_curves, self.splits, strict=True):
            found[test] = np.round(chance(curves.against(kind, self.margins[test])), 6)
        return found

    def ratios(self, texts: Sequence[str]) -> Numbers:
        """How long each text is, over a piece; a dash between spaces is no word."""
        return np.array([sum(any(map(str.isalnum, w)) for w in t.split()) / self.words for t in texts])

    def probability(self, texts: Sequence[str]) -> list[float]:
        """One probability for each text, by all that was trained on."""
        if not texts:
            return []
        margins = self._all.margins(self.reader.counts(texts))
        return [float(p) for p in self._curves(margins, self.ratios(texts))]


def shorten(text: str, share: int) -> str:
    """The first half, third … of a text's words."""
    words = text.split()
    return " ".join(words[: max(1, len(words) // share)])


def _kinds(pieces: Sequence[Piece]) -> list[str]:
    """Each piece's kind; all others are "other" where one kind has too few groups to hold some out."""
    groups: dict[str, set[str]] = {}
    for piece in pieces:
        groups.setdefault(piece.kind, set()).add(piece.group)
    if all(len(some) > 1 for some in groups.values()):
        return [p.kind for p in pieces]
    return [p.kind if p.kind == PERSONA else OTHER for p in pieces]


def folds(labels: Labels, name: str) -> list[tuple[Rows, Rows]]:
    """Train and test rows with whole groups held out; every training side has texts of all kinds."""
    from sklearn.model_selection import StratifiedGroupKFold

    sides = (labels.mine, ~labels.mine)
    count = min(FOLDS, *(len({labels.groups[i] for i in np.flatnonzero(side)}) for side in sides))
    if count < 2:
        raise StepError("style", f"{name}: each label needs texts of two groups or more")
    split = StratifiedGroupKFold(count).split(labels.kinds, labels.kinds, labels.groups)
    found = [(np.asarray(train), np.asarray(test)) for train, test in split]
    if any(set(labels.kinds[train]) != set(labels.kinds) for train, _ in found):
        raise StepError("style", f"{name}: too few groups to hold some out and keep both labels")
    return found
