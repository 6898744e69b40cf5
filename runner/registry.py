"""THE registry: what sources, filters and judges there are, and which options each takes.

A plug-in is a function in a file of its own; its keyword-only parameters are its options, and their
annotations are the schema. Shipped plug-ins are found by standing in their folder, third parties' through
the entry-point group `mirepoix.plugins` (each entry point names a module that registers on import).
`version` and the versions of `libraries` (distributions that decide a plug-in's output) are part of the
fingerprint of every step that uses it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from runner.errors import Problem, StepError
from runner.fetching import InputFile, Item
from runner.record import Answer, Document, Edited, Probe, Record, Rejected, Verdict

Kind = Literal["source", "filter", "judge"]
FOLDERS: dict[Kind, str] = {"source": "sources", "filter": "filters", "judge": "judges"}

# Options of these types name files. The planner expands them, digests what it finds, and hands the
# files over, so a plug-in never opens a path that a recipe wrote.
Files = Annotated[
    list[str],
    Meta(min_length=1, description="Files, or globs of them, in the workspace.", extra={"files": "glob"}),
]
"""Globs, relative to the workspace (or `datasets/…` and `evals/…`: files that come with mirepoix)."""
ToolSetName = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9-]*$",
        description="A tool set, datasets/tools/NAME.yaml: lower-case letters, digits and dashes.",
        extra={"files": "tool set"},
    ),
]
"""A tool set written as data: `datasets/tools/NAME.yaml` of the workspace or of mirepoix."""
ProbeFile = Annotated[str, Meta(description="A file under evals/.", extra={"files": "evals"})]
"""A file under `evals/`, of the workspace or of mirepoix."""

SourceName = Annotated[
    str,
    Meta(description="The name of a source that stands earlier in the recipe.", extra={"source": True}),
]
"""An earlier source: its records are to be had in `fetch`, as `net.records(name)`."""


def _no_raw(item: Item) -> Path:
    raise LookupError(f"nothing was fetched for {item.key!r}")


@dataclass(frozen=True)
class SourceContext:
    """What a source gets besides its options. `files` holds, per option, the files that it named.

    A source with a `fetch` gets what that brought: `items`, without those that could not be had (they are kept as
    rejected rows), and `raw(item)`, the file with an item's bytes.
    """

    name: str
    seed: int
    files: Mapping[str, tuple[InputFile, ...]]
    license: str
    items: Iterable[Item] = ()
    raw: Callable[[Item], Path] = _no_raw

    def labelled(self, option: str) -> Iterator[tuple[str, InputFile]]:
        """Each file with a label for its rows' ids: its stem, numbered where another has the same."""
        taken: set[str] = set()
        for file in self.files[option]:
            stem = PurePosixPath(file.name).stem
            label = next(c for n in count(1) if (c := stem if n == 1 else f"{stem}~{n}") not in taken)
            taken.add(label)
            yield label, file


def _untold(done: int, of: int, what: str) -> None:
    return None


@dataclass(frozen=True)
class JudgeContext:
    """What a judge gets besides its options: probes in order, the answers of every arm, files, the seed.

    `system` is the text that the recipe sets before each probe; `asked` holds, by arm, the one that its probes had. A
    judge that `reads` the split gets `records`, which goes through the training data of this very run each time it is
    called; it is None where a model is judged that no recipe here trained. A judge that `asks` a service gets `ask`
    (runner/services.py). `base` is what the recipe calls the model that it tunes; `progress` (done, of, what) may be
    told how far the judging is.
    """

    probes: tuple[Probe, ...]
    answers: tuple[Answer, ...]
    files: Mapping[str, tuple[InputFile, ...]]
    seed: int
    system: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    records: Callable[[], Iterator[Record]] | None = None
    ask: Callable[..., Any] | None = None
    base: str | None = None
    progress: Callable[[int, int, str], None] = _untold

    def said(self, judge: str) -> Iterator[tuple[Probe, str, Answer | None]]:
        """Each answer of each arm with its probe, in the probes' order; None where an arm gave none.

        Raises StepError in the name of `judge` where an answer is to no probe.
        """
        given: dict[tuple[str, str], list[Answer]] = {}
        for answer in self.answers:
            given.setdefault((answer.arm, answer.id), []).append(answer)
        known = {p.id for p in self.probes}
        if odd := next((a for a in self.answers if a.id not in known), None):
            raise StepError(judge, f"{odd.arm} answered {odd.id!r}, which is no probe")
        for arm in dict.fromkeys(a.arm for a in self.answers):
            for probe in self.probes:
                for said in given.get((arm, probe.id), [None]):
                    yield probe, arm, said


FetchFn = Callable[..., Iterator[Item]]
SourceFn = Callable[..., Iterator[Record | Document | Rejected]]
Said = bool | str | Record | Edited
"""What a filter says of a record: True keeps it, a reason drops it, a Record or Edited takes its place."""
JudgeFn = Callable[..., Verdict]
CheckFn = Callable[[Mapping[str, Any]], Iterable[tuple[tuple[str | int, ...], str]]]
AsksFn = Callable[[Mapping[str, Any]], "str | bool"]
"""Options → the name of the service that is asked, empty where none is. A bare True says no name, so that nobody can
tell before the run whether it is set."""
MetricNames = tuple[str, ...] | Callable[[Mapping[str, Any]], Iterable[str]]
LookFn = Callable[[Mapping[str, Mapping[str, Path]]], Iterable[Problem]]
"""Files that options name, by option and name → what is wrong in them."""


def _always(options: Mapping[str, Any]) -> bool:
    return True


def _never(options: Mapping[str, Any]) -> bool:
    return False


def _nothing(options: Mapping[str, Any]) -> Iterable[Any]:
    return ()


@dataclass(frozen=True)
class Plugin:
    kind: Kind
    name: str
    version: int
    call: Callable[..., Any]
    libraries: tuple[str, ...] = ()
    fetch: Callable[..., Any] | None = None
    license: str = ""
    fetches: Callable[[Mapping[str, Any]], bool] = _always
    check: CheckFn = _nothing
    needs: tuple[str, ...] = ()
    asks: AsksFn = _never
    reads: tuple[str, ...] = ()
    look: LookFn = _nothing
    metrics: MetricNames = ()

    def names(self, options: Mapping[str, Any]) -> frozenset[str] | None:
        """What gates may name of a judge with these options; None where it does not say."""
        return frozenset(self.metrics(options) if callable(self.metrics) else self.metrics) or None

    def service(self, options: Mapping[str, Any]) -> str:
        """Which service of the user's settings it asks; empty where it asks none, or does not say which."""
        said = self.asks(options)
        return said if isinstance(said, str) else ""

    @cached_property
    def doc(self) -> str:
        return inspect.getdoc(self.call) or ""

    @cached_property
    def options(self) -> type[msgspec.Struct]:
        """The options as a struct: one field for every keyword-only parameter of the function."""
        hints = get_type_hints(self.call, include_extras=True)
        fields: list[Any] = []
        for p in inspect.signature(self.call).parameters.values():
            if p.kind is not p.KEYWORD_ONLY:
                continue
            default = () if p.default is p.empty else (p.default,)
            fields.append((p.name, hints[p.name], *default))
        title = "".join(w.title() for w in self.name.split("_")) + self.kind.title()
        return msgspec.defstruct(title, fields, frozen=True, forbid_unknown_fields=True, kw_only=True)

    def bind_fetch(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that `fetch` takes, bound: those that only parsing needs are no reason to fetch anew."""
        assert self.fetch is not None
        bound = self.bind(options)
        taken = inspect.signature(self.fetch).parameters
        return {name: value for name, value in bound.items() if name in taken}

    def bind(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Checked options, as a recipe holds them → keyword arguments for `call`."""
        typed = msgspec.convert(options, self.options)
        return {name: getattr(typed, name) for name in self.options.__struct_fields__}

    def at_work(
        self, options: Mapping[str, Any], ask: Callable[..., Any] | None = None
    ) -> Callable[[Sequence[Record]], list[Said]]:
        """A filter with its options, in the form that all three ways of writing one come to: records → what it says.

        A filter takes `record`; or `records`, and says as many things; or neither, and returns a function of a record.
        """
        bound = self.bind(options)
        positional = [
            n for n, p in inspect.signature(self.call).parameters.items() if p.kind is not p.KEYWORD_ONLY
        ]
        if positional == ["records", "ask"]:
            return lambda records: list(self.call(records, ask, **bound))
        if positional == ["records"]:
            return lambda records: list(self.call(records, **bound))
        if positional:
            return lambda records: [self.call(record, **bound) for record in records]
        made = self.call(**bound)
        return lambda records: [made(record) for record in records]

    @cached_property
    def file_options(self) -> dict[str, str]:
        """Options that name files → how they name them: "glob", "tool set" or "evals"."""
        return self._marked("files")

    @cached_property
    def shares(self) -> dict[str, float]:
        """Options that are shares → what they must sum to."""
        return self._marked("sum")

    @cached_property
    def source_options(self) -> dict[str, Any]:
        """Options that name an earlier source."""
        return self._marked("source")

    def _marked(self, mark: str) -> dict[str, Any]:
        fields = msgspec.inspect.type_info(self.options).fields  # type: ignore[attr-defined]
        extras = {f.name: _extra(f.type) for f in fields}
        return {name: extra[mark] for name, extra in extras.items() if mark in extra}


def _extra(kind: Any) -> dict[str, Any]:
    """The `extra` of a type's Meta; that of `X | None` is X's."""
    found: dict[str, Any] = dict(getattr(kind, "extra", None) or {})
    for inner in getattr(kind, "types", ()):
        found |= _extra(inner)
    return found


_plugins: dict[tuple[Kind, str], Plugin] = {}
F = TypeVar("F", bound=Callable[..., Any])


def _register(
    kind: Kind,
    name: str,
    version: int,
    libraries: tuple[str, ...] = (),
    fetch: FetchFn | None = None,
    license: str = "",
    fetches: Callable[[Mapping[str, Any]], bool] = _always,
    check: CheckFn = _nothing,
    needs: tuple[str, ...] = (),
    asks: AsksFn = _never,
    reads: tuple[str, ...] = (),
    look: LookFn = _nothing,
    metrics: MetricNames = (),
) -> Callable[[F], F]:
    def add(call: F) -> F:
        old = _plugins.get((kind, name))
        if old and (old.call.__module__, old.call.__qualname__) != (call.__module__, call.__qualname__):
            raise ValueError(f"two {kind}s are named {name!r}: {old.call.__module__} and {call.__module__}")
        _plugins[kind, name] = Plugin(
            kind, name, version, call, libraries, fetch, license, fetches, check, needs, asks, reads, look,
            metrics,
        )  # fmt: skip
        return call

    return add


def source(
    name: str,
    *,
    version: int,
    libraries: tuple[str, ...] = (),
    fetch: FetchFn | None = None,
    license: str = "",
    fetches: Callable[[Mapping[str, Any]], bool] = _always,
    check: CheckFn = _nothing,
) -> Callable[[F], F]:
    """Register `f(context, *, options…)` that yields Records, Documents and Rejected rows.

    `fetch(net, *, options…)`, for a source that needs the network, yields an Item for each thing it names; it takes
    those of the source's options that decide what is fetched. `fetches` says of the options whether there is
    anything to fetch at all. `license` is what its rows have where neither they
    nor the recipe say, in words for `recipe check`. `check` is for what types cannot say, options that do not go
    together: it gets them all as plain data, defaults filled in, and yields (path within them, what is wrong).
    A recipe that passed it is all that `fetch` and the source ever see, so they need not look again.
    """
    return _register("source", name, version, libraries, fetch, license, fetches, check)


def filter(
    name: str,
    *,
    version: int,
    libraries: tuple[str, ...] = (),
    check: CheckFn = _nothing,
    needs: tuple[Literal["tokens"], ...] = (),
    asks: AsksFn = _never,
) -> Callable[[F], F]:
    """Register a filter, written in one of three ways:

    - `f(record, *, options…)`: True keeps, a reason (str) drops, an Edited (or a plain Record) takes its place;
    - `f(records, *, options…)`: as many of these as there are records, where a batch is faster;
    - `f(*, options…)`: returns the function of a record, where something must be set up first.

    What it says of a record must not hang on other records: batches are cut where it suits. `check` is for what types
    cannot say, as with sources. `needs=("tokens",)`: it runs once the model's own tokens are counted, and finds the
    number in `meta["tokens"]`; it keeps or drops, but cannot edit, and a recipe without a model cannot use it. `asks`
    says of the options which service of the user's settings it asks ("" for none): it is then written `f(records, ask,
    *, options…)`, and `ask(service, body, read)` posts JSON to that service and gives its answer as `read` reads it
    (runner/services.py); it is kept for ever.
    """
    if needs and asks is not _never:
        raise ValueError(f"filter {name!r}: one that waits for tokens cannot ask a service")
    return _register("filter", name, version, libraries, check=check, needs=needs, asks=asks)


def judge(
    name: str,
    *,
    version: int,
    libraries: tuple[str, ...] = (),
    check: CheckFn = _nothing,
    asks: AsksFn = _never,
    reads: tuple[Literal["split"], ...] = (),
    look: LookFn = _nothing,
    metrics: MetricNames = (),
) -> Callable[[F], F]:
    """Register `f(context, *, options…)` that scores every answer and returns a Verdict.

    `check` is for what types cannot say, as with sources. `asks` says of the options which service of the user's
    settings it asks ("" for none), and `reads=("split",)` that it looks into what was trained on: the context then
    holds the means, and what is read is a need of the judge's step, so that other data are judged anew. `look` looks
    into the files that its options name, which are read hours later, so that `recipe check` says what is wrong with
    them. `metrics`
    are the names of all that it may score and of all facts that it states, or a function of the options that gives
    them: gates on any other name are then refused before the run. A judge that declares none is open to any.
    """
    return _register(
        "judge", name, version, libraries, check=check, asks=asks, reads=reads, look=look, metrics=metrics
    )


@lru_cache
def _discover(kind: Kind) -> None:
    package = importlib.import_module(f"runner.{FOLDERS[kind]}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


@lru_cache
def _third_parties() -> None:
    for entry in entry_points(group="mirepoix.plugins"):
        entry.load()


def plugins(kind: Kind) -> dict[str, Plugin]:
    """All plug-ins of a kind, by name, in alphabetical order."""
    _discover(kind)
    _third_parties()
    return {n: p for (k, n), p in sorted(_plugins.items()) if k == kind}
