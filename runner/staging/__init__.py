"""Batch functions on machines that do not see the workspace: their files pass through the artifact store.

Work and pieces go to others by pickle. Each path in them is named there by where it is in the workspace, and the files
below it are put into the store; where the function is called, they are laid out in a folder of that machine's, and the
names become paths there. What the function leaves there goes back the same way. So a function that opens paths which it
was given, as `Path`s and not as text, and writes below them, knows nothing of all this.

    pickled  paths as names, and names as paths
    stager   of the machine that hands out work: files go out, and those that come back are put in their places
    mirror   of a machine that works: the files that it was sent, laid out
    objects  how objects of a run are called
"""

from __future__ import annotations

from typing import NamedTuple


class Staged(NamedTuple):
    """A file: its name (see `pickled`), the object that holds its bytes, and their sha256."""

    name: str
    at: str
    sha256: str


class Parcel(NamedTuple):
    """A pickle, and the files that are below the paths in it."""

    raw: bytes
    files: list[Staged]
