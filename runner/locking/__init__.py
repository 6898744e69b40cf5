"""Lock files: all that a recipe's outcome hangs on and that may change without it, by content, beside the recipe.

    written   the file itself: its types, where it lies, how it is read and written
    facts     what a plan rests on, as such a lock
    drift     what is not as it was locked, in words; and a run that is held to a lock

`runner.lock`, below, is another thing: what a workspace has fetched, so that nothing is asked for twice.
"""

from __future__ import annotations

from runner.locking.drift import RAW, Drift, Drifted, Held, between, drifts, gone
from runner.locking.facts import carried, facts, outside, unknown
from runner.locking.written import RecipeLock, beside, pinned, read, write

__all__ = [
    "RAW", "Drift", "Drifted", "Held", "RecipeLock", "beside", "between", "carried", "drifts", "facts", "gone",
    "outside", "pinned", "read", "unknown", "write",
]  # fmt: skip
