"""Canaries: what no hostile case may come to, watched in every test that docs/security.md names.

- Secrets are planted where a user has theirs: variables, the settings file, ~/.netrc, the hub's token. Afterwards none
  stands in the test's folder (workspace, .mirepoix, runs, logs, trackers' files, tables unpacked) nor in what a command
  printed: plain, URL-encoded, in base64 wherever it starts.
- Nobody asks for an address: each connection that this process begins must be to this machine, in trust/ to a server of
  the test itself, and a listener that nothing may ask (it is the proxy that the user's variables name) hears from no
  process.
- No file is made, changed or taken away outside pytest's folder, and the user's home stays as it was.
- Nothing of a workspace is run: no Python file of it, no shell, no pickle that names what could run something.

Python itself tells what this process does (PEP 578), whichever library does it. Processes that are started are watched
by what they leave: files, secrets, and what the listener hears.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
CORE = "cnry4Tq9Zw2Lk7"
"""In the middle of each secret: letters and digits, which no URL-encoding changes."""
SPELLED = (CORE.encode(), *(base64.b64encode(bytes(n) + CORE.encode())[4 if n else 0 : -4] for n in range(3)))
LARGEST = 32 << 20
"""Bytes that are looked into: a test may make a file of a terabyte, all of it a hole."""
VARIABLES = ("HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN")
SETTINGS = ("judge_key", "moderation_key", "openweathermap_key", "reddit_client_secret", "signing_passphrase")
RUNS = frozenset(("os", "posix", "nt", "subprocess", "sys", "runpy", "importlib", "pty", "commands"))
BUILT_IN = frozenset(("builtins", n) for n in ("eval", "exec", "compile", "open", "__import__"))
OURS = (ROOT / ".hypothesis", ROOT / ".pytest_cache")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LIBRARIES = (".cache", ".triton", ".config/matplotlib", ".local/state/mirepoix", ".nv", ".dbus", ".pki")
"""Below the home: what libraries and `settings.state` keep there."""
_MAKES = {
    "os.mkdir": (0,), "os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,), "os.remove": (0,), "os.rmdir": (0,),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,),
}  # fmt: skip
_watch: Watch | None = None


def secret(name: str) -> str:
    return f"k/{CORE}+{name}="


def named() -> frozenset[str]:
    """The tests that docs/security.md names for its threats: files below tests/."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    table = page.partition("## Threat, behaviour, test")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"`((?:trust|unit|line|crash|kit)/test_\w+\.py)`", table))


def found(raw: bytes) -> bool:
    return any(s in raw for s in SPELLED)


def told(root: Path) -> list[str]:
    """Files below a folder that tell a secret, by their content or name. Links are not followed."""
    out = []
    for path in sorted(root.rglob("*")):
        if CORE in str(path):
            out.append(str(path))
        if stat.S_ISREG(path.lstat().st_mode):
            with path.open("rb") as file:
                raw = file.read(LARGEST)
            if found(raw) or found(_unpacked(path)):
                out.append(str(path))
    return out


def _unpacked(path: Path) -> bytes:
    """What stands in a table of ours; one that a test made may burst."""
    if path.suffix != ".parquet" or not {".mirepoix", "runs"} & set(path.parts):
        return b""
    import pyarrow.parquet as pq

    with suppress(Exception):  # one that a test damaged
        return json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
    return b""


class Trap:
    """A listener that nothing may ask; what did is in `heard`."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            asking, _ = self._server.accept()
            with asking, suppress(OSError):
                asking.settimeout(1)
                self.heard.append(b"?")
                self.heard[-1] = asking.recv(4096)


class Watch:
    """What this process did that no hostile case may make it do. `root` and `scratch` are where tests may write."""

    def __init__(self, root: Path, home: Path, scratch: Path, trap: Trap) -> None:
        self.root, self.home, self.scratch, self.trap = root, home, scratch, trap
        self.state = os.environ.get("XDG_STATE_HOME", "/nowhere")
        self.strict = True
        self.wrong: list[str] = []
        self._bound: list[socket.socket] = []
        self._heard = len(trap.heard)
        self._home = _state(home)

    def hears(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if args[2] is not None and args[2] & _WRITES:
                self._writes(event, args[0])
        elif event in _MAKES:
            for at in _MAKES[event]:
                fd = (
                    args[-1]
                    if isinstance(args[-1], int) and event not in ("os.truncate", "os.rename")
                    else -1
                )
                self._writes(event, args[at], fd)
        elif event == "socket.bind":
            self._bound.append(args[0])
        elif event == "socket.connect":
            self._asks(args[0], args[1])
        elif event in ("os.system", "os.exec", "os.posix_spawn", "pty.spawn", "webbrowser.open"):
            self.wrong.append(f"{event} {args!r:.200}")
        elif event == "subprocess.Popen":
            if isinstance(args[1], str) or Path(str(os.fsdecode(args[1][0]))).name in ("sh", "bash", "dash"):
                self.wrong.append(f"a shell: {args[1]!r:.200}")
        elif event == "pickle.find_class":
            if args[0].partition(".")[0] in RUNS or args in BUILT_IN:
                self.wrong.append(f"a pickle that names {args[0]}.{args[1]}")
        elif event == "exec":
            name = getattr(args[0], "co_filename", "")
            if name.startswith((str(self.root), str(self.scratch))):
                self.wrong.append(f"Python of a workspace was run: {name}")

    def _writes(self, event: str, path: Any, folder: int = -1) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor
        name = os.fsdecode(path)
        base = Path(f"/proc/self/fd/{folder}" if folder >= 0 else ".")
        with suppress(OSError, ValueError, RuntimeError):  # no such name can be
            full = (base.resolve() / name).parent.resolve() / Path(name).name
            there = any(
                full.is_relative_to(r)
                for r in (self.root, self.scratch, "/dev", "/proc/self", self.state, *OURS)
            )
            libraries = any(full.is_relative_to(self.home / n) for n in _LIBRARIES)
            if not there and not libraries and "__pycache__" not in full.parts:
                self.wrong.append(f"{event} {full}")

    def _asks(self, by: socket.socket, address: Any) -> None:
        if (
            by.family not in (socket.AF_INET, socket.AF_INET6)
            or by.type & socket.SOCK_DGRAM == socket.SOCK_DGRAM
        ):
            return
        own = set()
        for server in self._bound:
            with suppress(OSError):
                own.add(server.getsockname()[1])
        loopback = str(address[0]) in ("127.0.0.1", "::1", "localhost") and address[1] != self.trap.port
        if address[1] not in own and (self.strict or not loopback):
            self.wrong.append(f"{address!r} was asked")

    def check(self, folder: Path | None) -> None:
        """Fails where something was done, asked or told that may not be."""
        wrong = list(self.wrong)
        wrong += [f"the listener was asked: {x[:200]!r}" for x in self.trap.heard[self._heard :]]
        now = _state(self.home)
        wrong += [
            f"in the home: {n}" for n in sorted(now.keys() | self._home) if now.get(n) != self._home.get(n)
        ]
        for place in (folder, self.scratch):
            wrong += [f"a secret in {name}" for name in (told(place) if place is not None else ())]
        assert not wrong, "\n".join(wrong)


def _state(home: Path) -> dict[str, int]:
    """Names and times of what is in a home, but for what libraries keep there."""
    names = (p.relative_to(home).as_posix() for p in home.rglob("*"))
    kept = (
        n
        for n in names
        if not n.startswith(_LIBRARIES) and not any(k.startswith(f"{n}/") for k in _LIBRARIES)
    )
    return {n: (home / n).lstat().st_mtime_ns for n in kept} | {
        n: (home / n).lstat().st_mtime_ns for n in (".cache/huggingface/token",)
    }


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if _watch is not None:
        _watch.hears(event, args)


def plant(home: Path) -> None:
    """What a user's home holds of secrets."""
    for name, text in {
        ".netrc": f"machine example.org login me password {secret('netrc')}\n",
        ".cache/huggingface/token": secret("hub-file"),
        ".config/mirepoix/settings.toml": "".join(f'{name} = "{secret(name)}"\n' for name in SETTINGS),
        ".bashrc": "# mine\n",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
        (home / name).chmod(0o600)


@contextmanager
def watched(patch: pytest.MonkeyPatch, root: Path, home: Path, scratch: Path, trap: Trap) -> Iterator[Watch]:
    """The canaries, planted and watched while this is entered; `Watch.check` is the caller's."""
    global _watch
    for name in VARIABLES:
        patch.setenv(name, secret(name))
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        patch.setenv(name, f"http://me:{CORE}@127.0.0.1:{trap.port}")
    patch.setenv("NO_PROXY", "127.0.0.1,localhost")
    patch.setenv("HOME", str(home))
    patch.setenv("TMPDIR", str(scratch))
    patch.setattr(tempfile, "tempdir", str(scratch))
    real = CliRunner.invoke
    watch = Watch(root, home, scratch, trap)

    def invoke(self: CliRunner, *args: Any, **more: Any) -> Any:
        done = real(self, *args, **more)
        if found(done.output.encode("utf-8", "surrogatepass")):
            watch.wrong.append(f"a secret was said by {args[1:]!r:.200}")
        return done

    patch.setattr(CliRunner, "invoke", invoke)
    if not getattr(sys, "_canaries", False):
        sys._canaries = True  # type: ignore[attr-defined]
        sys.addaudithook(_heard)
    before, _watch = _watch, watch
    try:
        yield watch
    finally:
        _watch = before
