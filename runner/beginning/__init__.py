"""A recipe's beginning: answers → NAME.yaml that passes `recipe check`, with what it needs beside it.

`wishes` holds the answers, `material` looks at the user's files, `holding` keeps a part of them out of training so that
the verdict has something to be about, `voice` makes a suite of their style, `choices` has the base models, tool sets,
suites and gates that fit, `writing` says it all as YAML, and `placing` puts it where nothing is yet.
"""

from __future__ import annotations

from runner.beginning.begin import Begun, begin
from runner.beginning.choices import SETS, bases, model_named, offered, suggested, tool_sets
from runner.beginning.wishes import Wishes

__all__ = [
    "SETS", "Begun", "Wishes", "bases", "begin", "model_named", "offered", "suggested", "tool_sets",
]  # fmt: skip
