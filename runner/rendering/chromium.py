"""A Chromium that reaches nothing: how one is found, started, and ended for certain."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
MEMORY = 1536 << 20
"""Bytes that each of its processes may write to."""
FILE = 256 << 20
"""Bytes of the largest file that it may write; shared memory counts as one."""
_PATIENCE = 5.0
# Whatever is not intercepted (sockets, look-ups ahead, Chromium's own errands) has no names, no addresses, no way out.
_FLAGS = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://nowhere.invalid:9",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-domain-reliability",
    "--disable-remote-fonts",
    "--dns-prefetch-disable",
    "--no-pings",
    "--disable-gpu",
    "--disable-3d-apis",
    "--renderer-process-limit=2",
    "--js-flags=--max-old-space-size=512",
)
# Playwright takes these guards away, for tests of pages that are trusted.
_NOT = ("--disable-popup-blocking", "--disable-ipc-flooding-protection", "--enable-unsafe-swiftshader")
# Chromium becomes the leader of its own process group, which is how all of it can be ended.
_START = """\
#!/bin/sh
echo $$ > {pid}
ulimit -c 0
ulimit -d {memory} || exit 1
ulimit -f {blocks} || exit 1
exec {program} "$@"
"""


def found(playwrights: str) -> str:
    """Playwright's own Chromium if it was downloaded, else the system's. Raises LookupError."""
    if Path(playwrights).is_file():
        return playwrights
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise LookupError(f"none of {', '.join(NAMES)} is on PATH")


class Chromium:
    """One browser process with a home of its own, which goes with it. `browser` is there after `start`."""

    def __init__(self) -> None:
        self.browser: Browser
        self._playwright: Any = None
        self._home: Path | None = None

    async def start(self) -> None:
        """Raises LookupError where no Chromium is installed, OSError where it does not start."""
        from playwright.async_api import Error, async_playwright

        self._home = home = Path(tempfile.mkdtemp(prefix="mirepoix-browser-"))
        try:
            self._playwright = await async_playwright().start()
            program = found(self._playwright.chromium.executable_path)
            as_root = (
                hasattr(os, "geteuid") and os.geteuid() == 0
            )  # Chromium's sandbox refuses to work for root
            self.browser = await self._playwright.chromium.launch(
                executable_path=_starter(home, program),
                args=[*_FLAGS],
                ignore_default_args=[*_NOT],
                chromium_sandbox=not as_root,
                handle_sigint=False,  # we end it ourselves, after what is under way
                handle_sigterm=False,
                handle_sighup=False,
                env=_environment(home),
            )
        except Error as e:
            await self.end()
            raise OSError(_first_line(e)) from None
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """End it: asked first, then killed. May be called again."""
        from playwright.async_api import Error

        playwright, self._playwright = self._playwright, None
        # An Error means that the browser, or the driver between us, is gone already.
        if playwright is not None and hasattr(self, "browser"):
            with suppress(Error, asyncio.TimeoutError):
                await asyncio.wait_for(self.browser.close(), _PATIENCE)
        if self._home is not None:
            _kill(self._home / "pid")
        if playwright is not None:
            with suppress(Error, asyncio.TimeoutError):
                await asyncio.wait_for(playwright.stop(), _PATIENCE)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None


def _environment(home: Path) -> dict[str, str]:
    """What it may know of the user's: no keys, no profile."""
    passed = {n: os.environ[n] for n in ("PATH", "LD_LIBRARY_PATH") if n in os.environ}
    return passed | {"HOME": str(home), "TMPDIR": str(home), "TZ": "UTC"}


def _starter(home: Path, program: str) -> str:
    """A program that is this Chromium within bounds: Playwright starts nothing but a file with flags."""
    script = home / "chromium"
    text = _START.format(
        pid=shlex.quote(str(home / "pid")),
        memory=MEMORY >> 10,
        blocks=FILE // 512,
        program=shlex.quote(program),
    )
    script.write_text(text, encoding="utf-8")
    script.chmod(0o700)
    return str(script)


def _kill(pid: Path) -> None:
    """What is left of the process group, if anything."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):  # it never started, or has ended
        os.killpg(int(pid.read_text()), signal.SIGKILL)


def _first_line(e: Exception) -> str:
    return next((line.strip() for line in str(e).splitlines() if line.strip()), "it says nothing")
