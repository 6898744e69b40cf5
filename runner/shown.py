"""How numbers and untrusted text are written on a page: units, signs, and nothing hidden."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import Any

NONE = "–"
MINUS = "−"

# Format characters that readers of Arabic, Persian or Indic scripts, and composed emoji, need.
_NEEDED = frozenset(
    [0x200C, 0x200D, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD]
)
_HIDDEN = frozenset(["Cc", "Cf", "Cs", "Co", "Zl", "Zp"])


def visible(text: str) -> str:
    """`text` with control, direction, invisible and half characters written out.

    Line ends, tabs and spaces stay; U+0000 becomes ␀ and a direction override becomes ⟨U+202E⟩,
    so a page never shows its reader less, or in another order, than what is there.
    """
    if text.isprintable():
        return text
    return "".join(_seen(c) for c in text.replace("\r\n", "\n"))


def _seen(c: str) -> str:
    if c in "\n\t" or c.isprintable():
        return c
    code = ord(c)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    hidden = unicodedata.category(c) in _HIDDEN and code not in _NEEDED
    no_character = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return f"⟨U+{code:04X}⟩" if hidden or no_character else c


def clean(value: Any) -> Any:
    """`value` with every string in it, keys too, made `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


def finite(value: Any) -> float | None:
    """`value` as a float, or None where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def count(value: Any) -> str:
    """Whole numbers with thousands marked: 4,884,480."""
    found = finite(value)
    return NONE if found is None else _signs(f"{round(found):,}")


def number(value: Any, digits: int = 3, even: bool = False) -> str:
    """A number at `digits` significant digits, scientific where it is very small or large.

    `even` keeps zeros at the end, so that a measured 3.30 shows how exactly it is known.
    """
    found = finite(value)
    if found is None:
        return NONE
    if found and not 1e-3 <= abs(found) < 1e6:
        head, power = f"{found:.{digits - 1}e}".split("e")
        head = head.rstrip("0").rstrip(".") if "." in head else head
        return _signs(f"{head}e{int(power)}")
    if abs(found) >= 10**digits or found == round(found):
        return _signs(f"{found:,.0f}")
    return _signs(f"{found:{'#' if even else ''}.{digits}g}".rstrip("."))


def share(value: Any) -> str:
    """A part of one as a percentage: 0.95 is 95.0%."""
    found = finite(value)
    return NONE if found is None else _signs(f"{100 * found:.1f}%")


def part(value: Any, whole: Any) -> str:
    """What part of `whole` the value is, as a percentage."""
    top, bottom = finite(value), finite(whole)
    return share(top / bottom) if top is not None and bottom else NONE


def measure(value: Any, unit: str) -> str:
    """A metric's value in its unit (share, number or nats)."""
    return share(value) if unit == "share" else number(value, even=True)


def coarse(unit: str) -> Callable[[float], str]:
    """How the numbers of an axis in this unit are written: without needless zeros."""
    return (lambda v: f"{number(100 * v)}%") if unit == "share" else number


def spread(cell: dict[str, Any] | None, unit: str) -> str:
    """An interval's limits, "85.1% to 98.9%", or nothing where there are none."""
    low, high = (cell or {}).get("low"), (cell or {}).get("high")
    if finite(low) is None or finite(high) is None:
        return ""
    return f"{measure(low, unit)} to {measure(high, unit)}"


def change(value: Any, unit: str) -> str:
    """A difference with its sign; differences of shares are percentage points."""
    found = finite(value)
    if found is None:
        return NONE
    text = f"{100 * found:.1f}" if unit == "share" else number(found, even=True)
    text = "0" if found == 0 else _signs(text)
    return text if text.startswith(MINUS) or found == 0 else f"+{text}"


def chance(p: Any) -> str:
    """A p-value as readers write it: p = 0.031, p < 0.0001."""
    found = finite(p)
    if found is None:
        return ""
    return "p < 0.0001" if found < 1e-4 else f"p = {found:.2g}"


def size(value: Any) -> str:
    """Bytes in powers of ten: 19.0 MB."""
    found = finite(value)
    if found is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if abs(found) < 1000:
            return f"{found:.0f} B" if unit == "B" else f"{found:.1f} {unit}"
        found /= 1000
    return f"{found:.1f} TB"


def duration(value: Any) -> str:
    """Seconds as people say them: 48 s, 4 min 41 s, 3 h 20 min."""
    found = finite(value)
    if found is None:
        return NONE
    whole = round(found)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _signs(text: str) -> str:
    return text.replace("-", MINUS)
