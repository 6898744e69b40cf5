"""What is asked for of a run: a file, a number of its report, an answer, or a row of its data; and what made that."""

from __future__ import annotations

from itertools import islice

from runner.errors import UsageError
from runner.provenance.answer import answer, probes
from runner.provenance.file import file, files
from runner.provenance.left import Left
from runner.provenance.number import metrics, number
from runner.provenance.row import row, rows
from runner.provenance.thing import Thing
from runner.wording import nearest

KNOWN = 100_000  # rows that a wrong name is compared with
HOW = "ask for a metric or METRIC:ARM, a probe's id or ID:ARM, a row's id, or a file of the run"


def asked(left: Left, what: str) -> Thing:
    """What `what` means: the first of a file, a number, an answer, a row. Raises UsageError, with what is like it."""
    whole, (head, _, arm) = (what, ""), what.rpartition(":")
    for name, of in (whole, (head, arm)) if head else (whole,):
        thing = file(left, what) or number(left, name, of) or answer(left, name, of) or row(left, name, of)
        if thing is not None:
            return thing
    known = [*metrics(left), *files(left), *probes(left), *islice(rows(left), KNOWN)]
    what_is_like_it = nearest(what, known) or nearest(head, known) if head else nearest(what, known)
    raise UsageError(f"nothing called {what[:200]!r} in the run {left.name!r}{what_is_like_it}; {HOW}")
