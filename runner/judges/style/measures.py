"""How good the classifier is, on groups it never saw, and what moves its verdict that should not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from runner.judges.style.classifier import Classifier, Labels, Members, shorten
from runner.judges.style.features import Numbers, Rows
from runner.judges.style.kinds import PERSONA
from runner.judges.style.reading import tokens

TOGETHER = 5
"""Pieces of one group whose mean is measured: one answer says little, several say more."""
BINS = 10
PLANTED = 150
"""Pieces of each kind into which something is planted."""


def measure(classifier: Classifier, seed: int, threshold: float) -> dict[str, float]:
    """The facts, as shares between 0 and 1. Every kind of text weighs the same in each of them. A text is called the
    persona's from `threshold` on."""
    labels, held = classifier.labels, classifier.held_out()
    rows = np.arange(len(held))
    facts = {
        f"classifier.{name}": value
        for name, value in _quality(labels, held, (PERSONA, *labels.others), rows, threshold).items()
    }
    facts |= {"classifier.n": float(len(held)), "classifier.words": float(classifier.words)}
    facts["classifier.recall"] = called(labels, held, PERSONA, threshold)
    for kind in labels.others:
        use = labels.against(kind, rows)
        apart = _quality(labels, classifier.against(kind)[use], (PERSONA, kind), use, threshold)
        facts |= {f"classifier.vs_{kind}.{name}": value for name, value in apart.items()}
        facts[f"classifier.vs_{kind}.called_persona"] = called(labels, held, kind, threshold)
    several = together(labels, held, threshold)
    if several is not None:
        facts["classifier.of_five.accuracy"] = several
    facts["classifier.shuffled.accuracy"] = shuffled(classifier, seed)
    facts |= planted(classifier, held, threshold)
    return {name: round(float(value), 6) for name, value in facts.items()}


def _quality(
    labels: Labels, chances: Numbers, kinds: Sequence[str], rows: Rows, threshold: float
) -> dict[str, float]:
    """Accuracy, F1, AUC and ECE of probabilities of `rows`."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    mine, weights = labels.mine[rows], labels.weights(kinds, rows)
    said = chances >= threshold
    return {
        "accuracy": accuracy_score(mine, said, sample_weight=weights),
        "f1": f1_score(mine, said, sample_weight=weights, zero_division=0.0),
        "auc": roc_auc_score(mine, chances, sample_weight=weights),
        "ece": calibration_error(chances, mine, weights),
    }


def calibration_error(chances: Numbers, mine: Any, weights: Numbers) -> float:
    """Expected calibration error: how far, on average, a probability is from the share of right ones around it."""
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(np.sum(weights[at] * (mine[at] - chances[at]))))
        for at in (np.flatnonzero(bins == n) for n in range(BINS))
    ]
    return sum(gaps) / float(weights.sum())


def called(labels: Labels, chances: Numbers, kind: str, threshold: float, rows: Rows | None = None) -> float:
    """The share of a kind's texts that are called the persona's; groups weigh as they do in training."""
    rows = np.arange(len(chances)) if rows is None else rows
    of = np.flatnonzero(labels.kinds[rows] == kind)
    weights = labels.weights((kind,), rows[of])
    return float(np.sum(weights * (chances[of] >= threshold)) / weights.sum())


def together(labels: Labels, chances: Numbers, threshold: float) -> float | None:
    """Accuracy of the mean of TOGETHER pieces of one group, each kind the same; None where no group has as many."""
    right: dict[str, list[bool]] = {}
    order: dict[tuple[str, str], list[float]] = {}
    for kind, group, p in zip(labels.kinds, labels.groups, chances, strict=True):
        order.setdefault((kind, group), []).append(float(p))
    for (kind, _), some in order.items():
        for at in range(0, len(some) - TOGETHER + 1, TOGETHER):
            said = sum(some[at : at + TOGETHER]) / TOGETHER >= threshold
            right.setdefault(kind, []).append(said == (kind == PERSONA))
    if set(right) != {PERSONA, *labels.others}:
        return None
    share = {kind: sum(some) / len(some) for kind, some in right.items()}
    return (share[PERSONA] + sum(share[k] for k in labels.others) / len(labels.others)) / 2


def shuffled(classifier: Classifier, seed: int) -> float:
    """Balanced accuracy, groups held out, of members trained on the same pieces with labels dealt out anew.

    What is above 0.5 comes from something else than the labels. A text counts as called where its margin is in the
    upper half, so that a classifier that always says the same is at 0.5 too.
    """
    labels = classifier.labels
    dealt = Labels(np.random.default_rng(seed).permutation(labels.kinds).tolist(), labels.groups)
    counts = classifier.reader.counts(classifier.texts)
    margins = np.zeros(len(labels.kinds))
    for train, test in classifier.splits:
        found = Members(counts, dealt, train).margins([some[test] for some in counts]).mean(axis=1)
        margins[test] = found - np.median(found)
    shares = [float(np.mean(margins[dealt.kinds == kind] > 0)) for kind in (PERSONA, *dealt.others)]
    return (shares[0] + 1 - sum(shares[1:]) / len(shares[1:])) / 2


Plant = Callable[[str, int], str]


def planted(classifier: Classifier, held: Numbers, threshold: float) -> dict[str, float]:
    """How far the share of texts called the persona's moves, in the kind where it moves most, when something that is
    no style is planted in them: the persona's names, dashes, the words of its topics; and when they are cut short."""
    labels = classifier.labels
    rows = np.array(
        [i for kind in (PERSONA, *labels.others) for i in _some(np.flatnonzero(labels.kinds == kind))]
    )
    facts = {}
    for name, plant in plants(classifier).items():
        moved = classifier.held_out([plant(classifier.texts[i], int(i)) for i in rows], rows)
        facts[f"check.{name}"] = max(
            abs(
                called(labels, moved, kind, threshold, rows)
                - called(labels, held[rows], kind, threshold, rows)
            )
            for kind in (PERSONA, *labels.others)
        )
    return facts


def _some(rows: Rows) -> list[int]:
    return (
        [int(rows[i * len(rows) // PLANTED]) for i in range(PLANTED)]
        if len(rows) > PLANTED
        else rows.tolist()
    )


def plants(classifier: Classifier) -> Mapping[str, Plant]:
    """What is planted, by the fact's name; names and topics only where the persona's texts have some."""
    found: dict[str, Plant] = {"dashes": _dashes, "length": lambda text, n: shorten(text, 4)}
    names, topics = _names(classifier), _topics(classifier)
    if names:
        found["names"] = lambda text, n: f"{text} {_about(names, n)}"
    if topics:
        found["topic"] = lambda text, n: _retold(classifier, text, topics, n)
    return found


def _dashes(text: str, number: int) -> str:
    """A dash for every other comma, and one more after every twelfth word."""
    commas = iter(range(len(text)))
    text = re.sub(",", lambda m: " --" if next(commas) % 2 else ",", text)
    words = text.split()
    return " ".join(f"{w} --" if n % 12 == 11 else w for n, w in enumerate(words))


def _names(classifier: Classifier) -> list[str]:
    """The persona's commonest names."""
    counts: Counter[str] = Counter()
    for at in np.flatnonzero(classifier.labels.mine):
        counts.update(classifier.reader.lexicon.names(tokens(classifier.texts[at])))
    return [name for name, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:12] if n > 1]


def _about(names: Sequence[str], number: int) -> str:
    """Three plain sentences full of names."""
    a, b, c, d, e, f = (names[(number + i) % len(names)] for i in range(6))
    return f"{a} met {b} in {c}. {d} was with {e}. {f} and {a} were there with {b}."


def _topics(classifier: Classifier) -> list[str]:
    """The words that the persona's works have and others have not, of those that the classifier knows."""
    labels, lexicon = classifier.labels, classifier.reader.lexicon
    mine: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    for kind, group, text in zip(labels.kinds, labels.groups, classifier.texts, strict=True):
        for word in set(tokens(text)):
            if word.islower() and word in lexicon.known and word not in lexicon.common:
                (mine if kind == PERSONA else others).setdefault(word, set()).add(group)
    order = sorted(mine, key=lambda w: (len(others.get(w, ())) - len(mine[w]), w))
    return [w for w in order[:60] if len(mine[w]) > max(1, len(others.get(w, ())))]


def _retold(classifier: Classifier, text: str, topics: Sequence[str], number: int) -> str:
    """Every fifth word that is not common gives way to one of the persona's topics."""
    common = classifier.reader.lexicon.common
    words = _replacements(topics, number)
    seen = 0

    def other(match: re.Match[str]) -> str:
        nonlocal seen
        if match[0] in common or not match[0].islower():
            return match[0]
        seen += 1
        return match[0] if seen % 5 else next(words)

    return re.sub(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", other, text)


def _replacements(topics: Sequence[str], number: int) -> Iterator[str]:
    while True:
        yield topics[number % len(topics)]
        number += 1
