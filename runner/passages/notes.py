"""A plain draft of a passage: short whole sentences that say what happens in it, in its own words.

Only clauses that can stand alone are taken, each with its subject and its verb, and nothing is cut out of the middle
of one but a few strengthening words: a draft that loses a "not", a number or who did what would teach the opposite of
what is said. What hangs on another clause ("if …", "he thought …") goes with it or not at all. Where dialect, talk or
long periods leave too little that is whole, there is no draft: few good ones are worth more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runner.passages.cutting import sentences
from runner.passages.english import plain, words
from runner.passages.grammar import WORD, has_own_verb, leads, some_verb

_HARD = re.compile(r";|:|--|—")
_SOFT = re.compile(r",\s+(?:and|but|so|yet)\s+")
_LEADING = re.compile(
    r"(?:(?:and|but|so|yet|then|now|well|why|however|still|of course|besides|moreover|therefore|thus|also),?"
    r"|for(?=\s+(?:i|he|she|it|we|they|there|the)\b))\s+(?!that\b)",
    re.I,
)
_LEADS_ON = re.compile(r"\b(?:when|while|if|because|though|although|until|that|since|where)\b")
_EVERY_TIME = re.compile(r"(?:every|each|the)\s+(?:time|moment|instant|day|minute)\s+(?!\w+ly\b)[^,]*$", re.I)
_DROPPABLE = re.compile(r",\s+(?:which|whose|where|while|though|although|as|with|like|and|[a-z]{3,}ing)\b")
_RESTRICTS = re.compile(r"\b(?:if|unless|except|until|till|lest|or|only)\b", re.I)
_HANGING = re.compile(
    r"\b(?:that|and|but|or)\s+(?:if|when|after|before|while|as|though|although|unless|because|since|whenever|until)\b"
)
_NO_STANDARD = re.compile(
    r"\b(?:i|he|she|it|we|they|you|who)\s+(?:seen|done|begun|gone|been|give|come to|says|don't)\b"
    r"|\b(?:we|you|they)\s+was\b|\bthem\s+(?:kind|days|times|two|old|people)\b|\bi\s+(?:is|says|goes)\b"
)
_LEFT_OPEN = frozenset(
    "and or but the a an that of to into from at with without by for upon against between".split()
)
_QUOTES = frozenset('"“”«»„')
_DIGITS = re.compile(r"\d")
_FEWEST_WORDS, _MOST_WORDS = 5, 24  # of one sentence
_LONGEST_SENTENCE = 1000  # characters; a longer one is not taken apart
_FEWEST_NOTES, _MOST_NOTES = 3, 10
_LEAST_SHARE, _MOST_SHARE = 0.28, 0.6  # of the passage's told words, in all; more would be the passage itself
_MOST_TALK = 0.35  # share of words between quotes
_MOST_DIALECT = 0.015  # share of words in dialect
_READ = 100_000  # characters of a passage that are looked at


def notes(passage: str) -> str:
    """The draft, one sentence a line; "" where none can be made well."""
    return noted(passage)[0]


def noted(passage: str) -> tuple[str, str]:
    """The draft, and why there is none ("" where there is one)."""
    passage = passage[:_READ]
    if passage.count("\n") > 2 * passage.count("\n\n"):
        return "", "verse or a table, which plain notes would not give back"
    tokens = [plain(w) for w in WORD.findall(passage)]
    if sum(map(_dialect, tokens)) + len(_NO_STANDARD.findall(plain(passage))) > _MOST_DIALECT * len(tokens):
        return "", "too much dialect in it for plain notes"
    told = 0
    found: list[list[str]] = []  # of each paragraph
    for paragraph in passage.split("\n\n"):
        found.append([])
        for sentence in _told(paragraph):
            told += len(sentence.split())
            found[-1] += _clauses(sentence)
    if told < (1 - _MOST_TALK) * len(passage.split()):
        return "", "mostly talk, which plain notes would not give back"
    chosen = _chosen(found, int(_MOST_SHARE * told))
    count = sum(len(c.split()) for clauses in chosen for c in clauses)
    gaps = sum(not c for c in chosen if c is not None)
    if sum(map(len, chosen)) < _FEWEST_NOTES or count < _LEAST_SHARE * told or 3 * gaps > 2 * len(chosen):
        return "", "too little of it can be said in plain notes without changing its sense"
    return "\n".join(f"- {c}" for clauses in chosen for c in _as_written(clauses, passage)), ""


def _dialect(word: str) -> bool:
    return word in words("dialect") or word.startswith("a-") or (word.endswith("in'") and len(word) > 4)


def _told(paragraph: str) -> Iterator[str]:
    """Its sentences in which nobody speaks."""
    open_quote = paragraph.lstrip()[:1] in _QUOTES and not set(paragraph.lstrip()[1:]) & _QUOTES
    if open_quote or paragraph.lstrip()[:1] in "‘'":
        return
    within = False
    for _, sentence in sentences(paragraph):
        marks = [c for c in sentence if c in _QUOTES]
        if not marks and not within:
            yield sentence
        for c in marks:
            within = not within if c == '"' else c in "“«„"


def _chosen(found: Sequence[Sequence[str]], room: int) -> list[list[str]]:
    """The clauses that are kept: in turn the fullest of each paragraph, as long as there is room."""
    ranked = sorted(
        (rank, at, i)
        for at, clauses in enumerate(found)
        for rank, i in enumerate(sorted(range(len(clauses)), key=lambda i: (-len(clauses[i].split()), i)))
    )
    kept: list[set[int]] = [set() for _ in found]
    left = _MOST_NOTES
    for _, at, i in ranked:
        n = len(found[at][i].split())
        if n <= room and left:
            kept[at].add(i)
            room -= n
            left -= 1
    return [[clauses[i] for i in sorted(k)] for clauses, k in zip(found, kept, strict=True)]


def _as_written(clauses: Sequence[str], passage: str) -> Iterator[str]:
    """Without the capitals of a chapter's first words, and with a capital and a stop."""
    for clause in clauses:
        text = " ".join(_small(word, passage) for word in clause.split())
        yield text[0].upper() + text[1:] + ("" if text.endswith((".'", ".’")) else ".")


def _small(word: str, passage: str) -> str:
    """A word in capitals as it would stand elsewhere: "WAS" → "was", "TOM" → "Tom"."""
    letters = word.strip(",.;:’'")
    if len(letters) < 2 or not (letters.isupper() and letters.isalpha() and set(letters) - set("IVXLC")):
        return word
    common = (
        letters.lower() in words("function", "finite", "past", "verbs", "vague")
        or f" {letters.lower()} " in passage
    )
    return word.lower() if common else word.capitalize()


def _clauses(sentence: str) -> Iterator[str]:
    """The clauses of one sentence that can stand alone."""
    body = sentence.strip().rstrip(".")
    if (
        len(body) > _LONGEST_SENTENCE
        or body[-1:] in "?!:"
        or "?" in body
        or "!" in body
        or "[" in body
        or "(" in body
        or "*" in body
    ):
        return
    parts = [part.strip() for part in _HARD.split(body)]
    ends = [m[0] for m in _HARD.finditer(body)]
    if len(parts) == 3 and ends[0] == ends[1] and ends[0] in ("--", "—"):
        whole = _alone(f"{parts[0].rstrip(',')} {parts[2]}")  # without what stands between dashes
        if whole and not _alone(parts[0]):
            yield whole
            return
    vouched = False
    for n, part in enumerate(parts):
        leads = n < len(ends) and ends[n] == ":"
        if not vouched and not leads:
            yield from _soft(part)
        low = {plain(w) for w in WORD.findall(part)}
        vouched = (
            vouched or bool(low & words("vouching")) or plain(part.split(" ", 1)[0]) in ("if", "suppose")
        )


def _soft(part: str) -> Iterator[str]:
    """Clauses joined by ", and", taken apart where the first does not govern the second."""
    for found in _SOFT.finditer(part):
        left, right = part[: found.start()], part[found.end() :]
        low = {plain(w) for w in WORD.findall(left)}
        if low & (words("subordinate", "vouching")):
            break
        # "but" and "so" turn or explain what stands before: short ones stay together.
        if found[0].split()[1] != "and" and len(part.split()) <= _MOST_WORDS:
            continue
        if _alone(left) and leads(WORD.findall(right)):
            yield from filter(None, [_alone(left)])
            yield from _soft(right)
            return
    if whole := _alone(part):
        yield whole


def _alone(clause: str) -> str:
    """The clause as a sentence of its own, without its stop; "" where it cannot be one."""
    text = clause.strip().strip(",").strip()
    while found := _LEADING.match(text):
        text = text[found.end() :]
    text = _front(text)
    text = _plainer(text)
    if len(text.split()) > _MOST_WORDS:
        text = _shorter(text)
    found_words = WORD.findall(text)
    if not _FEWEST_WORDS <= len(text.split()) <= _MOST_WORDS or not found_words:
        return ""
    low = [plain(w) for w in found_words]
    if any(map(_dialect, low)) or not (leads(found_words) or _led(text)):
        return ""
    if low[-1] in _LEFT_OPEN:
        return ""
    if low[-1] in words("vouching") or low[-1] in (
        "follows",
        "following",
        "exclaimed",
        "cried",
        "continued",
        "added",
    ):
        return ""  # what is said stands elsewhere
    # "He said that if they came": what then is cut off.
    if any(not _whole_behind(text[m.end() :]) for m in _HANGING.finditer(text)):
        return ""
    last = [m.end() for m in _LEADS_ON.finditer(text)][-1:]
    if (last and not some_verb(text[last[0] :])) or (_EVERY_TIME.match(text) and low[1] != "day"):
        return ""
    matter = [w for w in low if w not in words("function")]
    return text.rstrip(",;: ") if len(matter) >= 2 else ""


def _whole_behind(rest: str) -> bool:
    """Whether a clause that "that if", "and when" begins is followed by the one it leads to."""
    return any(leads(WORD.findall(rest[m.end() :])) for m in re.finditer(r",\s+", rest))


def _front(text: str) -> str:
    """Without a phrase that leads to the subject: "In the closet, he …". One that says no, or how many, stays."""
    first = plain(text.split(" ", 1)[0]) if text else ""
    lead, comma, rest = text.partition(", ")
    if not comma or first not in words("prepositions") or first in ("without", "except", "like", "for"):
        return text
    if (
        len(lead.split()) > 8
        or _DIGITS.search(lead)
        or _RESTRICTS.search(lead)
        or not leads(WORD.findall(rest))
    ):
        return text
    return text if set(map(plain, lead.split())) & {"no", "not", "never"} or has_own_verb(lead) else rest


def _led(text: str) -> bool:
    """Whether a clause of time or reason leads to a whole one: "When he woke, it was late"."""
    if plain(text.split(" ", 1)[0]) not in (
        "when",
        "while",
        "as",
        "because",
        "though",
        "although",
        "since",
        "if",
    ):
        return False
    return any(leads(WORD.findall(text[m.end() :])) for m in re.finditer(r",\s+(?!and |or |but )", text))


def _plainer(text: str) -> str:
    """Without strengthening words, but for "not very" and "so very … that"."""
    out: list[str] = []
    for word in text.split():
        before = plain(out[-1]) if out else ""
        keeps = before in ("not", "so", "the", "this", "that", "his", "no", "never", "a") or before.endswith(
            "n't"
        )
        if plain(word) in words("strengthening") and not keeps:
            continue
        out.append(word)
    return re.sub(r"\s+,", ",", " ".join(out))


def _shorter(text: str) -> str:
    """A long clause up to where it only adds something, if it is whole there."""
    for found in reversed(list(_DROPPABLE.finditer(text))):
        head, rest = text[: found.start()], text[found.start() :]
        listed = found[0].split()[1] == "and" and "," in head
        if listed or _RESTRICTS.search(rest):
            continue
        if len(head.split()) <= _MOST_WORDS:
            return head
    return text
