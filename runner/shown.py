"""How numbers and untrusted text are shown, on a page and on a terminal: units, signs, and nothing hidden.

What lies on a disk or comes through a network is told in powers of ten (kB, MB, GB: `size`), as disks and hubs tell it;
memory in powers of two (MiB, GiB: `memory`), as drivers and PyTorch do.
"""

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


def size(value: Any, about: bool = False) -> str:
    """Bytes on a disk or from a network: 12 bytes, 19.0 MB; `about` of what is only foretold: 19 MB."""
    return _bytes(value, 1000, ("kB", "MB", "GB", "TB"), about)


def memory(value: Any) -> str:
    """Bytes of memory: 23.5 GiB."""
    return _bytes(value, 1024, ("KiB", "MiB", "GiB", "TiB"), False)


def _bytes(value: Any, step: int, units: tuple[str, ...], about: bool) -> str:
    found = finite(value)
    if found is None:
        return NONE
    if found < step:
        return f"{found:,.0f} byte{'' if found == 1 else 's'}"
    for unit in units:
        found /= step
        digits = 0 if about and found >= 9.95 else 1
        if round(found, digits) < step or unit == units[-1]:
            break
    return f"{found:,.{digits}f} {unit}"


def duration(value: Any, about: bool = False) -> str:
    """Seconds as people say them: 0.8 s, 48 s, 4 min 41 s, 3 h 20 min; `about` of what is foretold: 5 min, 3.3 h."""
    found = finite(value)
    if found is None:
        return NONE
    if about:
        if found < 90:
            return f"{found:.0f} s"
        return f"{found / 60:.0f} min" if found < 5400 else f"{found / 3600:.1f} h"
    whole = round(found)
    if whole < 60:
        return f"{found:.1f} s" if found < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def cut(text: str, most: int) -> str:
    """The first `most` characters of a text; the last of them says that there are more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def one_line(text: str, most: int) -> str:
    """The same of a text on one line."""
    return cut(" ".join(text.split()), most)


def _signs(text: str) -> str:
    return text.replace("-", MINUS)
