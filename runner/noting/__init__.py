"""What a run is at, for other processes to read: `.mirepoix/runs/NAME.now`.

The run holds the kernel's lock on that file as long as it lives: whoever finds "running" in a file that nobody holds
knows that the run was killed. The file is no artifact, nothing hangs on it, and no fingerprint knows of it. It is
written in place, in one call, behind a sum that tells a reader who came in the middle of it; nothing is flushed. So a
step's progress costs some microseconds, a few times a second.

    state  what such a file says, where it lies, and how it is read
    note   how a run writes it
"""

from __future__ import annotations

from runner.noting.note import Note, noting
from runner.noting.state import Now, State, StepNow, StepState, path, read

__all__ = ["Note", "Now", "State", "StepNow", "StepState", "noting", "path", "read"]
