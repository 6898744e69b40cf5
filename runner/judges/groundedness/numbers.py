"""The numbers of a text, in digits and in words, each with its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runner.judges.groundedness.units import unit_after

Span = tuple[int, int]
SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = {w: 10 * i for i, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
VALUES = {w: i for i, w in enumerate(SMALL)} | TENS
DECADES = {w[:-1] + "ies": v for w, v in TENS.items()}  # "in the twenties"
MOST = 10**12
"""No number in words is greater; "hundred hundred hundred …" is none."""
LARGE = {"million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = "|".join([*VALUES, "hundred", "thousand", "dozen", *LARGE])
_TIMES = {"thousand": 3, "k": 3, "million": 6, "mn": 6, "M": 6, "billion": 9, "bn": 9, "trillion": 12}
"""What may stand after digits ("15.2 million", "€3bn"), as a power of ten."""
_LARGER = re.compile(r"\s*-?(?P<word>(?:[mb]|tr)illion|thousand)\b|(?:(?P<short>k|M|mn|bn))\b", re.IGNORECASE)
_DIGITS = re.compile(
    r"(?<![\w.,/:$-])(?P<sign>[-−–](?=\d)|(?:minus|negative)\s+)?(?P<cash>[$€£]\s?)?"
    r"(?P<n>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:[.,]\d+)?(?!\d)|\.\d+)(?P<half>½)?(?P<s>'?s\b)?"
    r"|(?:(?<=[-–/~≈$€£(\"'“*])|(?<=[A-Za-z]:))(?P<n2>\d+(?:[.,]\d+)?(?!\d))(?P<s2>'?s\b)?"
    r"|(?P<alone>½|¼|¾)",
    re.IGNORECASE,
)
_WORDS = re.compile(
    rf"\b(?:(?P<neg>minus|negative)[\s-]+)?(?:(?P<dec>{'|'.join(DECADES)})\b|"
    rf"(?P<n>(?:a\s+(?=hundred\b|thousand\b|dozen\b))?(?:{_WORD})\b(?:(?:\s+and\s+|[\s-]+)(?:{_WORD})\b)*)"
    rf"(?P<point>\s+point(?:[\s-]+(?:{'|'.join(VALUES)})\b)+(?P<large>\s+(?:thousand|{'|'.join(LARGE)})\b)?)?(?P<half>\s+and\s+a\s+(?:half|quarter)\b)?"
    r"|(?P<part>(?:a\s+)?(?:half|quarter))(?=\s+(?:an?|of\s+an?)\s)"
    r"|(?P<one>(?<!half )(?<!quarter )(?<!of )an?)(?=\s+(?:inch|foot|mile|kilomet|centimet|millimet)(?!s\b)\w*\b))",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"(?:\b(?:about|around|roughly|approximately|approx\.?|nearly|almost|close\s+to|near|just|some|somewhere|over|under"
    r"|above|below|past|shy\s+of|nigh|circa|ca\.?|upwards?\s+of|well|more\s+than|less\s+than)|[~≈<>])"
    r"(?:\s+(?:a|an|the|on|over|under|above|below|around|about|of|into|in|shy|past))*\s*[$€£(-]?$",
    re.IGNORECASE,
)
_BELOW = re.compile(r"\s*(?:degrees?\s+)?below\s+(?:zero|0|nought)\b", re.IGNORECASE)
_OR_SO = re.compile(r"\s*(?:or\s+so|or\s+thereabouts|-?ish)\b", re.IGNORECASE)
_MARKER = re.compile(r"(?m)^\s*\d{1,2}[.)]\s")
LETTERS = re.compile(r"[A-Za-z]")


@dataclass(frozen=True)
class Number:
    """`end` is past its unit. `decimals` as it is written, negative of millions; `decade`: "the 70s"; `word`: written
    as a word; `lent`: its unit is only that of a number after a comma or a slash, which may be one of another kind."""

    start: int
    end: int
    text: str
    value: float
    decimals: int = 0
    unit: str | None = None
    hedged: bool = False
    decade: bool = False
    word: bool = False
    lent: bool = False

    @property
    def shown(self) -> str:
        return " ".join(self.text.split())


def read_numbers(text: str, masked: Sequence[Span] = ()) -> list[Number]:
    """All numbers outside the masked spans, in order. A number of a range or a list ("18 to 24 °C")
    has the unit that its last one names; `masked` are dates, times and codes."""
    taken = _covered(text, [*masked, *(m.span() for m in _MARKER.finditer(text))])
    found = [
        n
        for m in _DIGITS.finditer(text)
        if not taken[m.start() : m.end()].count(1) and (n := _digits(text, m))
    ]
    taken = _covered(text, [*masked, *((n.start, n.end) for n in found)])
    for match in _WORDS.finditer(text):
        if not taken[match.start() : match.end()].count(1):
            found += _worded(text, match)
    found = _odds(text, sorted(found, key=lambda n: n.start))
    for i in range(len(found) - 2, -1, -1):
        here, after = found[i], found[i + 1]
        between = text[here.end : after.start]
        if here.unit is None and after.unit and joined(between):
            found[i] = replace(here, unit=after.unit, lent=after.lent or between.strip() in (",", "/"))
    return found


def _odds(text: str, found: list[Number]) -> list[Number]:
    """Read "eight chances in ten" as some 80 %."""
    out: list[Number] = []
    for n in found:
        last = out[-1] if out else None
        odds = last and last.unit is None and n.unit is None and _IN.fullmatch(text[last.end : n.start])
        if last and odds and 0 <= last.value <= n.value and n.value in (2, 3, 4, 5, 6, 8, 10, 20, 100):
            shown, share = text[last.start : n.end], 100 * last.value / n.value
            out[-1] = Number(last.start, n.end, shown, share, 0, "%", n.value <= 20)
            continue
        out.append(n)
    return out


_IN = re.compile(r"\s+(?:chances?\s+|times\s+|parts?\s+)?(?:in|out\s+of)\s+(?:every\s+)?", re.IGNORECASE)


def joined(between: str) -> bool:
    """Whether the text between two numbers only joins them, as in a range or a list."""
    return bool(_JOINED.fullmatch(between))


_JOINED = re.compile(
    r"\s*(?:,?\s*(?:and|or|(?:up\s+|down\s+)?to|through|&)|,|/|-|–|—|\.\.\.?|…)\s*(?:about|around|perhaps|then)?\s*"
)


def _covered(text: str, spans: Sequence[Span]) -> bytearray:
    """A byte for each character, 1 within the spans."""
    out = bytearray(len(text))
    for start, end in spans:
        out[start:end] = b"\x01" * (end - start)
    return out


def _digits(text: str, match: re.Match[str]) -> Number | None:
    whole = match.group("alone") or match.group("n") or match.group("n2")
    start = match.start()
    if match.group("alone"):
        value, decimals = {"½": 0.5, "¼": 0.25, "¾": 0.75}[whole], 2
    else:
        if start and LETTERS.match(text[start - 1]):
            return None
        plain = (
            whole.replace(",", "")
            if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", whole)
            else whole.replace(",", ".")
        )
        value, decimals = float(plain), len(plain.partition(".")[2])
    if match.group("half"):
        value, decimals = value + 0.5, 1
    if match.group("sign"):
        value = -value
    plural = bool(match.group("s") or match.group("s2"))
    end = match.end()
    if plural and not (value % 10 == 0 and 0 < value < 200):
        return None
    if not plural and (large := _LARGER.match(text, end)):
        word = (large["word"] or "").lower() or large["short"]
        power = _TIMES.get(word, 0)  # "140K" are kelvins, "5m" metres
        value, decimals = value * 10**power, decimals - power
        end = large.end() if power else end
    unit, after = unit_after(text, end) or (None, end)
    if unit is None and end < len(text) and LETTERS.match(text[end]) and not plural:
        return None  # "2nd", "5th", "3D"
    cash = (match.group("cash") or "").strip() or None
    number = Number(
        start, after, text[start:after], value, decimals, cash or unit, _hedged(text, start, after), plural
    )
    return _sunk(text, number)


def _hedged(text: str, start: int, end: int) -> bool:
    return bool(_HEDGE.search(text[max(0, start - 40) : start]) or _OR_SO.match(text, end))


def _sunk(text: str, number: Number) -> Number:
    if (below := _BELOW.match(text, number.end)) and number.value > 0:
        shown = text[number.start : below.end()]
        return replace(number, value=-number.value, end=below.end(), text=shown)
    return number


def _worded(text: str, match: re.Match[str]) -> list[Number]:
    """One number, or several that stand side by side ("twenty thirty")."""
    if match.group("dec"):
        start, end = match.span()
        value = float(DECADES[match.group("dec").lower()])
        unit, end = unit_after(text, end) or (None, end)
        return [Number(start, end, text[start:end], value, 0, unit, False, True, True)]
    if match.group("one"):  # "an inch of rain"
        start, end = match.span()
        unit, after = unit_after(text, end) or (None, end)
        return [
            Number(start, after, text[start:after], 1.0, 0, unit, _hedged(text, start, after), False, True)
        ]
    if match.group("part"):
        start, end = match.span()
        unit, after = unit_after(text, end) or (None, end)
        if unit is None:
            return []
        value = 0.5 if "half" in match.group("part").lower() else 0.25
        return [Number(start, after, text[start:after], value, 2, unit, True, False, True)]
    out: list[Number] = []
    total, group, start, last = 0, -1, -1, ""
    rounded = 0
    end = match.start("n")

    def close() -> None:
        if start >= 0 and total + group < MOST:
            value = float(total + max(group, 0))
            out.append(
                Number(start, end, text[start:end], value, min(rounded, 0) if group <= 0 else 0, word=True)
            )

    for piece in re.finditer(r"[A-Za-z]+", match.group("n")):
        word, at = piece.group().lower(), match.start("n") + piece.start()
        if word in ("a", "and"):
            if word == "a" or last not in ("hundred", "thousand", *LARGE):
                close()
                total, group, start, last, rounded = 0, -1, (at if word == "a" else -1), word, 0
            continue
        if word in VALUES:
            value = VALUES[word]
            after = last in ("", "hundred", "thousand", "a", *LARGE)
            if not (after or (last in TENS and 0 < value < 10)):
                close()
                total, group, start, rounded = 0, -1, -1, 0
            group = max(group, 0) + value
        elif word == "dozen":
            group = 12 * (group if group > 0 else 1)
        elif word == "hundred":
            group = 100 * (group if group > 0 else 1)
        else:
            total, group = total + LARGE.get(word, 1000) * (group if group > 0 else 1), 0
            if word in LARGE:
                rounded = -len(str(LARGE[word])) + 1
        start = at if start < 0 else start
        end, last = match.start("n") + piece.end(), word
    close()
    if not out:
        return []
    final = out[-1]
    if point := match.group("point"):
        words = re.findall(r"[a-z]+", point.lower())[1:]
        digits = "".join(str(VALUES[w]) for w in words if w in VALUES)
        final = replace(final, value=final.value + float("0." + digits), decimals=len(digits))
    if half := match.group("half"):
        final = replace(final, value=final.value + (0.5 if "half" in half else 0.25), decimals=2)
    stop = max(match.end("point"), match.end("half"), final.end)
    if large := match.group("large"):
        power = _TIMES[large.strip().lower()]
        final = replace(final, value=final.value * 10**power, decimals=final.decimals - power)
    unit, after = unit_after(text, stop) or (None, stop)
    out[-1] = replace(final, end=after, unit=unit)
    if match.group("neg"):
        out[0] = replace(out[0], start=match.start(), value=-out[0].value)
    said = [replace(n, text=text[n.start : n.end], hedged=_hedged(text, n.start, n.end)) for n in out]
    return [_sunk(text, n) for n in said]
