"""Plain text → chat records: passages cut at paragraph ends, each part of a conversation.

`cut` makes the passages, `to_records` the records, whose prompts come from key phrases (`phrases`), dialogue
(`dialogue`), notes (`notes`) and the phrasings of datasets/prompts (`asking`); `draw` decides by shares.
"""

from __future__ import annotations

from runner.passages.asking import draw
from runner.passages.cutting import cut
from runner.passages.records import to_records

__all__ = ["cut", "draw", "to_records"]
