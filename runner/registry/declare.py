"""The decorators by which a plug-in declares itself: @source, @filter, @judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from runner.registry.plugin import (
    AsksFn,
    CheckFn,
    FetchFn,
    Kind,
    LookFn,
    MetricNames,
    Plugin,
    ReadFn,
    UnitsFn,
    always,
    never,
    nothing,
)
from runner.registry.wanted import WantsFn, anything

DECLARED: dict[tuple[Kind, str], Plugin] = {}
"""All plug-ins that have been imported so far, by kind and name."""
F = TypeVar("F", bound=Callable[..., Any])


def _register(kind: Kind, name: str, version: int, **declared: Any) -> Callable[[F], F]:
    def add(call: F) -> F:
        old = DECLARED.get((kind, name))
        if old and (old.call.__module__, old.call.__qualname__) != (call.__module__, call.__qualname__):
            raise ValueError(f"two {kind}s are named {name!r}: {old.call.__module__} and {call.__module__}")
        DECLARED[kind, name] = Plugin(kind, name, version, call, **declared)
        return call

    return add


def source(
    name: str,
    *,
    version: int,
    libraries: tuple[str, ...] = (),
    fetch: FetchFn | None = None,
    license: str = "",
    fetches: Callable[[Mapping[str, Any]], bool] = always,
    check: CheckFn = nothing,
    asks: AsksFn = never,
    units: UnitsFn | None = None,
    read: ReadFn | None = None,
) -> Callable[[F], F]:
    """Register `f(context, *, options…)` that yields Records, Documents and Rejected rows.

    `fetch(net, *, options…)`, for a source that needs the network, yields an Item for each thing it names; it takes
    those of the source's options that decide what is fetched. `fetches` says of the options whether there is
    anything to fetch at all. `license` is what its rows have where neither they nor the recipe say, in words for
    `recipe check`. `check` is for what types cannot say, options that do not go together: it gets them all as plain
    data, defaults filled in, and yields (path within them, what is wrong). A recipe that passed it is all that `fetch`
    and the source ever see, so they need not look again. `asks` says of the options which service of the user's
    settings its fetch asks ("" for none), so that one that is not set is said before the first fetch.

    A source whose files have nothing to do with one another says so, and many read them at once: `units(context, *,
    options…)` yields a Unit for each, in order, and `read(context, unit, *, options…)` the rows of one, or of the span
    of it that is asked for. Both take those options that they need. What it yields itself must be the rows of one unit
    after the other, as `datafiles.kinds.accounted` gives them where the unit is `told`. `read` is called elsewhere,
    where `context` has neither items nor their bytes.
    """
    if (units is None) != (read is None):
        raise ValueError(f"source {name!r}: `units` and `read` go together")
    return _register(
        "source",
        name,
        version,
        libraries=libraries,
        fetch=fetch,
        license=license,
        fetches=fetches,
        check=check,
        asks=asks,
        units=units,
        read=read,
    )


def filter(
    name: str,
    *,
    version: int,
    libraries: tuple[str, ...] = (),
    check: CheckFn = nothing,
    needs: tuple[Literal["tokens"], ...] = (),
    asks: AsksFn = never,
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
    if needs and asks is not never:
        raise ValueError(f"filter {name!r}: one that waits for tokens cannot ask a service")
    return _register("filter", name, version, libraries=libraries, check=check, needs=needs, asks=asks)


def judge(
    name: str,
    *,
    version: int,
    libraries: tuple[str, ...] = (),
    check: CheckFn = nothing,
    asks: AsksFn = never,
    reads: tuple[Literal["split"], ...] = (),
    look: LookFn = nothing,
    metrics: MetricNames = (),
    wants: WantsFn = anything,
) -> Callable[[F], F]:
    """Register `f(context, *, options…)` that scores every answer and returns a Verdict.

    `check` is for what types cannot say, as with sources. `asks` says of the options which service of the user's
    settings it asks ("" for none), and `reads=("split",)` that it looks into what was trained on: the context then
    holds the means, and what is read is a need of the judge's step, so that other data are judged anew. `look` looks
    into the files that its options name, which are read hours later, so that `recipe check` says what is wrong with
    them. `metrics` are the names of all that it may score and of all facts that it states, or a function of the options
    that gives them: gates on any other name are then refused before the run. A judge that declares none is open to any.
    They may be a map of each metric to how it is read (its `Metric`), and of each fact to None: gates out of a metric's
    range are then refused as well. `wants` says of a probe what the judge wants of it, and in which of its metrics the
    probe counts; it raises ValueError where the probe cannot be judged, which `recipe check` reports at its line. The
    judge itself takes it from there (`wants_of`).
    """
    return _register(
        "judge",
        name,
        version,
        libraries=libraries,
        check=check,
        asks=asks,
        reads=reads,
        look=look,
        metrics=metrics,
        wants=wants,
    )
