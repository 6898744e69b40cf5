"""The folder that a user works in, and the only place (beside shipped files) that a recipe may name files in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runner import library
from runner.errors import NeedsTrust
from runner.fetching import InputFile
from runner.unchanged import digested

SHIPPED = ("datasets/", "evals/")


@dataclass(frozen=True)
class Workspace:
    """`trust` holds what the person at the command line allowed: "paths" lets a recipe name any file."""

    root: Path
    trust: frozenset[str] = field(default_factory=frozenset)
    allowed: frozenset[Path] = field(default_factory=frozenset)
    """Resolved folders outside that the person at the command line named, and no recipe or suite."""

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
            files = (p for p in base.glob(rest) if p.is_file())
            matches = sorted(p for p in files if not any(p.is_relative_to(o) for o in ours))
        except (OSError, ValueError):  # not a pattern
            return []
        named = [((fixed / p.relative_to(base)).as_posix(), p) for p in matches]
        for _, path in named:  # a link may lead out although its name does not
            if not path.resolve().is_relative_to(base.resolve()):
                self._contained(str(path.resolve()))
        return named

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
