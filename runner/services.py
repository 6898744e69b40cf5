"""Services of the user's settings that filters may ask: each request goes out once, and its answer is kept for ever.

So a step that asks stays a function of what it got: the same texts have the same answers in this workspace, whatever
the service says of them later.
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

Ask = Callable[[str, bytes, Callable[[bytes], Any]], Any]
"""A service's name, a JSON body, and what reads its answer → the answer as read. Raises StepError; an answer of which
the reading raises ValueError is not kept."""

_PATHS = {"moderation": "/moderations"}
_MOST = 4 << 20  # bytes of an answer


@contextmanager
def asking(settings: Settings, root: Path, step: str) -> Iterator[Ask]:
    """A way to ask, through the guarded client, which is made when it is first needed."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        clients: list[Client] = []

        def ask(service: str, body: bytes, read: Callable[[bytes], Any]) -> Any:
            url, key = settings[f"{service}_url"], settings[f"{service}_key"]
            if not url:
                raise StepError(
                    step, f"names the service {service!r}; say where it is: setting {service}_url"
                )
            if not clients:
                from runner.net.client import Client

                clients.append(stack.enter_context(Client(settings, root)))
            try:
                got = clients[0].get(
                    url + _PATHS[service],
                    accept="application/json",
                    most=_MOST,
                    keep="recorded",
                    robots=False,
                    headers={"Authorization": f"Bearer {key}"} if key else {},
                    body=body,
                )
            except Unfetched as e:
                raise StepError(
                    step, f"the service {service!r} did not answer: {e}; run it again to go on"
                ) from None
            try:
                return read(got.bytes())
            except ValueError as e:
                clients[0].forget(got)
                raise StepError(step, f"the service {service!r} gave an answer that is none: {e}") from None

        yield ask
