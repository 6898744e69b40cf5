"""The style judge: does an answer sound like the persona? A classifier trained on labelled texts.

How such a judge fools itself, and what is done here: word features learn topics and names, so a
second feature set sees function words and marks only, and the *lower* of both probabilities counts;
dashes and quotes move a classifier more than words do, so punctuation is flattened to two marks;
and accuracy is measured with whole groups (topics, works) held out. It compares a voice with the
labelled texts it was given; it cannot tell whether an answer is true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runner.errors import StepError
from runner.record import Answer, Score, Verdict
from runner.registry import JudgeContext, ProbeFile, judge

FOLDS = 5
SHORTEST_LOOP, SHORTEST = 4, 8  # words


class StyleText(Struct, frozen=True):
    """One labelled text. Texts of one `group` are never on both sides of a held-out split."""

    text: str
    label: str
    group: str
    kind: str = ""


@judge(
    "style",
    version=1,
    libraries=("scikit-learn",),
    metrics=(
        "persona", "persona_probability", "classifier.accuracy", "classifier.f1", "classifier.auc", "classifier.n",
    ),
)  # fmt: skip
def style(
    context: JudgeContext,
    *,
    texts: ProbeFile,
    persona: Annotated[str, Meta(description="The label sought in `texts`.")] = "persona",
) -> Verdict:
    """Score answers 1 where a classifier hears the persona (probability 0.5 or more), else 0.

    `texts` holds lines {"text", "label", "group", "kind"}; `persona` is the label sought, every
    other label counts against it. The facts measure the classifier itself on held-out groups.
    """
    labelled = read_texts(context, texts)
    marks = [int(t.label == persona) for t in labelled]
    if not 0 < sum(marks) < len(marks):
        raise StepError("style", f"{texts}: needs texts with and without the label {persona!r}")
    flat = [flatten(t.text) for t in labelled]
    classifier = Classifier(flat, marks, [t.group for t in labelled], texts)
    said = [spoken(a) for a in context.answers]
    chances = classifier.probability([flatten(text) for text in said])
    scores = []
    for a, text, chance in zip(context.answers, said, chances, strict=True):
        reason = unfit(text)
        value = 0.0 if reason else chance
        scores.append(Score(a.id, a.arm, "persona", float(value >= 0.5), reason))
        scores.append(Score(a.id, a.arm, "persona_probability", value, reason))
    return Verdict(scores, measure(classifier.held_out, marks))


def read_texts(context: JudgeContext, name: str) -> list[StyleText]:
    """The labelled texts; StepError names the line that is wrong."""
    found = []
    for file in context.files["texts"]:
        for number, line in enumerate(file.path.read_bytes().splitlines(), 1):
            try:
                if line.strip():
                    found.append(msgspec.json.decode(line, type=StyleText))
            except msgspec.MsgspecError as e:
                raise StepError("style", f"{name}:{number}: {e}") from e
    return found


def spoken(answer: Answer) -> str:
    """What was said in words: text beside tool calls, or the raw text where no message was read."""
    return (answer.message.content or "") if answer.message else answer.raw


def unfit(text: str) -> str:
    """Why a text cannot count as anybody's style, or "" where it can.

    Loops are what small models fall into; n-gram features would find a loop of one telling word
    very much in style. Real prose of up to 300 words repeats less than a tenth of its word triples.
    """
    words = re.findall(r"\w+", text.lower())
    if not words:
        return "empty answer"
    if len(words) >= SHORTEST_LOOP and len(set(words)) <= 0.3 * min(len(words), 60):
        return "repeats its words"
    triples = list(zip(words, words[1:], words[2:], strict=False))
    if len(triples) >= 10 and len(set(triples)) <= 0.6 * len(triples):
        return "repeats its sentences"
    if len(words) < SHORTEST:  # the lone word "I" would pass with probability 0.99
        return "too short to judge"
    return ""


def flatten(text: str) -> str:
    """Lower case, straight apostrophes, and of all punctuation only "," and "." left."""
    text = re.sub("[‘’ʼ´`]", "'", text.lower())
    text = re.sub(r"[.!?…]+", " . ", text)
    text = re.sub(r"[,;:()\[\]]|--+|[–—―]|\s-\s", " , ", text)
    text = re.sub(r"[^\w\s.,'-]|_|(?<!\w)'|'(?!\w)", " ", text)
    return re.sub(r"(?:[.,]\s*)*([.,])", r"\1", " ".join(text.split()))


def function_words(flat: str) -> list[str]:
    """Topic-masked 1- to 3-grams: function words, contractions and marks stay, the rest is "_"."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    tokens = re.findall(r"[\w'-]+|[.,]", flat)
    seen = [t if t in ",." or t in ENGLISH_STOP_WORDS or "'" in t else "_" for t in tokens]
    return [" ".join(seen[i : i + n]) for n in (1, 2, 3) for i in range(len(seen) - n + 1)]


def new_member(kind: str) -> Any:
    """An unfitted classifier over one of the two feature sets, "masked" or "letters"."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    shape: dict[str, Any] = {"analyzer": function_words}
    if kind == "letters":
        shape = {"analyzer": "char_wb", "ngram_range": (2, 4)}
    features = TfidfVectorizer(sublinear_tf=True, min_df=2, **shape)
    return make_pipeline(features, LogisticRegression(C=10, max_iter=1000))


class Classifier:
    """Two logistic regressions, calibrated on held-out groups; the lower probability counts.

    `held_out` holds a probability for each training text, from models and calibration curves that
    saw no text of its group (the curve's inputs did: two numbers a curve, which hides nothing).
    """

    def __init__(self, flat: list[str], marks: list[int], groups: list[str], name: str) -> None:
        self.members = [new_member(kind).fit(flat, marks) for kind in ("masked", "letters")]
        columns = [[0.0] * len(flat) for _ in self.members]
        curves = []
        splits = folds(marks, groups, name)
        for kind, column in zip(("masked", "letters"), columns, strict=True):
            margins = [0.0] * len(flat)
            for train, test in splits:
                member = new_member(kind).fit([flat[i] for i in train], [marks[i] for i in train])
                for i, margin in zip(test, member.decision_function([flat[i] for i in test]), strict=True):
                    margins[i] = float(margin)
            for train, test in splits:
                curve = platt([margins[i] for i in train], [marks[i] for i in train])
                for i in test:
                    column[i] = curve(margins[i])
            curves.append(platt(margins, marks))
        self.curves = curves
        self.held_out = lower(columns)

    def probability(self, flat: list[str]) -> list[float]:
        """One probability for each flattened text."""
        if not flat:
            return []
        return lower(
            [
                [curve(float(m)) for m in member.decision_function(flat)]
                for member, curve in zip(self.members, self.curves, strict=True)
            ]
        )


def lower(columns: list[list[float]]) -> list[float]:
    """The lowest of each row, rounded: BLAS libraries differ beyond some ten digits."""
    return [round(min(row), 6) for row in zip(*columns, strict=True)]


def platt(margins: list[float], marks: list[int]) -> Callable[[float], float]:
    """Platt's curve from margin to probability."""
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression().fit([[m] for m in margins], marks)
    slope, offset = float(line.coef_[0][0]), float(line.intercept_[0])
    return lambda margin: 0.5 + math.tanh((slope * margin + offset) / 2) / 2


def folds(marks: list[int], groups: list[str], name: str) -> list[tuple[list[int], list[int]]]:
    """Train and test indexes with whole groups held out; every training side has both labels."""
    from sklearn.model_selection import StratifiedGroupKFold

    count = min(FOLDS, *(len({g for g, m in zip(groups, marks, strict=True) if m == k}) for k in (0, 1)))
    if count < 2:
        raise StepError("style", f"{name}: each label needs texts of two groups or more")
    split = StratifiedGroupKFold(count).split([0] * len(marks), marks, groups)
    found = [(train.tolist(), test.tolist()) for train, test in split]
    if any(len({marks[i] for i in train}) < 2 for train, _ in found):
        raise StepError("style", f"{name}: too few groups to hold some out and keep both labels")
    return found


def measure(held_out: list[float], marks: list[int]) -> dict[str, float]:
    """How good the classifier is on groups it never saw."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    guesses = [int(p >= 0.5) for p in held_out]
    return {
        "classifier.accuracy": float(accuracy_score(marks, guesses)),
        "classifier.f1": float(f1_score(marks, guesses, zero_division=0.0)),
        "classifier.auc": float(roc_auc_score(marks, held_out)),
        "classifier.n": float(len(marks)),
    }
