"""Whether personal data that was found in one place stands in many other texts too, however it is written there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runner.privacy.digits import only_digits
from runner.privacy.find import KINDS, Kind
from runner.privacy.patterns import compiled
from runner.privacy.structured import look

_NO_DIGITS = bytes(c for c in range(256) if not 48 <= c <= 57)
_AT_ONCE = 256  # needles of one pattern: RE2 keeps what it builds of it in 8 MB


class Sought:
    """Values, as `Hit.value` has them, to be looked for in texts.

    A needle of each (digits, or a part of it in small letters) tells cheaply where it may stand; there, `look` decides,
    so that a value is found exactly where it would be called personal data, or where its digits alone stand.
    """

    def __init__(self, values: Iterable[tuple[Kind, str]]) -> None:
        import re

        self.values = frozenset(values)
        self._known = frozenset(value for _, value in self.values)
        self._kinds = tuple(k for k in KINDS if any(kind == k for kind, _ in self.values))
        letters, digits = set[str](), set[str]()
        for kind, value in self.values:
            if kind in ("phone", "card", "iban"):
                digits.add(only_digits(value))
            else:
                letters.add(_needle(kind, value))
        self._letters = _patterns(sorted(map(re.escape, letters)))
        self._digits = _patterns(sorted(digits))

    def among(self, texts: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Value → the name of the first text that holds it, of texts given as (text, name)."""
        found: dict[str, str] = {}
        if not self.values:
            return found
        for text, name in texts:
            if not self._may_hold(text):
                continue
            for hit in look(text, self._kinds, known=self._known, numbers=True):
                if hit.value in self._known:
                    found.setdefault(hit.value, name)
            if len(found) == len(self._known):
                break
        return found

    def _may_hold(self, text: str) -> bool:
        if self._digits:
            digits = text.encode(errors="replace").translate(None, _NO_DIGITS)
            if digits and any(p.search(digits) for p in self._digits):
                return True
        if self._letters:
            lower = text.lower().encode(errors="replace")
            return any(p.search(lower) for p in self._letters)
        return False


def _needle(kind: Kind, value: str) -> str:
    """A part that every way to write the value has: before the @, or one group of an address."""
    if kind == "email":
        return value.partition("@")[0].lower()
    if kind == "ip" and ":" in value:
        return max(value.split(":"), key=len).lower()
    return value.lower()


def _patterns(needles: Sequence[str]) -> list[Any]:
    return [compiled("|".join(needles[n : n + _AT_ONCE])) for n in range(0, len(needles), _AT_ONCE)]
