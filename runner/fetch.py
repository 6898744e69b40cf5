"""Runs a source's `fetch`: the world as a plug-in sees it, and the lock file that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from runner import lock, scrub
from runner.errors import StepError
from runner.fetching import Fetcher, Got, InputFile, Item, Keep, Unfetched, paid
from runner.record import Record
from runner.registry import plugins
from runner.settings import Settings
from runner.steps import Fetch
from runner.store import write_atomic
from runner.unchanged import inputs, unchanged

if TYPE_CHECKING:
    from runner.net.client import Client

DOUBT = "its server did not announce where it ends, nor do its bytes show it: it may be cut off"

Records = Callable[[str], Iterator[Record]]
"""A source's name → its records."""


class Net(Fetcher):
    """What `fetch` gets: the guarded client, the user's settings, and what the recipe allows to be read."""

    def __init__(
        self,
        fetch: Fetch,
        client: Client,
        settings: Settings,
        seed: int,
        records: Records,
        progress: Callable[[int, int, str], None],
    ) -> None:
        self.name, self.seed = fetch.source.name, seed
        self.files: Mapping[str, tuple[InputFile, ...]] = fetch.files
        self._client, self._settings, self._records, self._progress = client, settings, records, progress

    @cached_property
    def _scrubber(self) -> scrub.Scrubber:
        return scrub.known(settings=self._settings)

    @cached_property
    def _doubtful(self) -> set[str]:
        """The sha256 of what came without an end, and for which nobody vouched."""
        return set()

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
        private: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Got:
        got = self._client.get(
            url,
            accept=accept,
            most=most,
            keep=keep,
            robots=robots,
            private=private or {},
            headers=headers or {},
            body=body,
        )
        self._note(got)
        return got

    def get_all(
        self,
        urls: Iterable[str],
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
    ) -> Iterator[tuple[str, Got | Unfetched]]:
        answers = self._client.get_all(urls, accept=accept, most=most, keep=keep, robots=robots)
        with closing(answers):
            for url, got in answers:
                if isinstance(got, Got):
                    self._note(got)
                yield url, got

    def _note(self, got: Got) -> None:
        if got.proven:
            self._doubtful.discard(
                got.sha256
            )  # the same bytes, and now from a server that says where they end
        else:
            self._doubtful.add(got.sha256)

    def vouch(self, got: Got) -> None:
        self._doubtful.discard(got.sha256)

    def told_of(self, item: Item) -> Item:
        """An item, with what speaks against its being whole; its error tells no secret."""
        if item.error:
            item = replace(item, error=self._scrubber.text(item.error))
        return replace(item, doubt=DOUBT) if item.sha256 in self._doubtful else item

    def forget(self, got: Got) -> None:
        self._client.forget(got)

    def store(self, chunks: Iterable[bytes]) -> str:
        return self._client.store(chunks)

    def path(self, sha256: str) -> Path:
        return self._client.path(sha256)

    def setting(self, name: str) -> str:
        return self._settings[name]

    def records(self, source: str) -> Iterator[Record]:
        return self._records(source)

    def progress(self, done: int, of: int, what: str) -> None:
        self._progress(done, of, what)


def items(fetch: Fetch, net: Net) -> Iterator[Item]:
    """What a source fetches, one after the other, each key once."""
    plugin = plugins("source")[fetch.source.plugin]
    assert plugin.fetch is not None
    seen: set[str] = set()
    found: Iterator[Item] = plugin.fetch(net, **plugin.bind_fetch(fetch.source.options))
    for item in found:
        if item.key not in seen:
            seen.add(item.key)
            yield net.told_of(item)


def run(fetch: Fetch, net: Net, root: Path, log: Path, shown: str) -> tuple[int, int]:
    """Fetch all, lock it, and name in `log` what could not be had and what was paid; how many came, and how many not.

    Raises StepError where the fetch as a whole cannot go on, or where nothing could be had and not all of it is gone:
    that is no lock to keep, so the next run asks again. Where all is gone, that is what was learnt: an empty source.
    """
    got: list[Item] = []
    try:
        with unchanged(fetch.name, inputs(fetch.files)):
            for item in items(fetch, net):
                got.append(item)
    except Unfetched as e:
        raise StepError(fetch.name, str(e)) from None
    finally:  # what was paid for is told of a fetch that breaks off too
        failures = [f"{i.key}: {i.error}" for i in got if i.error]
        lines = failures + [f"{i.key}: had, but {i.doubt}" for i in got if i.doubt]
        lines += [f"paid: {spent}"] if (spent := paid(got)) else []
        write_atomic(log, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    if got and not any(i.sha256 or i.left_out for i in got) and not all(i.gone for i in got):
        more = f" (and {len(got) - 1:,} more)" if len(got) > 1 else ""
        raise StepError(fetch.name, f"nothing could be had: {failures[0]}{more}", shown)
    lock.write(root, fetch.request, got)
    return len(got) - len(failures), len(failures)


def told(items: Sequence[Item], shown: str) -> str:
    """What a fetch came to, on one line; `shown` is where its log is."""
    had, doubtful = sum(not i.error for i in items), sum(bool(i.doubt) for i in items)
    out, missing = sum(i.left_out for i in items), sum(bool(i.error) and not i.left_out for i in items)
    parts = [f"{had:,} had"] + [f"{doubtful:,} of them perhaps cut off"] * (doubtful > 0)
    parts += [f"{out:,} left out"] * (out > 0) + [f"{missing:,} not"] * (missing > 0)
    said = ", ".join(parts) + (f": see {shown}" if out or missing or doubtful else "")
    if missing and not had:
        first = next(i for i in items if i.error and not i.left_out)
        said = f"NOTHING COULD BE HAD, {first.key}: {first.error}; {said}"
    said += "; --refresh failed asks again" if missing else ""
    return said + (f"; paid: {spent}" if (spent := paid(items)) else "")
