"""What texts the judge tells apart, and what it measures of itself. Nothing heavy: `recipe check` reads it."""

from __future__ import annotations

PERSONA, PERIOD, MODERN, OTHER = "persona", "period", "modern", "other"
KINDS = (MODERN, PERIOD, OTHER)
"""Kinds of texts that are not the persona's. "other": a labelled text that says no kind, or one of its own."""

FACTS = (
    "classifier.accuracy", "classifier.f1", "classifier.auc", "classifier.ece", "classifier.n", "classifier.words",
    "classifier.recall", "classifier.of_five.accuracy", "classifier.shuffled.accuracy",
    *(f"classifier.vs_{kind}.{name}" for kind in KINDS for name in ("accuracy", "f1", "auc", "ece", "called_persona")),
    "check.about", "check.names", "check.dashes", "check.topic", "check.length",
)  # fmt: skip
"""All facts there may be, by name."""
