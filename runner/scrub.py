"""What is secret, blotted out of what is written down: same length, in place.

A job gets some keys (a hub's token, a proxy's password, an endpoint's key), and whatever it or a server prints of them
would stay in logs, reports and trackers' files. Here is which secrets this user has, in which spellings they may turn
up, and how they are covered with asterisks. Each byte covered is one byte before and after. So a log can be cleaned
while its job goes on writing, a kill in between loses nothing of it, and files that hold lengths stay readable. A pipe
through our own process would do the same at the price of what is in the pipe when we are killed.

A secret that somebody changes on purpose (reversed, encrypted, letter by letter) is not found.
"""

from __future__ import annotations

import base64
import html
import json
import netrc
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from runner.errors import UsageError
from runner.settings import SETTINGS, Settings
from runner.settings import load as load_settings

LEAST = 6
"""Characters. Shorter ones would be found in half of all texts, and are no secrets."""
NO_SECRETS = frozenset(
    ("anything", "api-key", "dummy-key", "lm-studio", "local-key", "no-key-required", "not-needed", "ollama", "openai",
     "password", "placeholder", "sk-dummy", "sk-no-key-required", "sk-test", "token-abc123")
)  # fmt: skip
"""What people give to local servers that want a key and read none: words that texts hold, too."""
MOST = 64 << 20
"""Bytes of a file that `folder` looks into; weights are larger, and binary."""
PIECE = 8 << 20
_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(?:_ID)?\Z", re.I)
_PROXY = re.compile(r"(?:HTTP|HTTPS|ALL|FTP)_PROXY\Z", re.I)
_LOGIN = re.compile(r"://([^/@\s]*)@")
_OURS = ("HF_", "HUGGING", "MIREPOIX_", "WANDB_")
"""Variables that we and the libraries below us read: these are keys, whatever they look like."""
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npy", ".parquet", ".arrow")


def _base64(raw: bytes) -> Iterator[bytes]:
    """What must stand in base64 of any text that holds `raw`: one spelling for each of its three places."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw)
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        yield whole[first:last]
        yield whole[first:last].translate(bytes.maketrans(b"+/", b"-_"))


@lru_cache(64)
def spellings(secret: str) -> tuple[bytes, ...]:
    """The byte strings that tell a secret: plain, URL-encoded, as JSON (twice over too), Python, HTML, hex, base64."""
    raw = secret.encode("utf-8", "surrogateescape")
    plain = raw.decode("utf-8", "replace")
    once = {json.dumps(plain, ensure_ascii=a)[1:-1] for a in (True, False)}
    twice = {json.dumps(text, ensure_ascii=a)[1:-1] for text in once for a in (True, False)}
    urls = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    urls |= {re.sub(r"%..", lambda m: m[0].lower(), text) for text in urls}
    texts = once | twice | urls | {x.replace("/", r"\/") for x in once}
    texts |= {
        repr(plain)[1:-1],
        html.escape(plain),
        html.escape(plain).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    }
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), *(t.encode() for t in texts), *_base64(raw)}
    return tuple(sorted((f for f in found if len(f) >= LEAST), key=lambda f: (-len(f), f)))


class Scrubber:
    """Covers some secrets. Empty ones, short ones and well-known placeholders are none."""

    def __init__(self, secrets: Iterable[str]) -> None:
        real = {s for s in secrets if len(s) >= LEAST and s.lower() not in NO_SECRETS}
        found = {f for s in real for f in spellings(s)}
        self._spellings = sorted(found, key=lambda f: (-len(f), f))
        self.longest = max(map(len, self._spellings), default=0)

    def __bool__(self) -> bool:
        return bool(self._spellings)

    def data(self, raw: bytes) -> bytes:
        """As many bytes, with asterisks for those that tell a secret."""
        # One after the other, the longest first: what is left of another spelling would be a part of it still.
        for s in self._spellings:
            if s in raw:
                raw = raw.replace(s, b"*" * len(s))
        return raw

    def text(self, text: str) -> str:
        if not self:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        clean = self.data(raw)
        return text if clean == raw else clean.decode("utf-8", "surrogatepass")

    def stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes, clean, in other pieces: the end of each waits for what follows it."""
        held = b""
        for chunk in chunks:
            held = self.data(held + chunk)
            if (safe := len(held) - max(self.longest - 1, 0)) > 0:
                yield held[:safe]
                held = held[safe:]
        if held:
            yield held

    def file(self, path: Path, start: int = 0) -> int:
        """Clean a file in place from `start` on; where to go on when it has grown. It follows no link.

        Raises OSError.
        """
        if not self:
            return start
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return start
            at = max(0, start)
            writer = -1
            try:
                while raw := os.pread(fd, PIECE, at):
                    clean = self.data(raw)
                    if clean != raw:
                        if writer < 0:
                            writer = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                        for first, last in _differing(raw, clean):
                            os.pwrite(writer, clean[first:last], at + first)
                    step = len(raw) - max(self.longest - 1, 0)
                    if len(raw) < PIECE or step <= 0:
                        return max(at, at + step)
                    at += step
                return at
            finally:
                if writer >= 0:
                    os.close(writer)
        finally:
            os.close(fd)

    def folder(self, root: Path) -> None:
        """Clean all files below a folder but weights and tables; it follows no link. What is not there is clean."""
        if not self:
            return
        for folder, _, names in os.walk(root):
            for name in names:
                path = Path(folder, name)
                if path.suffix in _WEIGHTS:
                    continue
                with suppress(FileNotFoundError):  # a job that ends may still take its own files away
                    if stat.S_ISREG((found := path.lstat()).st_mode) and found.st_size <= MOST:
                        self.file(path)


class Log:
    """A file that a job writes to, cleaned again and again: what it has grown by, each time."""

    def __init__(self, path: Path, scrubber: Scrubber) -> None:
        self._path, self._scrubber, self._at = path, scrubber, 0

    def clean(self) -> None:
        """Clean what is new in it. One that is gone is clean; what may not be written is an OSError."""
        with suppress(FileNotFoundError):
            if self._path.stat().st_size > self._at:
                self._at = self._scrubber.file(self._path, self._at)


def _differing(a: bytes, b: bytes) -> Iterator[tuple[int, int]]:
    """Where covered bytes stand in `b`, which is as long as `a`: only these are written."""
    for run in re.finditer(rb"\*+", b):
        if a[run.start() : run.end()] != b[run.start() : run.end()]:
            yield run.start(), run.end()


def secrets(environ: Mapping[str, str] | None = None, settings: Settings | None = None) -> set[str]:
    """The values that this user would not see written down: of secret settings, of variables that are named so, of
    proxies, and of the files in which the hub's and the trackers' libraries keep theirs.

    `settings` None: as `environ` and the settings file say; a file that cannot be read says nothing (whoever reads the
    settings for themselves is told what is wrong with it).
    """
    environ = os.environ if environ is None else environ
    if settings is None:
        with suppress(UsageError):
            settings = load_settings(environ)
    found = set()
    for name, value in settings.values.items() if settings else ():
        if name == "endpoint_keys":
            found |= {pair.partition("=")[2].strip() for pair in value.split(",")}
        elif SETTINGS[name].secret:
            found.add(value.strip())
        found |= _logins(value)
    for name, value in environ.items():
        if name == "MIREPOIX_ENDPOINT_KEYS":
            found |= {pair.partition("=")[2].strip() for pair in value.split(",")}
        elif _SECRET.search(name) and (name.startswith(_OURS) or _looks_so(value)):
            found.add(value.strip())
        if _PROXY.fullmatch(name):
            found |= _logins(value if "://" in value else f"://{value}")
    return {s for s in found | _kept(environ) if s}


def _looks_so(value: str) -> bool:
    """Whether the value of any variable called …KEY is one: no word (SORT_KEY=created), and no place of a key."""
    word = len(value) < 16 and not any(c.isdigit() for c in value)
    return not word and not (value.startswith(("/", "~")) and Path(value).expanduser().exists())


def _logins(text: str) -> set[str]:
    """Passwords in addresses, as they stand and decoded."""
    said = {login.rpartition(":")[2] if ":" in login else login for login in _LOGIN.findall(text)}
    return said | {unquote(s) for s in said}


def _kept(environ: Mapping[str, str]) -> set[str]:
    """What libraries keep in the user's home: the hub's token, passwords of ~/.netrc, and logins at registries."""
    home = Path(environ.get("HOME") or Path.home())
    hub = Path(
        environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or home / ".cache", "huggingface")
    )
    found = set()
    for path in (Path(environ.get("HF_TOKEN_PATH") or hub / "token"),):
        with suppress(OSError, ValueError):  # mostly there is none
            found.add(path.read_text(encoding="utf-8")[:10_000].strip())
    with suppress(OSError, ValueError, netrc.NetrcParseError):
        found |= {login[2] for login in netrc.netrc(home / ".netrc").hosts.values() if login[2]}
    for docker in {Path(environ.get("DOCKER_CONFIG") or home / ".docker"), home / ".docker"}:
        found |= set(_logins_of_docker(docker / "config.json"))
    return found


def _logins_of_docker(path: Path) -> Iterator[str]:
    """What `docker login` keeps, which registries of packs are asked with: passwords, in base64 too, and tokens."""
    with suppress(OSError, ValueError, RecursionError, AttributeError, LookupError, TypeError):
        for login in json.loads(path.read_bytes()[:MOST])["auths"].values():
            yield from (
                v for n in ("auth", "password", "identitytoken") if isinstance(v := login.get(n), str)
            )
            yield base64.b64decode(login.get("auth", "")).decode("utf-8", "replace").partition(":")[2]


def known(more: Mapping[str, str] | None = None, settings: Settings | None = None) -> Scrubber:
    """Covers all of `secrets`, and those of `more`, the variables that a job is given besides."""
    return Scrubber(
        secrets(settings=settings) | {s for name, s in (more or {}).items() if _SECRET.search(name)}
    )


if __name__ == "__main__":  # a warden's last deed, where we were killed: runner/jobs/warden.py
    known().file(Path(sys.argv[1]))
