"""How far the judges can be trusted: what a tool judge saw beside what was wanted, what a classifier got right."""

from __future__ import annotations

from typing import Any

from runner import shown
from runner.shown import finite

CALLED = (
    ("right", "the right call"),
    ("other", "a valid call, but not the right one"),
    ("none", "no valid call"),
)
SPOKE = (("words", "answered in words"), ("called", "called a tool, or did not answer"))
# A classifier's facts, in words: (fact, what it says, how it is written).
CLASSIFIER = (
    ("accuracy", "Right on texts that it had not seen", shown.share),
    ("f1", "F1 on them", shown.share),
    ("recall", "Of the persona's own, found", shown.share),
    ("auc", "A text of the persona ranks above another (AUC)", shown.share),
    ("vs_modern.called_persona", "Modern writing taken for the persona", shown.share),
    ("vs_period.called_persona", "Other writing of the period taken for the persona", shown.share),
    ("ece", "Its probabilities are off by (calibration error)", shown.share),
    ("shuffled.accuracy", "Right where labels were shuffled (chance)", shown.share),
    ("n", "Texts it was tried on", shown.count),
)


def confusion(suite: dict[str, Any], arms: list[str]) -> list[dict[str, Any]]:
    """Of a suite with a tool judge: of the prompts that want a call, and of those that want none, what each arm did.

    Counted from all of the suite's samples. Answers with several turns count as right where all of them are.
    """
    tables = []
    for what, key, columns in (
        ("A call was wanted", "valid_call", CALLED),
        ("No call was wanted", "no_call", SPOKE),
    ):
        scored = [s.get("scores") or {} for s in suite.get("samples") or []]
        mine = [s for s in scored if isinstance(s.get(key), dict)]
        if not mine:
            continue
        rows = []
        for arm in arms:
            seen = [_did(s, arm, key) for s in mine]
            known = [x for x in seen if x]
            if known:
                counts = {name: known.count(name) for name, _ in columns}
                rows.append({"arm": arm, "counts": counts, "n": len(known)})
        if rows:
            tables.append(
                {"what": what, "columns": [{"key": k, "word": w} for k, w in columns], "rows": rows}
            )
    return tables


def _did(scores: dict[str, Any], arm: str, key: str) -> str:
    value = finite((scores.get(key) or {}).get(arm))
    if value is None:
        return ""
    if key == "no_call":
        return "words" if value == 1 else "called"
    if value != 1:
        return "none"
    right = finite((scores.get("right_call") or scores.get("ast_match") or {}).get(arm))
    return "right" if right == 1 else "other"


def facts(suite: dict[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, Any]]]:
    """What a suite's judge says of itself: in words where they are known, else as the judge names it."""
    said = dict(suite.get("facts") or {})
    told = []
    for name, word, write in CLASSIFIER:
        if finite(said.get(f"classifier.{name}")) is not None:
            told.append((word, write(said.pop(f"classifier.{name}"))))
    return told, list(said.items())


def of(suite: dict[str, Any], arms: list[str]) -> dict[str, Any]:
    tables, (told, left) = confusion(suite, arms), facts(suite)
    if tables:  # they say how many prompts there are
        left = [(name, value) for name, value in left if name not in ("call_probes", "no_call_probes")]
    return {"confusion": tables, "told": told, "facts_left": left}
