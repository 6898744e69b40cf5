"""Problems as GitHub's workflow commands: a CI job that prints them gets each marked at its line.

The form is `::error file=…,line=…,col=…,endLine=…,endColumn=…,title=…::what`; `%`, CR and LF are escaped everywhere,
`:` and `,` in properties too. GitHub shows some tens of a step; all are printed, up to `reports.SHOWN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.errors import Problem, safe

_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _MESSAGE | str.maketrans({":": "%3A", ",": "%2C"})


def workflow_commands(problems: Iterable[Problem], level: str = "error") -> Iterator[str]:
    """One line a problem."""
    for p in problems:
        properties = {"file": p.file}
        if p.line:
            properties |= {"line": str(p.line), "col": str(p.column)}
            properties |= {"endLine": str(p.line), "endColumn": str(p.end)} if p.end else {}
        properties["title"] = p.where or "recipe check"
        named = ",".join(f"{key}={safe(value).translate(_PROPERTY)}" for key, value in properties.items())
        yield f"::{level} {named}::{safe(p.what).translate(_MESSAGE)}"
