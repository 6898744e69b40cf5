"""What sends requests in a worker on another machine, by the settings of who asks for them.

It has none of its own there: neither settings nor secrets. Which addresses it may reach it checks itself, when it makes
the connection (`runner.net.guard`), as all do.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.errors import pickled
from runner.net.cache import Cache
from runner.net.errand import Errand
from runner.net.guard import Guard
from runner.net.hop import Exchange
from runner.net.pace import Stop, Turn
from runner.net.watched import Limits
from runner.net.wire import Wire

Tell = Callable[[str, bytes], None]
"""Takes `sent`, `over` (as in `runner.net.pace.Turn`), and at the end either `done` or `raised`."""


@dataclass(frozen=True)
class Setup:
    """What a worker has to know. `root` is the store's folder, which it sees at the same path."""

    root: Path
    named: frozenset[tuple[str, int]]
    """Hosts and ports that may be reached though they are not public."""
    limits: Limits
    agent: str
    loopback: str
    """Of who asks, as `loopback` tells it."""


def loopback() -> str:
    """What 127.0.0.1 means here: the same text wherever it is the same machine (or container)."""
    boot, space = platform.node(), ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with suppress(OSError):
        space = str(Path("/proc/self/ns/net").stat().st_ino)
    return f"{boot} {space}"


class Worker:
    """Sends requests. May be used from several threads."""

    def __init__(self, setup: Setup) -> None:
        guard = Guard.of(setup.named, here=setup.loopback == loopback())
        wire = Wire(guard, setup.limits, "", None)
        self._exchange = Exchange(wire, Cache(setup.root), setup.limits, setup.agent)
        self._stops: dict[int, Stop] = {}

    def take(self, number: int) -> None:
        """There is a request of that number: from now on it may be dropped."""
        self._stops[number] = Stop()

    def drop(self, number: int) -> None:
        """Nobody waits for that request."""
        if stop := self._stops.get(number):
            stop.set()

    def send(self, number: int, errand: bytes, tell: Tell) -> None:
        """Send it, and tell what comes of it; whatever goes wrong is told, too."""
        turn = Turn(lambda: tell("sent", b""), lambda: tell("over", b""))
        try:
            one: Errand = pickle.loads(errand)
            end = "done", pickle.dumps(self._exchange.send(one, self._stops[number], turn))
        except Exception as e:
            end = "raised", pickled(e)
        self._stops.pop(number, None)
        tell(*end)
