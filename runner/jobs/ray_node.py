"""What runs on the nodes of a Ray cluster for runner/jobs/ray_driver.py: in Ray's workers, which have imported Ray."""

from __future__ import annotations

import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runner import errors
from runner.installed import version
from runner.shown import size
from runner.staging import Parcel, mirror, objects
from runner.staging.mirror import Mirror
from runner.staging.pickled import packed, unpacked
from runner.store import remote
from runner.trouble import os_error

ROOM = 64 << 20
"""Bytes of the disk without which nothing is begun."""
LATE = (
    "came later, and does not see the workspace, as all nodes did when the run began; run it again, and files pass "
    "through the artifact store"
)
UNSEEN = (
    "does not see the workspace; put it into a folder that all nodes share, at the same path, or name an artifact "
    "store (the setting artifact_store)"
)


class Needs(NamedTuple):
    """What a node must have: `ours` are the versions of what decides bytes, and at `path`, in the workspace, stands
    `secret`; or else in the artifact store `store`, where that is named, in the objects of the run `token`."""

    ours: dict[str, str | None]
    path: str
    secret: str
    store: str = ""
    token: str = ""

    @property
    def root(self) -> Path:
        """The workspace."""
        return Path(self.path).parents[2]


def installed(libraries: tuple[str, ...]) -> dict[str, str | None]:
    """Versions of Python and of libraries; None of those that are not here."""
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {name: version(name) for name in libraries}


def differing(wanted: Mapping[str, str | None], found: Mapping[str, str | None]) -> list[str]:
    """What of `wanted` is another version in `found`, or only in one of them, in words."""
    return [
        f"{name} {found[name] or 'absent'} instead of {there or 'none'}"
        for name, there in wanted.items()
        if found[name] != there
    ]


def unfit(needs: Needs) -> tuple[str, bool]:
    """Why this node would not do, "" where it would; and whether it is without the workspace."""
    ours = needs.ours
    has = installed(tuple(name for name in ours if name != "python"))
    if other := differing(ours, has):
        return f"has other versions, and would make other data: {', '.join(other)}", False
    try:
        seen = Path(needs.path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        seen = ""
    if seen == needs.secret:
        return _full(), False
    if not needs.store:
        return UNSEEN, True
    try:
        there = b"".join(remote.opened(needs.store).read(objects.seen(needs.token)))
    except errors.MirepoixError as e:
        return f"sees neither the workspace nor the artifact store: {getattr(e, 'message', e)}", True
    return (
        _full()
        if there == needs.secret.encode()
        else "sees another artifact store of that name: is it the same endpoint, with the same rights?"
    ), True


def _full() -> str:
    """That the disk is full where Ray keeps its files, in words; "" where it is not."""
    place = Path(_place())
    free = shutil.disk_usage(place).free
    return (
        f"has {size(free)} free in {place}, where Ray keeps its files: make room there" if free < ROOM else ""
    )


def _place() -> str:
    """The folder of the node's session; of a process that is no worker, the system's for temporary files."""
    node = getattr(sys.modules.get("ray._private.worker"), "_global_node", None)
    return str(node.get_session_dir_path()) if node is not None else tempfile.gettempdir()


_ready: tuple[int, Any] = (0, None)
_fit: Needs | None = None
_mirror: Mirror | None = None


def do(work: tuple[bytes, Needs, bool], piece: bytes) -> tuple[str, bytes]:
    """The batch function on a piece; files pass through the artifact store, or else both are pickled as they are. What
    it raises is no fault of Ray's, and comes back as it is. A worker looks first whether its node would do: it may have
    come to the cluster only now."""
    global _ready, _fit, _mirror
    pickled, needs, staged = work
    try:
        if _fit != needs:
            why, without = unfit(needs if staged else needs._replace(store=""))
            if why:
                return _refused(LATE if without and needs.store and not staged else why)
            _mirror = Mirror(remote.opened(needs.store), needs.token) if without else None
            _fit = needs
        if _ready[0] != (mine := hash(pickled)):
            _ready = mine, _opened(pickled, needs, staged)
        of = _opened(piece, needs, staged)
    except ImportError as e:
        return _refused(f"lacks what it is to work with: {e}; install there what is installed here")
    except (errors.StepError, OSError) as e:
        return _refused(f"cannot get what it is to work on: {_words(e)}")
    try:
        came = _ready[1](of)
    except Exception as e:
        if _mirror is None:
            return "raised", errors.pickled(e)
        _mirror.drop()
        if isinstance(e, OSError):  # of this node's, which is not the user's machine
            return _refused(f"cannot work on it: {_words(e).replace(str(_mirror.folder), '…')}")
        return "raised", errors.pickled(e)
    if not staged:
        return "done", pickle.dumps(came)
    try:
        return "done", pickle.dumps(
            _mirror.pack(came) if _mirror else Parcel(packed(came, needs.root)[0], [])
        )
    except (errors.StepError, OSError) as e:
        return _refused(f"cannot send what it has made: {_words(e)}")


def _words(error: errors.StepError | OSError) -> str:
    return error.message if isinstance(error, errors.StepError) else os_error(error)


def _opened(raw: bytes, needs: Needs, staged: bool) -> Any:
    """What was sent, as it is to be used here."""
    sent = pickle.loads(raw)
    if not staged:
        return sent
    return _mirror.unpack(sent) if _mirror else unpacked(sent.raw, needs.root.joinpath)


def tidy(token: str) -> None:
    """A run is at its end: what it had on this node, outside the workspace, goes."""
    mirror.tidy(token)


def _refused(why: str) -> tuple[str, bytes]:
    import ray

    return "refused", f"the node {ray.util.get_node_ip_address()} {why}".encode()


def on_each(
    ray: Any, nodes: Iterable[Mapping[str, Any]], patience: float, work: Callable[..., Any], *told: Any
) -> Iterator[tuple[str, Any, str]]:
    """What `work` says on each of these nodes, who have so many seconds for it: the node's address, what it said there,
    and in words why it said nothing; "" where it did."""
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = []
    for node in nodes:
        only = strategy(node["NodeID"], soft=False)
        there = ray.remote(num_cpus=0, max_retries=1, scheduling_strategy=only)(work)
        asked.append((node["NodeManagerAddress"], there.remote(*told)))
    for host, answer in asked:
        said, why = None, ""
        try:
            said = ray.get(answer, timeout=patience)
        except ray.exceptions.RayError as e:
            if "No module named 'runner" in str(e):
                why = "has no mirepoix, or another; install the same version as here, with its extra ray"
            elif isinstance(e, ray.exceptions.GetTimeoutError):
                why = (
                    f"does not answer within {patience:g} seconds (is memory short there?); see `ray status`"
                )
            else:
                why = f"cannot be used: {short(e)}"
        yield host, said, why


def short(error: BaseException) -> str:
    """The last line of what an error says."""
    said = (isinstance(error, OSError) and error.strerror) or str(error)  # without the number of an error
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
