"""One thing of `recipe list` and all that its schema says: a source, filter or judge with its options, a suite, a base.

What there is, is the catalogue's to say.

    facts  all of it as data
    words  the same for people
"""

from __future__ import annotations

from runner.listing.facts import described, everything
from runner.listing.words import text

__all__ = ["described", "everything", "text"]
