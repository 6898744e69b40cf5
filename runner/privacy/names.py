"""Names of people, where the words around them say that they are: no model, no list of names.

Found: titles with capitalised words (Mr. John Smith, Dr. O'Neil), "my name is …", "this is … speaking", greetings
(Dear Jane,), and the line under a letter's closing (Kind regards,). What was found so is found again in the rest of
a record. Names in running text without any of these are not, nor those in scripts without capitals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.privacy.patterns import compiled

_CUES = (
    r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herr|Frau|Madame|Monsieur|Señor|Señora)\.? "
    r"|\b(?i:my name is|my name's|my full name is|i am called) "
    r"|\b(?i:this is) "
    r"|(?m:^)(?:Dear|Hello|Hi|Hey) "
    r"|\b(?i:regards|sincerely|yours truly|yours faithfully|best wishes),?[ \t\r]*\n\s{0,4}"
)
_PART = re.compile(r"[^\W\d_](?:\.(?= [^\W\d_])|[^\W\d_]*(?:['’-][^\W\d_]+)*)")
_BETWEEN = frozenset(["von", "van", "de", "der", "da", "di", "la", "le", "bin", "al"])
_LONGEST, _MOST = 90, 50  # characters of a name; names looked for again in one text
# Capitalised words that are no names, wherever they stand.
_NOT = frozenset([
    "Sir", "Madam", "All", "Everyone", "Team", "Customer", "Friend", "Friends", "Reader", "Readers", "Lord",
    "God", "The", "A", "An", "I", "It", "Not", "No", "Yes", "And", "But", "Or", "If", "In", "On", "At", "To",
    "Of", "For", "From", "With", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December", "World", "There", "Again", "President", "Speaker", "Assistant"
])  # fmt: skip


def names(text: str, known: frozenset[str] = frozenset()) -> Iterator[tuple[int, int, str]]:
    """(start, end, the name) of each; `known` are names found elsewhere."""
    own = {k for k in known if k[:1].isupper() and not any(c.isdigit() or c in "@:" for c in k)}
    for start, end in ((m.start(), m.end()) for m in compiled(_CUES).finditer(text)):
        cue = text[start:end].lower()
        name = _name(text[end : end + _LONGEST])
        rest = text[end + len(name) : end + len(name) + 10].lstrip(" ")
        if not name or len(name) < 2 or len(name) == _LONGEST:
            continue
        if cue.startswith("this is") and not rest.startswith(("speaking", "here", "calling")):
            continue
        if cue.startswith(("dear", "hello", "hi ", "hey")) and rest[:1] not in (",", "!", "\n", ":"):
            continue
        if cue[-1:].isspace() and "\n" in cue and rest[:1] not in ("", "\n", "\r", ","):
            continue
        own.add(name)
    for name in sorted(own, key=lambda n: (-len(n), n))[:_MOST]:
        at = text.find(name)
        while at >= 0:
            end = at + len(name)
            if not text[at - 1 : at].isalnum() and not text[end : end + 1].isalnum():
                yield at, end, name
            at = text.find(name, end)


def _name(text: str) -> str:
    """The name of up to four parts that the text begins with, or nothing."""
    at, parts, end = 0, 0, 0
    while parts < 4 and (match := _PART.match(text, at)):
        word = match[0]
        if word in _NOT or not (word[0].isupper() or (parts and word in _BETWEEN)):
            break
        parts += word[0].isupper()
        end = match.end() if word[0].isupper() else end
        if text[match.end() : match.end() + 1] != " ":
            break
        at = match.end() + 1
    return text[:end]
