"""Filter `normalize`: one way to write quotes, dashes, spaces and Unicode, in what is said.

Code (``` fences and `spans`), calls' arguments, tools' results and schemas stay as they are. What stands for nothing
goes by default: runs of spaces, soft hyphens, zero-width and control characters, ligatures of the printer's; quotes
and dashes are the author's and are left alone unless asked. Applied twice, it changes nothing more.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runner.record import Edited, Message, Record
from runner.registry import Said, filter

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_ZERO = "\u200b\u2060\ufeff\u180e"
_JOINERS = re.compile("(?<=[\x00-\x7f])[\u200c\u200d]+(?=[\x00-\x7f])")  # elsewhere they mean something
_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_STRAIGHT = {**dict.fromkeys("“”„‟", '"'), **dict.fromkeys("‘’‚‛", "'")}
_ASCII_DASH = {"—": "--", "―": "--", "–": "-", "‒": "-", "−": "-", "‐": "-", "‑": "-"}
_PLAIN_DASH = {"―": "—", "‒": "–", "‐": "-", "‑": "-"}
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028]|\u2029")
# A dash of two hyphens stands between words or spaces, not before an option of a command (--help) nor in a rule.
_TWO_HYPHENS = re.compile(r"(?<=[^\s\-<!])--(?![->])|(?<=\S )--(?= )")
_MEASURE = re.compile(r"""\d'\s?\d{1,2}(?:"|'')?|\d'(?=\d)""")  # 5'10": feet and inches are no quotes
_OPENS_AFTER = frozenset(" \n\t([{<—–-“‘/\u00a0")
_CLIPPED = re.compile(
    r"'(?:tis|twas|twere|twill|twould|em|til|cause|bout|round|n|nough|gainst|neath|\d0s)\b", re.IGNORECASE
)
_RUNS = re.compile(r"(?<=[^ \t\n])[ \t]{2,}(?=[^ \t\n])|(?<=[^ \t\n])\t(?=[^ \t\n])")
_TRAILING = re.compile(r"(?<![ \t])[ \t]+(?=\n)")
_BLANKS = re.compile(r"\n{3,}")

# No text without a match of this changes in anything but its normal form; quotes and dashes are asked apart.
_ODD = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x{a0}\x{ad}\x{1680}\x{180e}\x{2000}-\x{200d}\x{2028}\x{2029}\x{202f}\x{205f}\x{2060}"
    r"\x{3000}\x{feff}\x{fb00}-\x{fb06}]|  |\t|[ \t]\n|\n\n\n|^[ \n]|[ \n]\z"
)
_NAMES = {
    "quotes": "quote", "dashes": "dash", "spaces": "space", "ligatures": "ligature", "soft hyphens": "soft hyphen",
    "control characters": "control character", "zero-width characters": "zero-width character",
    "characters": "character",
}  # fmt: skip


@filter("normalize", version=2)
def normalize(
    *,
    quotes: Annotated[
        Literal["straight", "curly", "keep"],
        Meta(description="How quotation marks and apostrophes are written."),
    ] = "keep",
    dashes: Annotated[
        Literal["em", "ascii", "keep"],
        Meta(description="`em`: -- between words becomes —. `ascii`: dashes become - and --."),
    ] = "keep",
    spaces: Annotated[
        bool,
        Meta(
            description="One space where there are many, none at the end of lines, one empty line at most, no "
            "no-break or zero-width spaces. Indentation stays."
        ),
    ] = True,
    unicode: Annotated[
        Literal["NFC", "NFKC", "none"],
        Meta(description="Normal form. NFKC changes what is written: ² to 2, … to three stops, ½ to 1⁄2."),
    ] = "NFC",
    ligatures: Annotated[bool, Meta(description="Take the ligatures ﬁ, ﬂ and so on apart.")] = True,
    soft_hyphens: Annotated[
        bool, Meta(description="Take out hyphens that show only where a line breaks.")
    ] = True,
    control: Annotated[
        bool, Meta(description="Take out control characters; all ends of lines become \\n.")
    ] = True,
) -> Callable[[Record], Said]:
    """Write quotes, dashes, spaces and characters in one way, in what user, assistant and system say; never in code,
    arguments, results or schemas."""
    rules = _Rules(quotes, dashes, spaces, unicode, ligatures, soft_hyphens, control)

    def look(record: Record) -> Said:
        messages: list[Message] = []
        counts: Counter[str] = Counter()
        for m in record.messages:
            said = m.content
            if said and m.role != "tool":
                new = rules.apply(said, counts)
                if new != said:
                    if not new.strip() and not m.tool_calls:
                        return "normalize: a turn has nothing left"
                    m = msgspec.structs.replace(m, content=new)
            messages.append(m)
        if not counts:
            return True
        parts = [f"{n} {what if n != 1 else _NAMES[what]}" for what in _NAMES if (n := counts[what])]
        return Edited(msgspec.structs.replace(record, messages=messages), f"normalize: {', '.join(parts)}")

    return look


class _Rules:
    def __init__(
        self, quotes: str, dashes: str, spaces: bool, unicode: str, ligatures: bool, soft: bool, control: bool
    ) -> None:
        self.quotes, self.dashes, self.spaces, self.form = quotes, dashes, spaces, unicode
        self.gone: dict[str, dict[str, str]] = {}
        if soft:
            self.gone["soft hyphens"] = {"\u00ad": ""}
        if spaces:
            self.gone["zero-width characters"] = dict.fromkeys(_ZERO, "")
        if ligatures:
            self.gone["ligatures"] = _LIGATURES
        self.control = control
        self.odd = spaces or control or soft or ligatures
        self.asked = "".join(
            [
                {"straight": "“”„‟‘’‚‛", "curly": "\"'"}.get(quotes, ""),
                {"ascii": "—―–‒−‐‑", "em": "―‒‐‑"}.get(dashes, ""),
            ]
        )

    def apply(self, text: str, counts: Counter[str]) -> str:
        if not self._concerns(text):
            return text
        if "`" not in text:
            return self._prose(text, counts, True, True)
        pieces = list(_pieces(text))
        last = len(pieces) - 1
        return "".join(
            piece if code else self._prose(piece, counts, n == 0, n == last)
            for n, (piece, code) in enumerate(pieces)
        )

    def _concerns(self, text: str) -> bool:
        """Whether anything may have to be done: quick, and seldom so."""
        if not text.isascii() and self.form != "none" and not unicodedata.is_normalized(self.form, text):  # type: ignore[arg-type]
            return True
        if any(c in text for c in self.asked) or (self.dashes == "em" and "--" in text):
            return True
        return self.odd and _odd().search(_encoded(text)) is not None

    def _prose(self, text: str, counts: Counter[str], first: bool, last: bool) -> str:
        """A piece without code. `first` and `last`: whether it begins and ends the turn."""
        if self.control:
            text = _LINE_END.sub("\n", text)
            text = _count(_CONTROL, "", text, counts, "control characters")
        for what, table in self.gone.items():
            text = _swap(table, text, counts, what)
        if self.spaces and ("\u200c" in text or "\u200d" in text):
            text = _count(_JOINERS, "", text, counts, "zero-width characters")
        if self.form != "none" and not text.isascii():
            new = unicodedata.normalize(self.form, text)  # type: ignore[arg-type]
            if new != text:
                counts["characters"] += _changed(text, new)
                text = new
        if self.spaces:
            text = _spaces(text, counts, first, last)
        if self.quotes == "straight":
            text = _swap(_STRAIGHT, text, counts, "quotes")
        elif self.quotes == "curly" and ('"' in text or "'" in text):
            text = _curly(text, counts, first)
        if self.dashes == "ascii":
            text = _swap(_ASCII_DASH, text, counts, "dashes")
        elif self.dashes == "em":
            text = _swap(_PLAIN_DASH, text, counts, "dashes")
            text = _count(_TWO_HYPHENS, "—", text, counts, "dashes")
        if self.spaces and _JOINERS.search(text):  # what stood beside a joiner is ASCII only now
            return self._prose(text, counts, first, last)
        return text


@lru_cache
def _odd() -> Any:
    import re2  # type: ignore[import-untyped,unused-ignore]

    return re2.compile(_ODD)


def _encoded(text: str) -> bytes | str:
    """For RE2, which reads UTF-8: half characters, which that cannot hold, go as question marks."""
    return text if text.isascii() else text.encode(errors="replace")


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether each is code: ``` to ```, or `…` within a line."""
    start = at = line = 0
    while (tick := text.find("`", at)) >= 0:
        if text.startswith("```", tick):
            close = text.find("```", tick + 3)
            end = close + 3 if close >= 0 else len(text)
        else:
            close = text.find("`", tick + 1)
            if line < tick:  # looked for once a line, not once a tick
                line = text.find("\n", tick) % (len(text) + 1)
            if close < 0 or line < close:
                at = tick + 1
                continue
            end = close + 1
        if tick > start:
            yield text[start:tick], False
        yield text[tick:end], True
        start = at = end
    if start < len(text):
        yield text[start:], False


def _count(pattern: re.Pattern[str], new: str, text: str, counts: Counter[str], what: str) -> str:
    text, n = pattern.subn(new, text)
    if n:
        counts[what] += n
    return text


def _swap(table: dict[str, str], text: str, counts: Counter[str], what: str) -> str:
    for char, new in table.items():
        if char in text:
            counts[what] += text.count(char)
            text = text.replace(char, new)
    return text


def _changed(old: str, new: str) -> int:
    """How many characters a normal form changed: those of the old text that it would not leave so."""
    return max(
        1,
        sum(a != b for a, b in zip(old, new, strict=False))
        if len(old) == len(new)
        else abs(len(old) - len(new)),
    )


def _spaces(text: str, counts: Counter[str], first: bool, last: bool) -> str:
    for char in _SPACES if not text.isascii() else ():
        if char in text:
            counts["spaces"] += text.count(char)
            text = text.replace(char, " ")
    for pattern, new in ((_TRAILING, ""), (_BLANKS, "\n\n"), (_RUNS, " ")):
        text = _count(pattern, new, text, counts, "spaces")
    bare = text.lstrip("\n") if first else text
    bare = bare.rstrip(" \t\n") if last else bare
    if bare != text:
        counts["spaces"] += 1
    return bare


def _curly(text: str, counts: Counter[str], first: bool) -> str:
    kept = {n for match in _MEASURE.finditer(text) for n in range(*match.span())}
    clipped = {match.start() for match in _CLIPPED.finditer(text)}
    out = list(text)
    before = "\n" if first else "x"  # behind code, a quote closes
    for n, char in enumerate(text):
        if char in "\"'" and n not in kept:
            opens = before in _OPENS_AFTER and n not in clipped
            out[n] = ("“" if opens else "”") if char == '"' else ("‘" if opens else "’")
            counts["quotes"] += 1
        before = out[n]
    return "".join(out)
