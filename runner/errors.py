"""Every error that a user may see, and the exit code that goes with it.

Nothing below the command line prints: code raises one of these, `cli.py` words it and exits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_CONTROL = {c: f"\\x{c:02x}" for c in (*range(32), *range(127, 160)) if c not in (9, 10)}
_STEERS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
_CONTROL |= {c: f"\\u{c:04x}" for c in _STEERS}


def safe(text: str) -> str:
    """Text of recipes and data, with what could steer a terminal (or cannot be written) made visible."""
    return text.translate(_CONTROL)


_MEANT = re.compile(r" \(did you mean ([^()]+)\?\)\Z")

OK = 0
GATE_FAILED = 1
INCONCLUSIVE = 5
INTERRUPTED = 130
TERMINATED = 143


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where. `line` and `column` count from 1; 0 means the whole file.

    `end` is the column after the last character of the key or value that is meant, 0 where that is not known or stands
    on a later line. `text` is the line itself as it was read, for who shows it.
    """

    file: str
    line: int
    column: int
    where: str
    what: str
    end: int = 0
    text: str | None = field(default=None, compare=False, repr=False)

    @property
    def suggestion(self) -> str | None:
        """What `(did you mean …?)` names, at the end of what is said."""
        said = _MEANT.search(self.what)
        return said[1] if said else None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.where}: {self.what}" if self.where else f"{place}: {self.what}"


def pickled(error: Exception) -> bytes:
    """An error for another process, where it arrives: not all can be made again from what they say."""
    import pickle

    try:
        pickle.loads(raw := pickle.dumps(error))
    except Exception:  # whatever an error of a library's, or of a plug-in's, makes of being copied
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return raw


class MirepoixError(Exception):
    """Base of all errors that are worded for the user; anything else is a defect of ours."""

    exit_code = 3


class RecipeError(MirepoixError):
    """The recipe (or suite, or data definition) is wrong. Holds every problem found, not just the first."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file, p.line, p.column, p.where, p.what))
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type[RecipeError], tuple[list[Problem]]]:
        return RecipeError, (self.problems,)  # it may come from a process of ours


class UsageError(MirepoixError):
    """The command line asks for something that is not there."""

    exit_code = 2


class StepError(MirepoixError):
    """A step failed. `log` names the file with the whole story, where there is one."""

    exit_code = 3

    def __init__(self, step: str, message: str, log: str | None = None) -> None:
        self.step, self.message, self.log = step, message, log
        super().__init__(f"{step}: {message}" + (f" (log: {log})" if log else ""))

    def __reduce__(self) -> tuple[type[StepError], tuple[str, str, str | None]]:
        return StepError, (self.step, self.message, self.log)  # it may come from a process of ours


class NeedsTrust(MirepoixError):
    """The recipe wants what only the person at the command line may allow: in a sentence, or each at its place."""

    exit_code = 4

    def __init__(self, what: str | list[Problem]) -> None:
        self.problems = [] if isinstance(what, str) else list(dict.fromkeys(what))
        super().__init__(what if isinstance(what, str) else "\n".join(map(str, self.problems)))


class Locked(MirepoixError):
    """Another run holds this workspace."""

    exit_code = 75
