"""What oras sends goes out through the guarded client's connections, and what comes back is counted.

oras' client speaks through requests. Here requests gets another way to the network: each connection, redirects and
token services too, is made to a checked address, with limits of time and size, and http is spoken with this machine
alone. The user's login goes to the registry itself and to the token service that belongs to it; to no other host,
whatever a registry says (`Location`, `Www-Authenticate`). Nothing of the environment (proxies, ~/.netrc) is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.net import urls
from runner.net.client import agent
from runner.net.failures import TooMuch
from runner.net.guard import Guard
from runner.net.pace import Stop
from runner.net.urls import Address
from runner.net.watched import Budget, Limits
from runner.net.wire import Answer, Wire
from runner.oci.reference import Reference, is_loopback
from runner.settings import Settings

SMALL = 1 << 20
"""Bytes of an answer that is not said to be larger: tokens, errors."""
_HEADERS = (
    "location",
    "www-authenticate",
    "docker-content-digest",
    "content-type",
    "content-length",
    "retry-after",
)
DOCKER = "registry-1.docker.io"
_TOKENS = {DOCKER: "auth.docker.io"}
"""Registries whose token service has a name of its own, which does not stand above theirs."""


def session(ref: Reference, settings: Settings) -> tuple[requests.Session, Through]:
    """A session for one registry, and its way to the network."""
    found = requests.Session()
    found.trust_env = False
    found.max_redirects = 5
    found.headers = CaseInsensitiveDict(
        {"User-Agent": agent(settings), "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    )
    way = Through(ref, settings)
    found.mount("http://", way)
    found.mount("https://", way)
    return found, way


class Through(BaseAdapter):
    """Sends a request of requests' over `Wire`. `most` is how many bytes the next answer may have.

    Raises Unfetched, and StepError where the user's login would go elsewhere.
    """

    def __init__(self, ref: Reference, settings: Settings) -> None:
        super().__init__()
        self._limits = Limits()
        self._wire = Wire(Guard(settings), self._limits, settings["proxy"], None)
        self._home = urls.parse(f"{'http' if ref.here else 'https'}://{ref.host}/")
        self.most = SMALL

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """As requests asks for it. Times, certificates and proxies are the guarded client's own affair."""
        address = urls.parse(str(request.url))
        if address.scheme == "http" and not is_loopback(address.host):
            raise Unfetched(f"{address.place} is asked over https only")
        headers = {str(k): str(v) for k, v in request.headers.items()}
        self._login(address, headers)
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if not isinstance(body, bytes | None):
            raise TypeError("oras gives bytes alone")
        stack = ExitStack()
        budget = Budget(self._limits.total + self.most / self._limits.steady)
        # Entered here and left when the answer was read, or is not wanted.
        answer = stack.enter_context(
            self._wire.exchange(address, headers, body, budget, Stop(), str(request.method))
        )
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, address.text, request
        response.headers = CaseInsensitiveDict({n: v for n in _HEADERS if (v := answer.get(n))})
        response.raw = _Raw(answer, stack, self.most, address.place)
        return response

    def _login(self, address: Address, headers: dict[str, str]) -> None:
        said = headers.get("Authorization", "")
        if not said or address.origin == self._home.origin:
            return
        if not said.lower().startswith("basic "):
            del headers["Authorization"]  # a token for the registry, at whatever keeps its blobs
        elif not self._belongs(address):
            what = f"{self._home.place} wants your login sent to {address.place}, which is not known to belong to it"
            raise StepError("registry", f"{what}: nothing was sent")

    def _belongs(self, address: Address) -> bool:
        """Whether a token service is the registry's: on its host, on one above it, or known."""
        here, there = self._home.host, address.host
        if address.scheme != "https":
            return False
        return there == here or ("." in there and here.endswith(f".{there}")) or _TOKENS.get(here) == there

    def close(self) -> None:
        return


class _Raw:
    """An answer's body as requests reads it: never unpacked, and no more than it may have."""

    def __init__(self, answer: Answer, stack: ExitStack, most: int, place: str) -> None:
        self._stack, self._most, self._place = stack, most, place
        self._chunks = self._counted(answer)

    def _counted(self, answer: Answer) -> Iterator[bytes]:
        came = 0
        try:
            for chunk in answer.chunks():
                came += len(chunk)
                if came > self._most:
                    raise TooMuch(f"{self._place} sends more than the {self._most:,} bytes that may come")
                yield chunk
        except Exception as e:
            # What went wrong on the wire is worded where the connection was opened.
            if not self._stack.__exit__(type(e), e, e.__traceback__):
                raise
        finally:
            self._stack.close()

    def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
        yield from self._chunks

    def read(self, *_: Any, **__: Any) -> bytes:
        return b"".join(self._chunks)

    def close(self) -> None:
        self._stack.close()

    def release_conn(self) -> None:
        self.close()
