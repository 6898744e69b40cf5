"""`find`: all personal data of some kinds in a text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from runner.privacy import digits, names
from runner.privacy.digits import Span
from runner.privacy.patterns import compiled, searchable, spans

Kind = Literal["email", "phone", "card", "ip", "iban", "name"]
KINDS: tuple[Kind, ...] = ("email", "iban", "card", "ip", "phone", "name")
"""In order of how sure each is: where two find the same place, the first has it."""
SHOWN: dict[str, str] = {
    "email": "e-mail", "iban": "IBAN", "card": "card", "ip": "IP", "phone": "phone", "name": "name"
}  # fmt: skip

# Letters of the scripts that addresses are written in: with all of Unicode's, RE2's program would be too large.
_L = r"A-Za-z\x{C0}-\x{24F}\x{370}-\x{1FFF}\x{3040}-\x{D7FF}"
_D = r"(?:\.| ?[\[(] ?(?i:dot) ?[\])] ?)"
_LABEL = rf"[{_L}0-9\-]+"
_EMAIL = (
    rf"[{_L}0-9._%+'\-]+(?:@| ?[\[(] ?(?i:at) ?[\])] ?)"
    rf"{_LABEL}(?:{_D}{_LABEL}){{0,5}}{_D}[{_L}]{{2,24}}"
)
_LOCAL, _LABELS = 64, 63  # most characters before the @, and of each part behind it
_AT = re.compile(r"\s?[\[(]\s?at\s?[\])]\s?", re.IGNORECASE)
_DOT = re.compile(r"\s?[\[(]\s?dot\s?[\])]\s?", re.IGNORECASE)
_FILES = frozenset([
    "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "mjs", "json", "html", "htm", "py", "md",
    "txt", "pdf", "zip", "gz", "exe", "dll"
])  # fmt: skip
_IPV4 = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
_IPV6 = r"[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:.]{4,41}"
_NUMBERED = frozenset([
    "v", "ver", "vers", "version", "versions", "release", "released", "build", "firmware", "section",
    "sections", "chapter", "clause", "rev", "revision", "update", "upgrade", "upgraded", "paragraph",
    "figure", "table", "step", "rule", "article", "python", "chrome", "firefox", "driver", "oid", "§"
])  # fmt: skip
_NETWORK = re.compile(
    r"\b(?:ip|ipv4|address|host|server|ping|ssh|dns|gateway|router|login|client|peer)\b", re.IGNORECASE
)
_NOBODY = frozenset(["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"])

# No text without a match of this holds anything but names; a text that has one may hold nothing all the same.
_PERHAPS = (
    r"@|[\[(] ?(?i:at) ?[\])]|[A-Z][A-Za-z]\d\d ?[A-Za-z0-9]{4}|\d(?:[ .\-/()\x{a0}]{0,3}\d){6}"
    r"|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]{1,4}::?[0-9A-Fa-f]{1,4}:"
)


class Hit(NamedTuple):
    """`value` is the same for the same thing written otherwise, so that it can be given the same name."""

    start: int
    end: int
    kind: Kind
    value: str


def may_hold(text: str) -> bool:
    """Whether `find` can find anything but names: much cheaper, and seldom so in prose."""
    return compiled(_PERHAPS).search(text.encode(errors="replace")) is not None


def find(
    text: str, kinds: Iterable[Kind], *, lead: str = "", known: frozenset[str] = frozenset()
) -> list[Hit]:
    """Hits in the order of the text, none over another.

    `lead` stands before the text and may say what it is (the key of a JSON value); `known` are values found
    elsewhere, to be found here even where nothing but their digits or letters says so.
    """
    text, wanted = searchable(text), set(kinds)
    found: list[Hit] = []
    if known or (wanted - {"name"} and may_hold(text)):
        for kind in KINDS:
            if kind in wanted and kind != "name":
                found += (Hit(start, end, kind, value) for start, end, value in _of(kind, text, lead))
        if known and {"card", "phone"} & wanted:
            kind = "phone" if "phone" in wanted else "card"
            found += (Hit(*span[:2], kind, span[2]) for span in digits.repeated(text, known))
    if "name" in wanted:
        found += (Hit(start, end, "name", value) for start, end, value in names.names(text, known))
    return _apart(found)


def _of(kind: Kind, text: str, lead: str) -> Iterator[Span]:
    if kind == "email":
        return _emails(text)
    if kind == "ip":
        return _addresses(text, lead)
    if kind == "card":
        return digits.cards(text)
    if kind == "iban":
        return digits.ibans(text)
    return digits.phones(text, lead)


def _apart(found: list[Hit]) -> list[Hit]:
    """Of hits that overlap, the one of the surer kind, then the longer one."""
    if len(found) < 2:
        return found
    taken: list[Hit] = []
    last = -1
    found.sort(key=lambda h: (h.start, KINDS.index(h.kind), -h.end))
    for hit in found:
        if hit.start >= last:
            taken.append(hit)
        elif KINDS.index(hit.kind) < KINDS.index(taken[-1].kind) and hit.start >= (
            taken[-2].end if len(taken) > 1 else 0
        ):
            taken[-1] = hit
        last = taken[-1].end
    return taken


def _emails(text: str) -> Iterator[Span]:
    if "@" not in text and "at" not in text.lower():
        return
    for start, end in spans(_EMAIL, text):
        said = text[start:end]
        said = said.lstrip("._%+'-")
        start = end - len(said)
        local, _, domain = _DOT.sub(".", _AT.sub("@", said, count=1)).lower().partition("@")
        labels = domain.split(".")
        if not local or len(local) > _LOCAL or local[-1] in ".'%" or ".." in local or labels[-1] in _FILES:
            continue
        if any(len(p) > _LABELS or p.startswith("-") or p.endswith("-") for p in labels):
            continue
        if local == "git" and text[end : end + 1] == ":":  # git@host:path
            continue
        yield start, end, f"{local}@{domain}"


def _last_word(before: str) -> str:
    words = before.lower().split()
    return words[-1].strip("(.:") if words else ""


def _addresses(text: str, lead: str) -> Iterator[Span]:
    for start, end in spans(_IPV4, text):
        octets = text[start:end].split(".")
        before, after = text[max(0, start - 40) : start], text[end : end + 2]
        if any(int(o) > 255 or (o[0] == "0" and len(o) > 1) for o in octets) or octets[0] in (
            "0",
            "127",
            "255",
        ):
            continue
        if before[-1:].isalnum() or before.endswith(("_", ".", "-", "+", "$")):
            continue
        if before[-1:] == "/" and not before.endswith("//"):  # nginx/1.24.0.1
            continue
        if after[:1].isalnum() or after[:1] in ("_", "%"):
            continue
        if after[:1] in (".", "-", ",", "/") and after[1:].isdigit():  # more of it, or a whole network
            continue
        if text[start:end] in _NOBODY or _last_word(before) in _NUMBERED:
            continue
        small = all(len(o) == 1 for o in octets)  # 1.2.3.4 is a section or a release as often
        if small and not _NETWORK.search(f"{lead} {before}"):
            continue
        yield start, end, text[start:end]
    if text.count(":") < 2:
        return
    for start, end in spans(_IPV6, text):
        said = text[start:end].rstrip(":.")
        end = start + len(said)
        groups = [g for g in said.split(":") if g]
        if len(groups) < 3 or not any(c.isdigit() for c in said):
            continue
        if (
            text[start - 1 : start].isalnum()
            or text[start - 1 : start] == ":"
            or text[end : end + 1].isalnum()
        ):
            continue
        try:
            yield start, end, str(ipaddress.IPv6Address(said))
        except ValueError:
            continue
