"""`recipe diff`: two recipes by what they mean, and what follows from the difference.

    both       two sides, and all in which they differ: the steps below, in their order
    named      what the words on the command line mean: a file, a revision of git, a run, a pack
    sides      a recipe file as one of the two; `kept`: what a run kept; `tree` and `git`: a revision; `packed`: a pack,
               `elsewhere`: what files of these two are called
    effective  a recipe with every default filled in, and what set each value
    changes    what differs, value by value; `pairing`: which items of two lists belong together
    files      inputs with other bytes, and their rows
    ahead      the steps that run anew, and both forecasts
    text       all of it for people; `asdata`: as data

Nothing is written, but a scratch folder for files of a revision. Results of runs are `recipe compare`'s.
"""

from __future__ import annotations

from runner.diffing.ahead import Forecasts, Steps
from runner.diffing.both import Diff, diff
from runner.diffing.changes import Change
from runner.diffing.files import FileChange
from runner.diffing.sides import Side

__all__ = ["Change", "Diff", "FileChange", "Forecasts", "Side", "Steps", "diff"]
