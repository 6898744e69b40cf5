"""Registries, by oras' client: it says what is asked and how one logs in; what comes is bytes to us, checked elsewhere.

Of oras neither `pull` nor `push` is used: the first writes files by names that a stranger chose, the second makes
another manifest of ours. Who the user is at a registry, oras reads where Docker keeps it (`docker login`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import oras.auth
import oras.auth.token
import oras.container
import oras.logger
import oras.provider
import requests
import stamina
from stamina.instrumentation import set_on_retry_hooks

from runner.errors import StepError, UsageError, safe
from runner.fetching import Unfetched
from runner.net.failures import Again, NotPublic
from runner.oci import wire
from runner.oci.manifest import MANIFEST, MOST_MANIFEST, Contents, Descriptor
from runner.oci.reference import Reference
from runner.settings import Settings

_CHUNKED = 64 << 20
"""Bytes from which a file goes up in pieces."""
_PIECE = 16 << 20
_DOCKER = ("docker.io", "index.docker.io", wire.DOCKER)
T = TypeVar("T")


class _Login(oras.auth.token.TokenAuth):
    """Tokens, and plain passwords for registries that want these."""

    def authenticate_request(
        self, original: requests.Response, headers: dict[str, str], refresh: bool = False
    ) -> tuple[dict[str, str], bool]:
        asked = original.headers.get("Www-Authenticate", "")
        if asked.lower().startswith("basic"):
            known = getattr(self, "_basic_auth", "")
            tried = "Authorization" in headers
            return (
                (headers | {"Authorization": f"Basic {known}"}, True)
                if known and not tried
                else (headers, False)
            )
        # A token that was refused has run out: oras would try the same one again.
        refresh = refresh or bool(self.token and headers.get("Authorization") == f"Bearer {self.token}")
        return super().authenticate_request(original, headers, refresh)  # type: ignore[no-any-return]


class _Client(oras.provider.Registry):
    """oras' client without its own retries, which sleep for minutes and print what a registry says."""

    def __init__(self, ref: Reference, settings: Settings) -> None:
        super().__init__(hostname=ref.host, insecure=ref.here)
        self.session, self.way = wire.session(ref, settings)
        self.auth = _Login()
        self.auth.session, self.auth.prefix, self.auth._tls_verify = self.session, self.prefix, True

    def do_request(
        self, url: str, method: str = "GET", headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        once = oras.provider.Registry.do_request.__wrapped__
        response: requests.Response = once(self, url, method, headers=dict(headers or {}), **more)
        return response


class Remote:
    """One pack, or the place for one, in a registry. Raises StepError for all that goes wrong with it."""

    def __init__(self, ref: Reference, settings: Settings) -> None:
        self.said, docker = str(ref), ref.host in _DOCKER
        self.ref = ref = replace(ref, host=wire.DOCKER) if docker else ref
        oras.logger.logger.log_handler = []  # what a registry says would go to the terminal as it is
        set_on_retry_hooks(())  # else stamina logs each retry
        self._client = _Client(ref, settings)
        self._at = oras.container.Container("x")
        self._at.registry, self._at.namespace, self._at.repository = ref.host, None, ref.name
        self._at.tag, self._at.digest = ref.tag, f"sha256:{ref.digest}" if ref.digest else None
        self._worded(self._known)

    def _known(self) -> None:
        named = os.environ.get("DOCKER_CONFIG")
        configs = [str(Path(named, "config.json"))] if named and Path(named, "config.json").is_file() else []
        self._client.auth.load_configs(self._at, configs=configs)
        if self.ref.host == wire.DOCKER:
            self._client.auth._load_auth("https://index.docker.io/v1/")

    def manifest(self) -> bytes:
        if not (self.ref.tag or self.ref.digest):
            raise UsageError(f"{self.said}: which one? say {self.said}:TAG or {self.said}@sha256:…")
        return self._manifest()

    def _manifest(self, of: str | None = None) -> bytes:
        url = self._url(self._at.manifest_url(of))
        with self._asked("GET", url, MOST_MANIFEST + 1, headers={"Accept": MANIFEST}) as response:
            self._found(response, "pack")
            return self._worded(lambda: response.content)

    def blob(self, one: Descriptor) -> Iterator[bytes]:
        url = self._url(self._at.get_blob_url(one.digest))
        with self._asked("GET", url, one.size + 1) as response:
            self._found(response, f"blob {one.digest[:19]}…")
            pieces = response.iter_content(1 << 20)
            while piece := self._worded(lambda: next(pieces, b"")):
                yield piece

    def alone(self, wanted: frozenset[str]) -> None:
        """A registry holds other packs, too; this one is what its manifest names."""

    def push(
        self, contents: Contents, blobs: Mapping[str, Path | bytes], tell: Callable[[str], None]
    ) -> None:
        """The blobs that the registry lacks, and then the manifest, byte for byte."""
        names = {f.sha256: f.name for f in contents.files}
        with tempfile.TemporaryDirectory(prefix="mirepoix-push-") as scratch:
            for sha256 in sorted(blobs):
                content = blobs[sha256]
                path = content if isinstance(content, Path) else Path(scratch, sha256)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                tell(names.get(sha256, "what the pack says of itself"))
                self._upload(path, sha256)
        url = self._url(self._at.manifest_url())
        with self._asked(
            "PUT", url, wire.SMALL, data=contents.raw, headers={"Content-Type": MANIFEST}
        ) as response:
            self._ok(response, "take the manifest")
        if self._manifest(f"sha256:{contents.digest}") != contents.raw:
            raise StepError("push", f"{self.said} has kept other bytes than were pushed")

    def _upload(self, path: Path, sha256: str) -> None:
        size = path.stat().st_size
        layer = {"digest": f"sha256:{sha256}", "size": size}
        response = self._worded(
            lambda: self._client.upload_blob(
                str(path), self._at, layer, do_chunked=size > _CHUNKED, chunk_size=_PIECE
            )
        )
        self._ok(response, "take a file")

    def _url(self, rest: str) -> str:
        return f"{self._client.prefix}://{rest}"

    def _asked(self, method: str, url: str, most: int, **more: Any) -> requests.Response:
        """An answer whose body is still to be read, at most so many bytes. What may work in a moment is tried again."""
        for attempt in stamina.retry_context(
            on=Again, attempts=3, timeout=None, wait_initial=0.5, wait_max=4.0
        ):
            with attempt:
                self._client.way.most = max(most, wire.SMALL)  # a token may be asked for on the way
                try:
                    return self._worded(
                        lambda: self._client.do_request(url, method, stream=True, **more), again=True
                    )
                except Again as e:
                    if attempt.num == 3:
                        raise StepError("registry", str(e)) from None
                    raise
                finally:
                    self._client.way.most = wire.SMALL
        raise AssertionError("unreachable")

    def _worded(self, do: Callable[[], T], again: bool = False) -> T:
        """What goes wrong in oras, requests or on the wire, as one sentence that tells no secret."""
        try:
            return do()
        except Again as e:
            if again:
                raise
            raise StepError("registry", str(e)) from None
        except Unfetched as e:
            host, port = self.ref.address
            known = isinstance(e, NotPublic) and host in str(e)  # and not where it has sent us
            hint = f"; if you know it: --allow {host}:{port}" if known else ""
            raise StepError("registry", f"{self.said}: {safe(str(e))}{hint}") from None
        except requests.TooManyRedirects:
            raise StepError(
                "registry", f"{self.said}: the registry sends us from one place to the next"
            ) from None
        except (requests.RequestException, ValueError, LookupError, TypeError, AttributeError, OSError) as e:
            # oras takes what a registry or a Docker configuration says for what it should be.
            if "authentication" in str(e):
                raise self._refused() from None
            what = f"{self.ref.host} gives an answer that is none ({type(e).__name__})"
            raise StepError("registry", what) from None

    def _found(self, response: requests.Response, what: str) -> None:
        if response.status_code == 404:
            raise StepError("registry", f"{self.said}: there is no such {what}")
        self._ok(response, f"give the {what}")

    def _ok(self, response: requests.Response, what: str) -> None:
        if response.status_code in (401, 403):
            raise self._refused()
        if response.status_code not in (200, 201, 202):
            raise StepError(
                "registry", f"{self.said}: the registry does not {what}: it says {response.status_code}"
            )

    def _refused(self) -> StepError:
        what = f"{self.said}: the registry wants to know who asks, or does not allow it"
        return StepError("registry", f"{what}; log in: docker login {self.ref.host}")
