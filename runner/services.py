"""Services of the user's settings that filters and judges may ask.

Each request goes out once, and its answer is kept for ever. So a step that asks stays a function of what it got: the
same texts have the same answers in this workspace, whatever the service says of them later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.settings import Settings

if TYPE_CHECKING:
    from runner.net.client import Client
    from runner.net.watched import Limits

Ask = Callable[..., Any]
"""A service's name, a JSON body, and what reads its answer → the answer as read. Raises StepError; an answer of which
the reading raises ValueError is not kept. `most` is the most bytes of an answer; `lenient=True` raises Unfetched for an
answer that does not come or is none, for who can go on without it. May be used from several threads."""

_PATHS = {"moderation": "/moderations", "judge": "/chat/completions", "teacher": "/chat/completions"}
_MOST = 4 << 20  # bytes of an answer


def unset(settings: Settings, service: str) -> str:
    """Which setting is to say where a service is; empty where one does. Raises UsageError."""
    if service in _PATHS:
        return "" if settings[f"{service}_url"] else f"setting {service}_url"
    return "" if service in settings.endpoints else f"setting endpoints, as {service}=URL"


def _place(settings: Settings, service: str, step: str) -> tuple[str, str]:
    """Where a service is asked, and with which key: one that has settings of its own, or an endpoint of the table."""
    known = service in _PATHS
    url, key = (
        (settings[f"{service}_url"], settings[f"{service}_key"])
        if known
        else settings.endpoints.get(service, ("", ""))
    )
    if not url:
        raise StepError(step, f"names the service {service!r}; say where it is: {unset(settings, service)}")
    return url + _PATHS.get(service, "/chat/completions"), key


@contextmanager
def asking(settings: Settings, root: Path, step: str, limits: Limits | None = None) -> Iterator[Ask]:
    """A way to ask, through the guarded client, which is made when it is first needed."""
    from contextlib import ExitStack
    from threading import Lock

    with ExitStack() as stack:
        clients: list[Client] = []
        making = Lock()

        def client() -> Client:
            with making:
                if not clients:
                    from runner.net.client import Client

                    clients.append(stack.enter_context(Client(settings, root, limits=limits)))
                return clients[0]

        def ask(
            service: str,
            body: bytes,
            read: Callable[[bytes], Any],
            *,
            most: int = _MOST,
            lenient: bool = False,
        ) -> Any:
            url, key = _place(settings, service, step)
            net = client()
            try:
                got = net.get(
                    url,
                    accept="application/json",
                    most=most,
                    keep="recorded",
                    robots=False,
                    headers={"Authorization": f"Bearer {key}"} if key else {},
                    body=body,
                )
            except Unfetched as e:
                if lenient:
                    raise
                raise StepError(
                    step, f"the service {service!r} did not answer: {e}; run it again to go on"
                ) from None
            try:
                return read(got.bytes())
            except ValueError as e:
                net.forget(got)
                if lenient:
                    raise Unfetched(f"its answer is none: {e}", transient=True) from None
                raise StepError(step, f"the service {service!r} gave an answer that is none: {e}") from None

        yield ask
