"""Pickles in which a path is a name: where it is in the workspace, or outside of it from `/` on.

Paths of an installed package stay as they are: that is installed on each machine.
"""

from __future__ import annotations

import io
import os
import pickle
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

_INSTALLED = [Path(sysconfig.get_path(p)).resolve() for p in ("stdlib", "purelib", "platlib")] + [
    Path(__file__).parents[1]
]


def packed(what: object, root: Path, outside: Path = Path("/")) -> tuple[bytes, dict[str, Path]]:
    """A pickle in which paths are named as seen from `root`; and name → path of all that are in it. What is outside of
    it lies in `outside`, as it does elsewhere in `/`."""
    out, found = io.BytesIO(), dict[str, Path]()
    _Packing(out, root, outside, found).dump(what)
    return out.getvalue(), found


def unpacked(raw: bytes, placed: Callable[[str], Path]) -> Any:
    """What such a pickle holds; `placed` says where a name is here."""
    return _Unpacking(io.BytesIO(raw), placed).load()


def named(path: Path, root: Path, outside: Path = Path("/")) -> str | None:
    """The name of a path; None where it has none, as it is one of an installed package."""
    full = Path(os.path.abspath(path))  # noqa: PTH100  (without `..`, which would lead out of where it is laid)
    if full.is_relative_to(root):
        return full.relative_to(root).as_posix()
    real = full.resolve()
    if real.is_relative_to(root.resolve()):
        return real.relative_to(root.resolve()).as_posix()
    if any(real.is_relative_to(p) for p in _INSTALLED):
        return None
    return f"/{full.relative_to(outside).as_posix()}" if full.is_relative_to(outside) else full.as_posix()


class _Packing(pickle.Pickler):
    def __init__(self, file: io.BytesIO, root: Path, outside: Path, found: dict[str, Path]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._root, self._outside, self._found = root, outside, found

    def persistent_id(self, obj: Any) -> str | None:
        if not isinstance(obj, Path) or (name := named(obj, self._root, self._outside)) is None:
            return None
        self._found[name] = obj
        return name


class _Unpacking(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, placed: Callable[[str], Path]) -> None:
        super().__init__(file)
        self._placed = placed

    def persistent_load(self, pid: Any) -> Path:
        return self._placed(str(pid))
