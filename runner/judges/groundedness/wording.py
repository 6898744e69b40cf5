"""What the words around a number make of it: a fall, a share that is the other part's, or a figure of speech."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from runner.judges.groundedness.facts import Fact
from runner.judges.groundedness.fields import QUANTITIES
from runner.judges.groundedness.reading import Claim

_SOME = r"(?:\s+(?:by|a|an|about|around|some|only|just|roughly|nearly|almost|over|another|of))*\s*[($€£]?$"
_FELL = re.compile(
    r"\b(?:down|fell|falls|fallen|falling|lost|loses|losing|lower|dropped|drops|dropping|slipped|slips|slipping|shed|sheds|off|"
    r"declined|declines|declining|decreased|decreases|sank|sunk|slid|tumbled|loss|drop|decline|fall|decrease|dip|dipped)"
    + _SOME,
    re.IGNORECASE,
)
_ROSE = re.compile(
    r"\b(?:up|rose|rises|risen|rising|gained|gains|gaining|higher|climbed|climbs|climbing|added|adds|jumped|advanced|"
    r"increased|increases|gain|rise|increase|jump)" + _SOME,
    re.IGNORECASE,
)
_LESS = re.compile(r"\s*(?:lower|down|less|in\s+the\s+red)\b", re.IGNORECASE)
_GREATER = re.compile(r"\s*(?:higher|up|more|in\s+the\s+black)\b", re.IGNORECASE)
_CHANGES = frozenset("change changes changed delta diff difference movement variation".split())


def way(claim: Claim) -> int:
    """Which way a number is said to go: -1 down, 1 up, 0 where it is said of no change."""
    down = _FELL.search(claim.before) or _LESS.match(claim.after)
    up = _ROSE.search(claim.before) or _GREATER.match(claim.after)
    return 0 if bool(down) == bool(up) else -1 if down else 1


_EITHER_WAY = re.compile(r"\b(?:chang|mov|differ|var)\w+" + _SOME, re.IGNORECASE)


def gone(claim: Claim, f: Fact) -> Fact:
    """A change as this claim tells it: without its sign, where the words say which way it went."""
    if f.value is None or not is_change(f) or claim.number.value < 0:
        return f
    to = way(claim)
    if not to and _EITHER_WAY.search(claim.before):
        to = -1 if f.value < 0 else 1
    return replace(f, value=f.value * to) if to else f


def is_change(f: Fact) -> bool:
    """Whether a fact is by how much something changed, so that its sign is its direction."""
    return f.value is not None and bool(_CHANGES & set(f.field.words))


_WET = r"rain|snow|shower|precip|drizzl|sleet|storm|hail"
_NO_RAIN = (
    rf"(?:(?:stay|stays|staying|remain|remains|remaining|keep|keeps|keeping|be|is|of(?:\s+a)?|being|will\s+be)\s+(?:\w+\s+)?dry\b|"
    rf"(?:\b(?:no|without|not|never)|n['’]t)\s+(?:see\s+|get\s+|have\s+|be\s+|any\s+|a\s+drop\s+of\s+|to\s+)*(?:{_WET})|"
    r"(?:rain|snow|showers?|storms?)\s+(?:will\s+)?(?:holds?|keeps?|stays?)\s+(?:off|away))"
)
_CHANCE = r"(?:chances?|probability|likelihood|odds|likely|sure|possibility)\b"
_GAP = rf"(?:(?!{_WET}|\b(?:and|but|so)\b)[^,;.:])*?"
_DRY_AFTER = re.compile(rf"\s*{_CHANCE}{_GAP}{_NO_RAIN}", re.IGNORECASE)
_DRY_BEFORE = re.compile(rf"\b{_CHANCE}{_GAP}{_NO_RAIN}[^,;.:\d]{{0,20}}$", re.IGNORECASE)


_ODDS = re.compile(r"\b(?:in|out\s+of)\b")  # "four chances in five"


def of_no_rain(claim: Claim) -> bool:
    """Whether a share is the chance that it does not rain: "an 80% chance it stays dry"."""
    if claim.number.unit not in ("%", None):
        return False
    after = f" chance{claim.after}" if _ODDS.search(claim.number.text) else claim.after
    return bool(_DRY_AFTER.match(after) or _DRY_BEFORE.search(claim.before))


def complement(f: Fact) -> Fact | None:
    """The chance that it does not rain, of a fact that is the chance of rain."""
    if (
        f.value is None
        or f.field.quantity not in ("chance", "precipitation")
        or f.measure not in ("share", None)
    ):
        return None
    whole = 1.0 if 0 < f.value < 1 and f.unit is None else 100.0
    return replace(f, value=whole - f.value)


_LIVED = re.compile(
    r"\b(?:I|we)(?:['’]ve|['’]d|\s+(?:have|had))\s+(?:never\s+|often\s+)?(?!(?:found|got|gotten|checked|listed|counted|looked|"
    r"located|retrieved|pulled|been)\b)[a-z]+(?:\s+[a-z]+){0,2}\s+(?:a\s+)?$",
    re.IGNORECASE,
)
_MINE = re.compile(
    r"\b(?:I|we)(?:['’](?:ve|m|re|d)|\s+(?:have|had|stand|am|are|give|remain|put))\b[^,;.:]{0,20}$",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"\s*(?:sure|certain|confident|convinced|positive|behind|with\s+you|on\s+your\s+side)\b", re.IGNORECASE
)
_CUT = re.compile(r"[,;:.!?—]|\b(?:and|but|while|though|so)\b", re.IGNORECASE)


def of_speech(claim: Claim, own: Iterable[re.Pattern[str]]) -> bool:
    """Whether a number is only a figure of speech of the one who speaks: "I have seen 1,000 worse mornings", "I have a
    100% chance of staying on the porch". `own`: how texts name what this result holds; that is told, not spoken of."""
    before, after = _CUT.split(claim.before)[-1], _CUT.split(claim.after)[0]
    cues = [*own, *(q.text for name, q in QUANTITIES.items() if name != "chance")]
    if any(p.search(after) for p in cues) or re.search(r"\d|\bdry\b", after):
        return False
    n = claim.number
    if n.unit == "%":
        if not _MINE.search(before):
            return False
        return bool(re.match(r"\s*chance\s+of\s+[a-z]+ing\b", after)) or (
            n.value == 100 and bool(_SURE.match(after))
        )
    hundreds = n.unit is None and n.value >= 100 and n.value % 100 == 0
    return hundreds and bool(re.match(r"\s+[a-z]", after)) and bool(_LIVED.search(before))
