"""Personal data in text: where it stands and of which kind. Pure functions of str.

`find` is precise before it is complete: a date, price, coordinate or order number taken for a telephone number
spoils more data than one number that is overlooked. Checksums and lengths decide where a kind has them (cards,
IBANs, addresses of the internet protocol); a telephone number needs a form that nothing else has, or a word such as
"call" before it. Every search is bounded, so that the time grows with the text and no faster.

`grounding` is a neighbour that reads numbers too: whether those of an answer come from somewhere.
"""

from __future__ import annotations

from runner.privacy.find import KINDS, SHOWN, Hit, Kind, find, may_hold
from runner.privacy.structured import look

__all__ = ["KINDS", "SHOWN", "Hit", "Kind", "find", "look", "may_hold"]
