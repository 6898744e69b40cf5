"""Whether a file that a recipe names is still what it was when its digest went into a fingerprint.

A plan digests inputs; steps read them later, some of them hours later. What changed in between must not be stored
under the fingerprint of what it was before. So a file is looked at again when the step that reads it begins, and once
more when it is done with it, before anything of it is published. Most looks cost one `stat`: a file whose inode, size
and times are what they were was not written to. Only where they are not, or are too young to tell, are the bytes
digested again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.errors import StepError
from runner.fetching import InputFile

YOUNG = 2_000_000_000
"""Nanoseconds. A file system may give two writes within this time the same time."""


class Changed(StepError):
    """A file changed while it was read: nothing that was made of it may be kept."""


def digested(name: str, path: Path) -> InputFile:
    """A file with its digest, how it looked, and whether that is enough to tell later that it was not written to."""
    with path.open("rb") as file:
        before = _look(os.fstat(file.fileno()))
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    sure = abs(time.time_ns() - after.st_ctime_ns) > YOUNG
    return InputFile(name, path, sha256, (*before, sure) if before == _look(after) else ())


def inputs(details: Any) -> Iterator[InputFile]:
    """All input files in what a plan says of a step."""
    if isinstance(details, InputFile):
        yield details
    elif isinstance(details, dict):
        for value in details.values():
            yield from inputs(value)
    elif isinstance(details, list | tuple):
        for value in details:
            yield from inputs(value)


@contextmanager
def unchanged(step: str, files: Iterable[InputFile], weights: Iterable[InputFile] = ()) -> Iterator[None]:
    """Within, `files` and `weights` are read. Raises StepError where one is not what was planned with any more, and
    Changed where that came about meanwhile.

    A file that was written to, or taken for another one, may have been read half-way: that its bytes are what they were
    says nothing. Of weights, gigabytes of which are read for hours, the bytes do say enough.
    """
    known = {file.path: file for file in files}
    before = {path: _again(step, file) for path, file in known.items()}
    large = {file.path: _again(step, file) for file in weights if file.path not in known}
    yield
    for group, strict in ((before, True), (large, False)):
        for file in group.values():
            if not _still(file, strict):
                raise Changed(
                    step, f"{file.name} changed while it was read; nothing made of it was kept: run it again"
                )


def _look(of: os.stat_result) -> tuple[int, ...]:
    return (of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns)


def _again(step: str, file: InputFile) -> InputFile:
    """The file as it looks now. Raises StepError where its bytes are not those that were planned with."""
    try:
        if file.seen == (*_look(file.path.stat()), True):
            return file
        now = digested(file.name, file.path)
    except OSError as e:
        raise StepError(step, f"{file.name} cannot be read any more: {e.strerror or e}") from None
    if now.sha256 != file.sha256:
        raise StepError(step, f"{file.name} changed since the run began; run it again")
    return now


def _still(file: InputFile, strict: bool) -> bool:
    try:
        now = _look(file.path.stat())
        if file.seen == (*now, True):
            return True
        if strict and file.seen and file.seen[:4] != now[:4]:
            return False
        return digested(file.name, file.path).sha256 == file.sha256
    except OSError:
        return False
