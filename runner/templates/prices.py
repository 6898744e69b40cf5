"""What operators, filters, tests and methods cost, paid before they work: by the length of what goes in, and where a
number says how much comes out (`center(10**9)`), by that.

What is not listed costs the product of all that it is given, so that nothing unknown is cheap.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from runner.templates.budget import DEPTH, ITEM, TooMuch, purse

BITS = 16_384  # of a number
CHAIN = 50  # filters over filters that give one item after another
_VIEWS: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_LISTS = (list, tuple, *_VIEWS)
_NUMBER = re.compile(r"\d+")
pay = purse.pay


class Lazy:
    """What a filter gives one by one, each paid for."""

    __slots__ = ("_depth", "_items")

    def __init__(self, items: Iterator[Any], over: tuple[Any, ...] = ()) -> None:
        self._items = items
        self._depth: int = 1 + max((x._depth for x in over if type(x) is Lazy), default=0)
        if self._depth > CHAIN:  # Python would fall over its own stack when it clears them away
            raise TooMuch(f"puts more than {CHAIN} filters over one another")

    def __iter__(self) -> Lazy:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        pay(ITEM)
        return item


def weigh(value: Any, depth: int = 0) -> int:
    """Pays for going through all of a value, and says how much that was."""
    kind = type(value)
    if kind is str:
        units = len(value) + 1
        pay(units)
        return units
    if depth > DEPTH:
        raise TooMuch(f"nests lists or maps more than {DEPTH} deep")
    if isinstance(value, dict):
        units = ITEM * (1 + len(value))
        pay(units)
        for key, item in value.items():
            units += weigh(key, depth + 1) + weigh(item, depth + 1)
        return units
    if isinstance(value, _LISTS):
        units = ITEM * (1 + len(value))
        pay(units)
        for item in value:
            units += weigh(item, depth + 1)
        return units
    if isinstance(value, str | bytes):
        units = len(value) + 1
    elif isinstance(value, range):
        units = ITEM * (1 + len(value))
    elif kind is int:
        units = 1 + value.bit_length() // 8
    elif kind.__name__ == "Namespace":
        return weigh(value._Namespace__attrs, depth + 1)
    else:
        units = 1
    pay(units)
    return units


def flat(value: Any) -> Any:
    """Pays for a copy of a value, but not of what lies in it."""
    if isinstance(value, str | bytes):
        pay(len(value))
    elif isinstance(value, list | tuple | range):
        pay(ITEM * len(value))
    return value


def held(result: Any, over: tuple[Any, ...] = ()) -> Any:
    """Pays for what came out."""
    kind = type(result)
    if kind is str:
        pay(len(result))
    elif kind is list:
        pay(ITEM * len(result))
    elif kind is not Lazy and hasattr(kind, "__next__") and hasattr(kind, "__iter__"):
        return Lazy(result, over)
    return result


def _times(values: Any) -> int:
    """The product of the whole numbers among them."""
    product = 1
    for value in values:
        if type(value) is int:
            product *= max(1, min(abs(value), 1 << 64))
    return product


def general(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = (*args, *kwargs.values())
    pay(weigh(value) * (1 + sum(map(weigh, given))) * _times(given))


# Operators


def whole(left: Any, right: Any) -> None:
    weigh(left)
    weigh(right)


def multiplied(left: Any, right: Any) -> None:
    if type(left) is not int and type(right) is int:
        left, right = right, left
    if isinstance(left, int) and isinstance(right, int):
        _bits(left.bit_length() + right.bit_length())
    elif isinstance(left, int) and not isinstance(right, float):
        pay(weigh(right) * max(1, abs(left)))


def raised(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _bits(left.bit_length() * abs(right))


def _bits(wanted: int) -> None:
    if wanted > BITS:
        raise TooMuch(f"works out a number of {wanted:,} bits")


def formatted(text: str | bytes, given: Any) -> None:
    """`%` and `format`: what is put in may be put in often, and be padded to any width."""
    words = text.decode("latin-1") if isinstance(text, bytes) else text
    pay(len(words))
    nested = re.search(r"\{[^{}]*\{", words.replace("{{", "")) or re.search(r"%[^a-zA-Z%]*\*", words)
    if nested:
        raise TooMuch("formats text with a width that it works out")
    if any(len(n) > 9 for n in _NUMBER.findall(words)):
        raise TooMuch("formats text with a width of more than nine digits")
    pay(sum(map(int, _NUMBER.findall(words))))
    pay(weigh(given) * (1 + words.count("{") + words.count("%")))


def remainder(left: Any, right: Any) -> None:
    if isinstance(left, str | bytes):
        formatted(left, right)


OPERATORS: dict[str, tuple[Callable[[Any, Any], None], Callable[[Any, Any], Any]]] = {
    "+": (whole, operator.add),
    "-": (whole, operator.sub),
    "*": (multiplied, operator.mul),
    "/": (whole, operator.truediv),
    "//": (whole, operator.floordiv),
    "**": (raised, operator.pow),
    "%": (remainder, operator.mod),
}


def computed(sign: str, left: Any, right: Any) -> Any:
    price, work = OPERATORS[sign]
    price(left, right)
    return work(left, right)


# Methods of texts, lists and maps


def _linear(owner: Any, args: tuple[Any, ...]) -> None:
    pay(len(owner) + 1)
    if args:
        whole(args, None)


def _begins(owner: Any, args: tuple[Any, ...]) -> None:
    weigh(args)


def _replaced(owner: Any, args: tuple[Any, ...]) -> None:
    if len(args) < 2 or not isinstance(args[0], str) or not isinstance(args[1], str):
        pay(1)  # an error of Python's
        return
    old, new = args[:2]
    pay(len(owner) + len(old) + len(new))
    if len(new) > len(old):
        pay(owner.count(old) * len(new))


def _joined(owner: Any, args: tuple[Any, ...]) -> None:
    weigh(args)
    if args and hasattr(args[0], "__len__"):
        pay(len(owner) * len(args[0]))


def _cheap(owner: Any, args: tuple[Any, ...]) -> None:
    pay(ITEM)
    if args and type(args[0]) is tuple:
        weigh(args)


_TEXT = (
    "strip lstrip rstrip split rsplit splitlines lower upper title capitalize swapcase casefold find rfind index \
rindex count partition rpartition removeprefix removesuffix isdigit isalpha isalnum isnumeric isdecimal isspace \
isupper islower istitle isascii isidentifier isprintable"
)
METHODS: dict[type, dict[str, Callable[[Any, tuple[Any, ...]], None]]] = {
    str: dict.fromkeys(_TEXT.split(), _linear)
    | {"startswith": _begins, "endswith": _begins, "replace": _replaced, "join": _joined},
    dict: dict.fromkeys(("get", "items", "keys", "values"), _cheap),
}


def priced(function: Any) -> Callable[[Any, tuple[Any, ...]], None] | None:
    """The price of a method that is listed."""
    prices = METHODS.get(type(function.__self__))
    return None if prices is None else prices.get(function.__name__)


def gathered(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments, with lists made of what comes one by one: so it can be weighed."""
    for value in args:
        if type(value) is Lazy:
            return tuple([list(a) if type(a) is Lazy else a for a in args])
    return args


def called(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Pays for a call of what is not listed."""
    name = getattr(function, "__name__", "")
    owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
    if name in ("format", "format_map") and isinstance(owner, str):
        formatted(owner, (args, kwargs))
    elif name in ("encode", "decode"):  # some codecs are quadratic
        pay(weigh(owner) ** 2)
    elif name == "generate_lorem_ipsum":
        pay(5_000 * _times((*args, *kwargs.values())))
    else:
        general(owner, args, kwargs)
