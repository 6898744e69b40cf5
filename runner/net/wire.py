"""One request and its answer, over a connection of its own.

Connections are not kept for the next request. So each is checked when it is made, an answer's end is also the
connection's, and what a server sends beyond the length that it announced is seen instead of being taken for the
next answer.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import certifi
import httpcore

from runner.errors import UsageError, safe
from runner.fetching import Unfetched
from runner.net import urls
from runner.net.failures import Again
from runner.net.guard import Guard
from runner.net.pace import Stop
from runner.net.watched import Backend, Budget, Limits, Watch, Watched


class Answer:
    """Status, headers and the body as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self._headers = [(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.headers]
        self._response = response
        self._stream: Watched = response.extensions["network_stream"]
        self._stream.head_is_over()
        length = self.get("content-length")
        self.chunked = "chunked" in self.get("transfer-encoding").lower()
        self.length = int(length) if length and not self.chunked else -1
        """The length that was announced, or -1."""

    @property
    def proven(self) -> bool:
        """Whether the body's end is announced, so that a cut is an error and never passes for the end."""
        return self.chunked or self.length >= 0

    def get(self, name: str) -> str:
        """A header, "" where it is not there; the first if several are."""
        return next((v for k, v in self._headers if k == name), "")

    def all(self, name: str) -> list[str]:
        return [v for k, v in self._headers if k == name]

    def chunks(self) -> Iterator[bytes]:
        """The body. Raises Unfetched, within `exchange`, where it breaks off."""
        assert isinstance(self._response.stream, Iterable)
        yield from self._response.stream

    def lied(self) -> bool:
        """Whether more came than was announced; to be asked after the body."""
        return self.length >= 0 and self._stream.beyond(self.length)

    def start(self, most: int) -> bytes:
        """The first bytes of a body that matters little (an error page), and the connection's end if it is near."""
        text, until = b"", time.monotonic() + 5
        # What is wrong with such a body is no news beside its status.
        with contextlib.suppress(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            for chunk in self.chunks():
                text += chunk
                if len(text) > most or time.monotonic() > until:
                    return text[:most]
            self._stream.beyond(max(self.length, self._stream.came))
        return text


def tls_context() -> ssl.SSLContext:
    """Trusts what the system trusts, and the usual authorities where the system knows none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Wire:
    """Sends requests; follows nothing, retries nothing."""

    def __init__(self, guard: Guard, limits: Limits, proxy: str, tls: ssl.SSLContext | None) -> None:
        self._guard, self._limits, self._given = guard, limits, tls
        self._proxy = _proxy(proxy) if proxy else None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given or tls_context()  # a tenth of a second, which plain http need not spend

    @contextmanager
    def exchange(
        self,
        address: urls.Address,
        headers: Mapping[str, str],
        body: bytes | None,
        budget: Budget,
        stop: Stop,
        method: str = "",
        sent: Callable[[], None] = lambda: None,
    ) -> Iterator[Answer]:
        """One answer, whose body can be read inside the context. Without a method: GET, or POST where there is a body.
        `sent` is told, once or more, when the request has gone out.

        Raises Unfetched.
        """
        limits = self._limits
        if self._proxy is not None:
            self._guard.behind_proxy(address.host, address.port)
        port = None if address.port == urls.PORTS[address.scheme] else address.port
        url = httpcore.URL(scheme=address.scheme, host=address.host, port=port, target=address.target)
        times = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": limits.connect}
        with budget.running() as deadline:
            watch = Watch(limits, limits.read if body is None else limits.think, deadline, stop, sent=sent)
            with (
                _worded(address.place, watch),
                httpcore.ConnectionPool(
                    ssl_context=self._tls if address.scheme == "https" else None,
                    proxy=self._proxy,
                    max_connections=1,
                    network_backend=Backend(self._guard, watch),
                ) as pool,
                pool.stream(
                    method or ("GET" if body is None else "POST"),
                    url,
                    headers=[(k.encode("ascii"), v.encode("latin-1")) for k, v in headers.items()],
                    content=body,
                    extensions={"timeout": times},
                ) as response,
            ):
                yield Answer(response)


def _proxy(setting: str) -> httpcore.Proxy:
    scheme, _, rest = setting.partition("://")
    user, _, host = rest.rpartition("@")
    if scheme not in urls.PORTS:
        raise UsageError("setting proxy: write http://HOST:PORT")
    name, _, password = user.partition(":")
    address = urls.parse(f"{scheme}://{host}")
    url = httpcore.URL(scheme=scheme, host=address.host, port=address.port, target="/")
    return httpcore.Proxy(url, auth=(name, password) if user else None)


@contextmanager
def _worded(place: str, watch: Watch) -> Iterator[None]:
    """What went wrong on the wire, in plain words and without what the request held."""
    try:
        yield
    except httpcore.ConnectTimeout:
        raise Again(f"{place} could not be reached within {watch.limits.connect:g} s") from None
    except httpcore.ConnectError as e:
        cause = e.args[0] if e.args else None
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Unfetched(f"the certificate of {place} does not hold: {cause.verify_message}") from None
        why = getattr(cause, "strerror", None) or "no connection"
        raise Again(f"{place} cannot be reached: {why}") from None
    except httpcore.ReadTimeout as e:
        raise Again(f"{place}: {e}") from None
    except httpcore.TimeoutException:
        raise Again(f"{place} took too long") from None
    except httpcore.RemoteProtocolError as e:
        if watch.ended:
            raise Again(f"{place} ended the connection before its answer was whole") from None
        raise Unfetched(f"{place} answers in broken HTTP: {safe(str(e))[:100]}") from None
    except httpcore.LocalProtocolError:  # its text may hold the headers that we send
        raise Unfetched("the request holds what HTTP cannot say") from None
    except httpcore.ProxyError as e:
        raise Unfetched(f"the proxy refuses: {safe(str(e))[:80]}", transient=True) from None
    except httpcore.NetworkError:
        raise Again(f"the connection to {place} broke off") from None
