"""What runs on the nodes of a Ray cluster for runner/jobs/ray_driver.py: in Ray's workers, which have imported Ray."""

from __future__ import annotations

import pickle
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from runner import errors

UNSEEN = "does not see the workspace; put it into a folder that all nodes share, at the same path"


class Needs(NamedTuple):
    """What a node must have: `ours` are the versions of what decides bytes, and at `path` stands `secret`."""

    ours: dict[str, str | None]
    path: str
    secret: str


def installed(libraries: tuple[str, ...]) -> dict[str, str | None]:
    """Versions of Python and of libraries; None of those that are not here."""
    found: dict[str, str | None] = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def unfit(needs: Needs) -> str:
    """Why this node would not do; "" where it would."""
    ours = needs.ours
    has = installed(tuple(name for name in ours if name != "python"))
    if other := [
        f"{n} {has[n] or 'absent'} instead of {ours[n] or 'none'}" for n in ours if has[n] != ours[n]
    ]:
        return f"has other versions, and would make other data: {', '.join(other)}"
    try:
        seen = Path(needs.path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        seen = ""
    return "" if seen == needs.secret else UNSEEN


_ready: tuple[int, Any] = (0, None)
_fit: Needs | None = None


def do(work: tuple[bytes, Needs], piece: bytes) -> tuple[str, bytes]:
    """The batch function on a piece. What it raises is no fault of Ray's, and comes back as it is. A worker looks first
    whether its node would do: it may have come to the cluster only now."""
    global _ready, _fit
    pickled, needs = work
    if _fit != needs:
        if why := unfit(needs):
            return _refused(why)
        _fit = needs
    try:
        if _ready[0] != (mine := hash(pickled)):
            _ready = mine, pickle.loads(pickled)
        of = pickle.loads(piece)
    except ImportError as e:
        return _refused(f"lacks what it is to work with: {e}; install there what is installed here")
    try:
        return "done", pickle.dumps(_ready[1](of))
    except Exception as e:
        return "raised", errors.pickled(e)


def _refused(why: str) -> tuple[str, bytes]:
    import ray

    return "refused", f"the node {ray.util.get_node_ip_address()} {why}".encode()
