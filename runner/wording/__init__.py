"""Schema violations → sentences for the person who wrote the YAML, with the nearest right thing.

searching  the nearest name, looked for so often and no more
values     a value as people see it: short, without secrets
sentences  what is wrong, and where
"""

from __future__ import annotations

from runner.wording.searching import few_searches, nearest
from runner.wording.sentences import causes, listed, meant, problems, unknown_key
from runner.wording.values import show

__all__ = ["causes", "few_searches", "listed", "meant", "nearest", "problems", "show", "unknown_key"]
