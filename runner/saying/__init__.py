"""How problems are shown: the line with a mark under the place, what YAML's parser means, how many there are.

lines       a file's text by line, as YAML counts them
excerpts    one line of it with carets under the place, safe to print
reports     many problems as one text, for people
faults      what YAML's parser says is wrong → what the person who wrote it did
meanings    what was meant by a value of the wrong type, or a text of nearly the right form
misplaced   keys that stand at another level than the one that has them
github      problems as GitHub's workflow commands, which mark them in its view of the files
"""

from __future__ import annotations

from runner.saying.excerpts import excerpt
from runner.saying.github import workflow_commands
from runner.saying.lines import Lines, column_at
from runner.saying.reports import SHOWN, report, summary

__all__ = ["SHOWN", "Lines", "column_at", "excerpt", "report", "summary", "workflow_commands"]
