"""The names in an answer: capitalised words that are no beginnings of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runner.judges.groundedness.claims import STATES
from runner.judges.groundedness.reading import sentences
from runner.judges.groundedness.telling import plain
from runner.judges.groundedness.words import ATTRIBUTIVE, COMMON, FREE

_TOKEN = re.compile(r"[^\W\d_]+(?:[.'’-][^\W\d_]+)*\.?")
_OPENS = re.compile(r"(?:^|[.!?…:;•>|\"“”‘(\[*#\n–—-]|\d[.)])[\s\"“‘*_(#>-]*$")
_PLACED = re.compile(
    r"\b(?:in|at|for|near|from|around|over|of|to|across|outside|off)\s+(?:the\s+)?(?:[A-Z][\w.'’-]*\s+)*$"
)
_GOES_ON = re.compile(
    r"(?:['’]s\b|\s+(?:will|gets|sees|expects|reach(?:es)?|hits|sits\s+at|experiences|enjoys|awaits|faces|boasts|reports|"
    r"stands\s+at|shall|won['’]t|today|tomorrow|tonight|currently|now|weather|forecast|at\s+\d)\b|\s*:|\s*,\s+[A-Z]|\s+\(|"
    r"\s*[–—-]\s)"
)
# Verbs that as well go on after other nouns: then the sentence must be about the weather.
_MAY = re.compile(
    r"\s+(?:is|was|has|had|are|have|looks|stays|remains|shows|stands|should|can|could|may|might|isn['’]t|ought)\b"
)
_WEATHER = re.compile(rf"\d|degrees|percent|{STATES}|today|tomorrow|tonight|forecast|weather", re.IGNORECASE)


def invented(answer: str, known: frozenset[str], common: frozenset[str]) -> list[str]:
    """Names of an answer that stand nowhere in what was told, as they are written.

    `known` are the words told (plain); `common` words that are seen in small letters somewhere, besides those that are
    listed here. A word that begins a sentence or a line counts where the sentence goes on as after a name.
    """
    out: list[str] = []
    for _, sentence in sentences(answer):
        tokens = list(_TOKEN.finditer(sentence))
        heading = not re.search(r"\d", sentence) and _is_heading([t.group() for t in tokens])
        unknown: list[tuple[int, int]] = []
        for i, token in enumerate(tokens):
            word = token.group().rstrip(".")
            parts = [plain(p) for p in re.split(r"[-.]", word) if p]
            if not word[0].isupper() or all(_told(p, known) for p in parts):
                continue
            if not any(p[:1].isupper() for p in re.split(r"[-.]", word)) or len(plain(word)) < 2:
                continue
            start, end = token.start(), token.start() + len(word)
            before, after = sentence[max(0, start - 40) : start], sentence[end : end + 40]
            placed = bool(_PLACED.search(before))
            usual = plain(word) in COMMON or plain(word) in common or all(p in COMMON | common for p in parts)
            if (word.isupper() and len(word) > 1) or heading:
                if not placed or usual:
                    continue
            elif _OPENS.search(before if start <= 40 else "x" + before):
                follows = tokens[i + 1].group() if i + 1 < len(tokens) else ""
                named = (
                    follows[:1].isupper() and sentence[token.end() : tokens[i + 1].start()] == " "
                    if follows
                    else False
                )
                strange = named and not _told(plain(follows.rstrip(".")), known)
                goes_on = _GOES_ON.match(after) or (_MAY.match(after) and _WEATHER.search(sentence))
                if usual or not (goes_on or strange):
                    continue
            if _passing(plain(word), sentence[max(0, start - 30) : start], sentence[end:], known):
                continue
            unknown.append((start, end))
        for start, end in unknown:
            if out and sentence[max(0, start - 1 - len(out[-1])) : start] == f"{out[-1]} ":
                out[-1] = f"{out[-1]} {sentence[start:end]}"
            else:
                out.append(sentence[start:end])
    return list(dict.fromkeys(out))


_MANY = re.compile(
    r"\s+(?P<noun>[a-z]{2,}(?:[^s\W]s|ies|men))\b"
    r"(?P<say>\s+(?:(?:would|will|used\s+to)\s+)?(?:say|know|swear|call|tell|claim|put\s+it|have\s+it)\b)?"
)
_MANNER = re.compile(r"\s+(?:fashion|manner|style|way|reckoning|measure|system|money|scale|tongue)\b")
_IN_THE = re.compile(r"\b(?:in|by|after)\s+the\s+$", re.IGNORECASE)
_THEIRS = re.compile(
    rf"{STATES}|winds?|temperatures?|highs?|lows?|flights?|hotels?|shares?|trains?|forecasts?|prices?"
)


def _passing(word: str, before: str, after: str, known: frozenset[str]) -> bool:
    """Whether a name only says of what kind somebody or something is, which no tool tells of: "as Mississippi pilots
    say", "Persian cats", "in the French fashion". Not "Springfield winds", and not what results tell of."""
    if _IN_THE.search(before) and _MANNER.match(after):
        return True
    many = _MANY.match(after)
    if not many or _told(many["noun"], known) or _THEIRS.fullmatch(many["noun"]):
        return False
    return word in ATTRIBUTIVE or bool(many["say"])


def _told(word: str, known: frozenset[str]) -> bool:
    return word in known or word in FREE or (word.endswith("s") and word[:-1] in known)


_JOINING = frozenset("a an and at by for from in of on or the to with de".split())


def _is_heading(tokens: list[str]) -> bool:
    """Whether a line writes its words with capitals: "Weather Forecast for Oslo"."""
    words = [t for t in tokens if t not in _JOINING]
    return 3 <= len(words) <= 12 and all(t[0].isupper() for t in words)


def small_words(texts: Iterable[str]) -> frozenset[str]:
    """Words that these texts write in small letters: a capital makes no names of them."""
    return frozenset(plain(w) for t in texts for w in re.findall(r"\b[a-zß-ÿ][^\W\d_]+(?:['’][a-z]+)?", t))
