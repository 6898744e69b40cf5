"""Jinja's filters and tests, as they are, each paid for before it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.templates.budget import DEPTH, ITEM, TooMuch, purse
from runner.templates.prices import Lazy, flat, formatted, general, held, weigh

pay = purse.pay
Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Price = Callable[[Any, Args, Kwargs], None]


def _free(value: Any, args: Args, kwargs: Kwargs) -> None:
    pay(ITEM)


def _flat(value: Any, args: Args, kwargs: Kwargs) -> None:
    """Texts become other texts; of what is none, the text is made first."""
    if isinstance(value, str):
        pay(5 * len(value))
    else:
        pay(9 * weigh(value))
    if args or kwargs:
        weigh((*args, *kwargs.values()))


def _trim(value: Any, args: Args, kwargs: Kwargs) -> None:
    if type(value) is str and not args:
        pay(len(value))
    else:
        _flat(value, args, kwargs)


def _listed(value: Any, args: Args, kwargs: Kwargs) -> None:
    if hasattr(value, "__len__"):
        pay(ITEM * len(value))
    else:
        pay(ITEM)


def _through(value: Any, args: Args, kwargs: Kwargs) -> None:
    """One after another, as they are asked for: `map`, `select` and their like."""
    pay(ITEM)
    if args or kwargs:
        weigh((*args, *kwargs.values()))


def _sorted(value: Any, args: Args, kwargs: Kwargs) -> None:
    pay(20 * weigh(value))
    weigh((*args, *kwargs.values()))


def _summed(value: Any, args: Args, kwargs: Kwargs) -> None:
    units = weigh(value)
    if not all(isinstance(x, int | float) for x in (*args[1:], kwargs.get("start", 0))):
        pay(units * (1 + units // ITEM))  # lists are put together anew with each
    elif args or kwargs:
        pay(units)


def _squared(value: Any, args: Args, kwargs: Kwargs) -> None:
    """What looks for ends and beginnings again and again."""
    units = weigh(value)
    pay(units * (10 + units // 64))
    general("", args, kwargs)


def _joined(value: Any, args: Args, kwargs: Kwargs) -> None:
    units = weigh(value)
    between = args[0] if args else kwargs.get("d", "")
    pay(9 * units if not isinstance(value, list | tuple) else units)
    if between != "":
        pay(weigh(between) * (1 + units // ITEM))


def _replaced(value: Any, args: Args, kwargs: Kwargs) -> None:
    if kwargs or len(args) < 2 or not all(isinstance(x, str) for x in (value, *args[:2])):
        general(value, args, kwargs)
        return
    old, new = args[:2]
    pay(len(value) + len(old) + len(new))
    if len(new) > len(old):
        pay(value.count(old) * len(new))


def _padded(value: Any, args: Args, kwargs: Kwargs) -> None:
    units = weigh(value)
    for x in (*args, *kwargs.values()):
        if type(x) is int:
            pay(max(0, x))
        else:
            pay(units + weigh(x))


def _indented(value: Any, args: Args, kwargs: Kwargs) -> None:
    units = weigh(value)
    lines = 2 + (value.count("\n") if isinstance(value, str) else units)
    for x in (*args, *kwargs.values()):
        pay(lines * (min(abs(x), 1 << 40) if isinstance(x, int) else weigh(x)))


def _cut(value: Any, args: Args, kwargs: Kwargs) -> None:
    weigh(value)
    for x in (*args, *kwargs.values()):
        if not isinstance(x, int):
            weigh(x)


def _groups(value: Any, args: Args, kwargs: Kwargs) -> None:
    if type(value) is not Lazy:
        weigh(value)
    for x in (*args, *kwargs.values()):
        pay(ITEM * abs(x) if isinstance(x, int) else weigh(x))


def _rounded(value: Any, args: Args, kwargs: Kwargs) -> None:
    if any(isinstance(x, int) and abs(x) > 1_000 for x in (*args, *kwargs.values())):
        raise TooMuch("rounds to more than 1,000 places")


def _json(value: Any, args: Args, kwargs: Kwargs) -> None:
    units = weigh(value)
    pay(9 * units)  # \ud83d\ude00 of one letter
    for x in (*args, *kwargs.values()):
        if isinstance(x, bool) or x is None:
            continue
        if isinstance(x, int | str):  # an indent, of as many as lists lie in lists
            x, times = min(abs(x), 1 << 40) if isinstance(x, int) else len(x), DEPTH
        else:
            x, times = sum(map(len, x)) if isinstance(x, tuple) else weigh(x), 1
        pay(units * times * x // ITEM)


def _format(value: Any, args: Args, kwargs: Kwargs) -> None:
    formatted(value if isinstance(value, str | bytes) else str(flat(value))[:1_000], (args, kwargs))


_LAZILY = "map select selectattr reject rejectattr items"
PRICES: dict[str, Price] = {
    **dict.fromkeys(
        "default d length count first last safe float abs random attr filesizeformat".split(), _free
    ),
    **dict.fromkeys(
        "int string upper lower capitalize title e escape forceescape urlencode wordcount".split(), _flat
    ),
    **dict.fromkeys(_LAZILY.split(), _through),
    **dict.fromkeys("list reverse".split(), _listed),
    **dict.fromkeys("sort dictsort groupby unique min max".split(), _sorted),
    **dict.fromkeys("striptags urlize xmlattr pprint wordwrap".split(), _squared),
    "trim": _trim,
    "sum": _summed,
    "join": _joined,
    "replace": _replaced,
    "center": _padded,
    "indent": _indented,
    "truncate": _cut,
    "batch": _groups,
    "slice": _groups,
    "round": _rounded,
    "tojson": _json,
    "format": _format,
}
# These go through all that they get; what comes one by one is weighed as a list. Those that take no such thing are not
# among them: they must go on refusing it.
GATHERED = frozenset("join sum sort groupby unique min max slice".split())


def metered(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The filter `name`, paid for."""
    price, gathered = PRICES.get(name, general), name in GATHERED
    passing = getattr(work, "jinja_pass_arg", None)
    if passing is None:

        def paid(value: Any, *args: Any, **kwargs: Any) -> Any:
            if gathered and type(value) is Lazy:
                value = list(value)
            price(value, args, kwargs)
            return held(work(value, *args, **kwargs), (value,))

        return paid

    def passed(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        if gathered and type(value) is Lazy:
            value = list(value)
        price(value, args, kwargs)
        return held(work(context, value, *args, **kwargs), (value,))

    passed.jinja_pass_arg = passing  # type: ignore[attr-defined]
    return passed


_COMPARING = "in == eq equalto != ne > gt greaterthan ge >= < lt lessthan <= le".split()


def metered_test(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The test `name`, paid for where it costs anything."""
    if name in ("upper", "lower"):

        def spelt(value: Any) -> Any:
            weigh(value)
            return work(value)

        return spelt
    if name not in _COMPARING:
        return work

    def paid(value: Any, other: Any) -> Any:
        if type(other) is Lazy:
            other = list(other)
        if type(other) is str and name != "in":
            pay(ITEM + len(other))
        else:
            weigh(value)
            weigh(other)
        return work(value, other)

    return paid
