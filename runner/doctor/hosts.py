"""Whether the hosts answer that a recipe asks: through the guarded client, into a folder that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.doctor.findings import Finding
from runner.fetching import Unfetched
from runner.hosts import Asked
from runner.net.client import Client
from runner.net.failures import Refused, TooMuch
from runner.settings import Settings

_MOST = 64 << 10


def reached(asked: list[Asked], settings: Settings) -> Iterator[Finding]:
    """Whether each answers. Any answer counts: that its front page is no page says nothing of what is behind it."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder, Client(settings, Path(folder)) as client:
        for origin, one in {a.origin: a for a in reversed(asked) if a.origin}.items():
            host, who = one.host, one.why
            try:
                client.get(f"{origin}/", most=_MOST, robots=False)
            except (Refused, TooMuch) as e:
                status = getattr(e, "status", 200)
                if status < 500:
                    yield Finding("recipe", host, "ok", f"answers ({who})")
                else:
                    yield Finding("recipe", host, "warn", f"{e} ({who})", "try again later")
            except Unfetched as e:
                do = "see to the network, the setting proxy, or the address in your settings"
                yield Finding("recipe", host, "missing", f"not in reach: {e} ({who})", do)
            else:
                yield Finding("recipe", host, "ok", f"answers ({who})")
