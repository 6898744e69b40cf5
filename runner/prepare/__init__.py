"""Stage prepare: from sources to train.jsonl, validation.jsonl and a ledger that accounts for every input row.

A source writes its records; the steps after it write which rows they keep (`kept.npy`, by number), which they drop and
why (runner/drops.py), and, where filters edit, the edited ones. Only `split` writes records again, in their last order.
So nothing grows with the number of rows but a few columns.
"""

from __future__ import annotations

from runner.making import Maker
from runner.prepare.blending import blend, split
from runner.prepare.decontaminating import decontaminate
from runner.prepare.filtering import filter
from runner.prepare.rendering import render
from runner.prepare.repeats import remove_duplicates
from runner.prepare.source import source

MAKERS: dict[str, Maker] = {
    "source": source,
    "filter": filter,
    "dedup": remove_duplicates,
    "decontaminate": decontaminate,
    "render": render,
    "mix": blend,
    "split": split,
}
