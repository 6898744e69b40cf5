"""The folder that a user works in, and the only place (beside shipped files) that a recipe may name files in."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner import library
from runner.errors import NeedsTrust, UsageError
from runner.fetching import InputFile
from runner.unchanged import digested

SHIPPED = ("datasets/", "evals/")
LOOKED_AT = 1_000_000
"""Names of files and folders that one pattern may make us look at: links that lead back multiply them."""

MOST_PATTERNS = 1_000
"""Patterns of files that a recipe may name, and a suite: each goes through the workspace."""


@dataclass(frozen=True)
class Workspace:
    """`trust` holds what the person at the command line allowed: "paths" lets a recipe name any file."""

    root: Path
    trust: frozenset[str] = field(default_factory=frozenset)
    allowed: frozenset[Path] = field(default_factory=frozenset)
    """Resolved folders outside that the person at the command line named, and no recipe or suite."""
    store: Path | None = None
    """The workspace in whose store packs are looked for that recipes extend; None: this one."""

    def _contained(self, name: str) -> Path:
        path = (self.root / name).resolve()
        inside = (self.root.resolve(), *self.allowed)
        if "paths" not in self.trust and not any(path.is_relative_to(p) for p in inside):
            raise NeedsTrust(f"{name[:200]!r} lies outside the workspace; allow it with --trust paths")
        return path

    def find(self, name: str) -> Path | None:
        """A file or folder that a recipe names: the workspace's own, else the one shipped as `datasets/…`
        or `evals/…`; None where there is neither. Raises NeedsTrust for a path that leads outside."""
        try:
            path = self._contained(name)
            if path.exists():
                return path
        except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a circle of links
            return None
        return library.find(name) if name.startswith(SHIPPED) else None

    def glob(self, pattern: str) -> list[tuple[str, Path]]:
        """Files that match, in order of their names. Raises NeedsTrust for one that lies outside."""
        anchor = Path(pattern)  # which also makes `./a` and `a` one name
        pattern = str(anchor)
        if not any(c in pattern for c in "*?["):
            found = self.find(pattern)
            return [(pattern, found)] if found and found.is_file() else []
        fixed = Path(*anchor.parts[: next(i for i, p in enumerate(anchor.parts) if set(p) & set("*?["))])
        rest = str(anchor.relative_to(fixed)) if fixed.parts else pattern
        base = self.find(str(fixed)) if fixed.parts else self.root
        if base is None or not base.is_dir():
            return []
        try:
            ours = (self.root / ".mirepoix", self.root / "runs")  # what a run wrote is no input of the next
            files = self._matching(base, rest)
            matches = sorted(p for p in files if not any(p.is_relative_to(o) for o in ours))
        except (OSError, ValueError):  # not a pattern
            return []
        named = [((fixed / p.relative_to(base)).as_posix(), p) for p in matches]
        for _, path in named:  # a link may lead out although its name does not
            if not path.resolve().is_relative_to(base.resolve()):
                self._contained(str(path.resolve()))
        return named

    def _matching(self, base: Path, pattern: str) -> Iterator[Path]:
        """Files below `base`, as `Path.glob` finds them, with an end: each place is looked at once, however many `**`
        there are, and no more than LOOKED_AT names are. Raises UsageError, and NeedsTrust for a `**` behind a link that
        leads out.
        """
        parts, home, looked = Path(pattern).parts, base.resolve(), 0
        seen: set[tuple[Path, int]] = set()
        waiting = [(base, 0)]
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            folder, at = here
            part, last = parts[at], at == len(parts) - 1
            if not set(part) & set("*?["):
                within = [folder / part]
            else:
                if part == "**" and not folder.resolve().is_relative_to(home):
                    self._contained(os.path.relpath(folder, self.root))
                entries = _entries(folder)
                looked += len(entries)
                if looked > LOOKED_AT:
                    what = f"the pattern {pattern[:200]!r} makes us look at more than {LOOKED_AT:,} names"
                    raise UsageError(f"{what}; name folders in it")
                if part == "**":
                    waiting += [(p, at) for p, link in entries if not link and p.is_dir()]
                    waiting += [] if last else [(folder, at + 1)]
                    continue
                fits = re.compile(fnmatch.translate(part)).match
                within = [p for p, _ in entries if fits(p.name)]
            if last:
                yield from (p for p in within if p.is_file())
            else:
                waiting += [(p, at + 1) for p in within if p.is_dir()]

    def closed(self, folder: Path) -> None:
        """Raises NeedsTrust where a link in a folder, all of which is read, leads out of the workspace."""
        root = self.root.resolve()
        for here, folders, files in os.walk(folder):
            for link in (p for n in (*folders, *files) if (p := Path(here, n)).is_symlink()):
                with suppress(OSError, RuntimeError):  # a circle: nothing can be read there
                    self._contained(os.path.relpath(link, root))

    def named(self, how: str, value: str | list[str]) -> dict[str, Path]:
        """The files that a plug-in's file option names (see registry), by name; none where one is missing."""
        if how == "glob":
            found: dict[str, Path] = {}
            for pattern in value if isinstance(value, list) else [value]:
                matches = self.glob(pattern)
                if not matches:
                    return {}
                found.update(matches)
            return found
        found = {}
        for one in value if isinstance(value, list) else [value]:
            name = f"datasets/tools/{one}.yaml" if how == "tool set" else f"evals/{one}"
            path = self.find(name)
            if path is None or not path.is_file():
                return {}
            found[name] = path
        return found

    def inputs(self, how: str, value: str | list[str]) -> tuple[InputFile, ...]:
        """The same files, digested."""
        found = self.named(how, value)
        # What lies outside is named by its last part: no absolute path may reach a fingerprint.
        return tuple(
            digested(Path(n).name if Path(n).is_absolute() or ".." in Path(n).parts else n, p)
            for n, p in sorted(found.items())
        )


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What is in a folder, and whether it is a link; nothing where it may not be read."""
    try:
        with os.scandir(folder) as found:
            return [(folder / e.name, e.is_symlink()) for e in found]
    except OSError:
        return []


def wild(globs: str | list[str]) -> int:
    """How many of these names are patterns."""
    return sum(
        not {"*", "?", "["}.isdisjoint(glob) for glob in ([globs] if isinstance(globs, str) else globs)
    )
