"""Speech between people in narrative text: which paragraphs are turns, which turns answer one another.

The printer's rule is what this goes by: whoever speaks next gets a paragraph of their own. A paragraph is a turn if
it opens with speech (or with a few words that lead to it), all its quotes close, and what else it says is short and
names one speaker at most. Turns of adjacent paragraphs answer each other unless the text says otherwise: the same
speaker twice, somebody who adds to what they said, a third person who joins in. Where in doubt, it is no exchange.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from runner.passages.english import plain, words

_CLOSING = {"“": "”", '"': '"', "«": "»", "„": "“”", "‘": "’", "'": "'"}
_SINGLE = "‘'"
_STOPS = ".,!?;:…—–-"
_MOST_NARRATED = 20  # words beside the speech; more is a story with a quotation in it
_LONGEST_LEAD = 12  # words before the speech
_LONGEST_TAIL = 12  # words after it; where more happens, what is said next answers something else
_LONGEST = 100_000  # characters of a passage; what is longer is no talk
_FEWEST_SAID = 5  # words that the answers hold together; fewer teach nothing
_FEWEST_ASKED = 3  # words of the first turn: "Sir!" asks nothing
_WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
_LEAD = re.compile(r"(?<=[.!?;”\"])\s+")
_TO_ONESELF = re.compile(r"\b(?:thought|thinks|to (?:him|her|my)self)\b", re.I)
_PRONOUNS = ("he", "she", "i", "they", "we")


class Turn(NamedTuple):
    """What one person says, and who that is as far as the text tells ("" where it does not)."""

    text: str
    speaker: str
    on: bool = False  # "he added": not the other's answer
    last: bool = False  # the story goes on after it: nobody's turn is next


class _Split(NamedTuple):
    """A paragraph in pieces: what is said, what is told around it (one piece more), whether the last quote is open."""

    said: list[str]
    told: list[str]
    open: bool


def _split(paragraph: str) -> _Split | None:
    """None where quotes stand in one another or close nothing, or none is there."""
    start = next((i for i, c in enumerate(paragraph) if c in _CLOSING and (c not in _SINGLE or i == 0)), None)
    if start is None:
        return None
    mark = paragraph[start]
    closing = _CLOSING[mark]
    said, told, at = list[str](), list[str](), 0
    while (begin := paragraph.find(mark, at)) >= 0:
        if mark in _SINGLE and begin and paragraph[begin - 1].isalnum():
            return None  # an apostrophe, or quotes that cannot be told from one
        end = _end(paragraph, begin + 1, closing, mark in _SINGLE)
        told.append(paragraph[at:begin])
        said.append(paragraph[begin + 1 : end])
        if mark != closing and mark in said[-1]:
            return None
        at = end + 1
        if end == len(paragraph):
            return _Split(said, [*told, ""], True)
    rest = paragraph[at:]
    return (
        None
        if any(c in rest for c in closing) and mark not in _SINGLE
        else _Split(said, [*told, rest], False)
    )


def _end(text: str, start: int, closing: str, single: bool) -> int:
    """Where the speech that starts there closes; the text's length if it does not."""
    for i in range(start, len(text)):
        if text[i] not in closing:
            continue
        # A single quote is an apostrophe too: it closes after a stop and before what is no letter.
        after = text[i + 1 : i + 2]
        if not single or (text[i - 1] in _STOPS and not after.isalnum()):
            return i
    return len(text)


def _speakers(told: str) -> list[str]:
    """Whom the words around speech name as speaking: "Tom", "she", "old lady"; lower case, each once."""
    tokens = _WORD.findall(told)
    low = [plain(t) for t in tokens]
    found: list[str] = []
    for i, word in enumerate(low):
        if word not in words("speaking") and word not in words("speaking-on"):
            continue
        # "Ned nodded and said": the one whom the sentence is about
        who = _after(tokens, low, i + 1) or _before(tokens, low, i - 1) or _after(tokens, low, 0)
        if who and who not in found:
            found.append(who)
    return found


def _is_name(token: str) -> bool:
    return token[0].isupper() and plain(token) not in words("function")


def _after(tokens: Sequence[str], low: Sequence[str], i: int) -> str:
    """ "said Tom Sawyer", "said he", "said the old lady"."""
    if i >= len(low):
        return ""
    if low[i] in _PRONOUNS:
        return low[i]
    end = i
    while end < len(tokens) and end - i < 4 and _is_name(tokens[end]):
        end += 1
    if end > i:
        return " ".join(low[i:end])
    if low[i] in ("the", "my", "his", "her", "our", "an", "a"):
        end = i + 1
        while (
            end < len(low)
            and end - i < 4
            and low[end] not in words("function")
            and not low[end].endswith("ly")
        ):
            end += 1
        return " ".join(low[i + 1 : end])
    return ""


def _before(tokens: Sequence[str], low: Sequence[str], i: int) -> str:
    """ "Tom said", "he hastily replied", "the old lady cried"."""
    while i >= 0 and (
        low[i].endswith("ly") or low[i] in ("then", "only", "again", "also", "just", "had", "at", "last")
    ):
        i -= 1
    if i < 0:
        return ""
    if low[i] in _PRONOUNS:
        return low[i]
    start = i
    while start >= 0 and i - start < 4 and _is_name(tokens[start]):
        start -= 1
    if start < i:
        return " ".join(low[start + 1 : i + 1])
    while start >= 0 and i - start < 3 and low[start] not in words("function"):
        start -= 1
    return (
        " ".join(low[start + 1 : i + 1]) if start >= 0 and low[start] in ("the", "my", "his", "her") else ""
    )


def _sex(speaker: str) -> str:
    said = set(speaker.split())
    return "she" if said & words("she") else "he" if said & words("he") else ""


def _same(a: str, b: str) -> bool | None:
    """Whether two speakers are one; None where it cannot be known."""
    if not a or not b:
        return None
    if a in _PRONOUNS or b in _PRONOUNS:
        if a == b:
            return True
        if "i" in (a, b):
            return False
        one, other = _sex(a), _sex(b)
        return False if one and other and one != other else None
    return bool(set(a.split()) & set(b.split()) - words("titles") - words("function"))


def _turn(paragraph: str, lead: str = "") -> tuple[Turn, bool] | None:
    """The paragraph as a turn, and whether its speech goes on in the next; None if it is none."""
    split = _split(paragraph)
    if split is None or "\n" in paragraph:  # lines of verse
        return None
    before = split.told[0].strip()
    told = " ".join(t.strip() for t in (lead, *split.told) if t.strip())
    count = len(told.split())
    said = [s.strip() for s in split.said]
    if not all(said) or count > _MOST_NARRATED or _TO_ONESELF.search(told):
        return None
    if before and (len(before.split()) > _LONGEST_LEAD or before[-1] not in ",:" or not _speakers(before)):
        return None
    # Speech ends with a stop before its quote closes; a word in quotes does not.
    if any(s[-1] not in _STOPS for s in (said[:-1] if split.open else said)):
        return None
    speakers = _speakers(told)
    if len(speakers) > 1:
        return None
    on = bool(words("speaking-on").intersection(map(plain, _WORD.findall(told))))
    last = len(split.told[-1].split()) > _LONGEST_TAIL
    return Turn(_joined(said, split.told), speakers[0] if speakers else "", on, last), split.open


def _joined(said: Sequence[str], told: Sequence[str]) -> str:
    """Speech without what stood between: a comma before "said Tom." was a full stop."""
    out = ""
    for i, piece in enumerate(said):
        last = i + 1 == len(said)
        ended = last or told[i + 1].rstrip().endswith((".", "!", "?"))
        if piece.endswith(",") and ended:
            piece = piece[:-1] + "."
        out += (" " if out else "") + piece
    return out


def turns(passage: str) -> list[list[Turn]]:
    """Turns of adjacent paragraphs, as they stand; not yet whether they answer one another."""
    runs: list[list[Turn]] = [[]]
    lead, unfinished = "", False
    for paragraph in passage.split("\n\n"):
        if unfinished and not paragraph.startswith(tuple(_CLOSING)):
            runs[-1].pop()
            runs.append([])
            unfinished = False
        found = _turn(paragraph, lead)
        if found is None:
            if unfinished:
                runs[-1].pop()
            unfinished = False
            # "Tom answered:" on a line of its own leads to the paragraph that follows; the end of a longer one
            # tells who speaks there, but much has happened since the turn before.
            lead = _LEAD.split(paragraph)[-1] if paragraph.endswith((":", ",--", ",—")) else ""
            lead = lead if lead and _split(lead) is None and _speakers(lead) else ""
            if not lead or lead != paragraph or len(lead.split()) > _LONGEST_LEAD:
                runs.append([])
            lead = " ".join(lead.split()[-_LONGEST_LEAD:])
            continue
        turn, goes_on = found
        lead = ""
        if unfinished:
            before = runs[-1].pop()
            text = f"{before.text}\n\n{turn.text}"
            turn = Turn(text, before.speaker or turn.speaker, before.on, turn.last)
        runs[-1].append(turn)
        unfinished = goes_on
        if turn.last and not goes_on:
            runs.append([])
    if unfinished:
        runs[-1].pop()
    return [run for run in runs if run]


def _answers(run: Sequence[Turn]) -> list[list[Turn]]:
    """A run cut wherever a turn is no answer to the one before, or a third person joins in."""
    pieces: list[list[Turn]] = [[run[0]]]
    for before, turn in pairwise(run):
        piece = pieces[-1]
        if turn.on or _same(before.speaker, turn.speaker):
            pieces.append([turn])
        elif _third(piece, turn):
            pieces.append([before, turn])
        else:
            piece.append(turn)
    return [p for p in pieces if len(p) > 1]


def _third(piece: Sequence[Turn], turn: Turn) -> bool:
    """Whether the turn may be somebody's who has not spoken before: named otherwise than the one whose turn it
    is, or named where that one has not been.
    """
    own = [t.speaker for t in piece[-2::-2]]
    if any(_same(speaker, turn.speaker) is False for speaker in own):
        return True
    return bool(own and turn.speaker) and turn.speaker not in _PRONOUNS and not any(own)


def exchange(passage: str) -> list[str]:
    """The passage's longest exchange: what two speakers say by turns, as often the one as the other; [] if none.

    Of an odd number of turns the first or the last goes, so that the first speaker asks the more questions.
    """
    best = list[str]()
    for run in turns(passage) if len(passage) <= _LONGEST else ():
        for piece in _answers(run):
            said = [t.text for t in piece]
            if len(said) % 2:
                said = max(said[:-1], said[1:], key=_asked)
            if _count(said[:1]) < _FEWEST_ASKED:
                said = said[2:]
            if (
                _count(said[:1]) >= _FEWEST_ASKED
                and _count(said[1::2]) >= _FEWEST_SAID
                and _count(said) > _count(best)
            ):
                best = said
    return best


def _asked(said: Sequence[str]) -> tuple[int, int]:
    """Questions of the first speaker less those of the second; words of the second."""
    return sum("?" in t for t in said[::2]) - sum("?" in t for t in said[1::2]), _count(said[1::2])


def _count(said: Sequence[str]) -> int:
    return sum(len(t.split()) for t in said)
