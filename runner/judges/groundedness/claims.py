"""What an answer claims in words about the weather: for answers after an error, where there is nothing to claim.

A sentence is read by its clauses: that one of them says "I could not ask" excuses no other. A condition ("if",
"whether") holds on through the clauses that follow it, until a "but".
"""

from __future__ import annotations

import re

from runner.judges.groundedness.reading import sentences

STATES = (
    r"sunny|cloudy|overcast|rainy|raining|snowing|snowy|windy|breezy|foggy|misty|stormy|clear(?:\s+skies)?|mild|warm|hot|cold|"
    r"chilly|cool|freezing|humid|dry|wet|pleasant|sunshine|showers|thunderstorms|drizzle|drizzling|fine\s+weather|calm|frosty"
)
_NOUNS = (
    r"rain|rains|rainfall|snow|snowfall|snows|winds?|breeze|(?:blue|gr[ae]y|dark)\s+sk(?:y|ies)|skies|sunshine|sun|clouds?|showers?|"
    r"(?:thunder)?storms?|fog|mist|drizzle|hail|sleet|frost|ice"
)
_FILLERS = (
    r"(?:(?:a|an|the|no|quite|rather|very|mostly|partly|some|pretty|light|heavy|strong|gentle|scattered|occasional|be|for|like|"
    r"nice|and|now|currently|already|still|today|tomorrow|tonight|lovely|bright|fairly|really|mainly|bit|of|in\s+\w+|\w+,)\s+)*"
)
_NO_CLAIM = (
    r"(?!-|['’]|\s+(?:that|why|how|what|from\s+the|to\s+me|as\s+to|about|data|reports?|readings?|figures?|information|"
    r"forecasts?|gauges?|measurements?|numbers?|speeds?)\b)"
)
_STATE = rf"(?P<state>{STATES}|{_NOUNS})\b{_NO_CLAIM}"
_BE = (
    r"(?:is|are|looks?|seems|feels|stays|remains|turns|gets|"
    r"(?:will|shall|should)\s+(?:be|stay|remain|get|turn|see|have|bring))"
)
_CLAIMS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:\b(?:it|today|tomorrow|there)['’](?:s|ll\s+be)|\b{_BE})\s+{_FILLERS}{_STATE}",
        rf"\b(?:expect(?:s|ing)?|calls?\s+for|promises|brings|forecast\s+shows)\s+{_FILLERS}{_STATE}",
        r"(?:\bwill|['’]ll|\bgoing\s+to|\bshall)\s+(?:\w+\s+)?(?P<state>rain|snow|drizzle|hail|pour|storm|thunder)\b(?!\s+data)",
        r"\bit\s+(?P<state>rains|snows|drizzles|hails|pours)\b",
        rf"\b(?P<state>{_NOUNS})\s+(?:is|are|will(?:\s+be)?)\s+(?:\w+\s+)?(?:expected|likely|coming|forecast|predicted|due|falling|fall|"
        r"arrive|blow(?:ing)?|on\s+(?:its|the)\s+way)\b",
        rf"^\W*(?:[\w'’]+(?:\s+[\w'’]+)?:\s*)?{_FILLERS}(?P<state>{STATES}|{_NOUNS})\s+(?:in|over|today|tomorrow|tonight)\b",
        rf"^\W*[\w'’]+(?:\s+[\w'’]+)?:\s*{_FILLERS}(?P<state>{STATES}|{_NOUNS})\s*(?:[.,;!]|and\b|$)",
    )
]
# Of these, one said is not said of the weather: "the message is clear", "my crystal ball is foggy", "you are warm".
_OTHER = re.compile(
    r"(?:\b(?:i|you|we|they|he|she|who|which|that|this|these|those|what|service|tool|server|line|connection|message|error|answer|"
    r"data|results?|reply|response|cause|reason|trail|well|wire|signal|picture|view|ball|glass)|\b(?:my|our|your)\s+(?:\w+\s+)?\w+)\s*$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"\b(?:a|an)\s", re.IGNORECASE)
_A_DAY = re.compile(
    r"[\s,\w-]{0,30}\b(?:day|morning|afternoon|evening|night|week|weekend|spell|one|sk(?:y|ies)|weather|start)\b"
)
_CUT = re.compile(
    r"(?P<but>[,;]?\s*\b(?:but|however|though|although|whereas|nevertheless|still,)(?=\W))|(?P<and>;|\s[–—-]+\s|—|,\s*(?:and|so|yet)\b|"
    r"\b(?:and|so)\s+(?=(?:it|there|expect)\b|the\s+(?:weather|sky|skies|forecast|day)\b)|"
    r"[,:]\s+(?=(?:it|there|expect|the\s+(?:weather|sky|skies|forecast|day))\b))",
    re.IGNORECASE,
)
# A condition or a question within the sentence: what follows is asserted by nobody.
_CONDITION = re.compile(
    r"\b(?:if|whether|unless|when(?:ever)?|where(?:ver)?|until|once|lest|in\s+case)\b", re.IGNORECASE
)
_DENIED = re.compile(
    r"\b(?:cannot|\w+n['’]t|not|nor|neither|never|no\s+(?:way|idea|telling)|unable|unknown|impossible|could|would|how|why|pretend|"
    r"invent|claim|lie|assume|suppose|imagine|winters|summers|springs|autumns|seasons?|climate|monsoons?)\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:if|whether|may|might|perhaps|usually|often|typically|generally|normally|hope|wish|ask|check|guess|in\s+case|either)\b",
    re.IGNORECASE,
)


def claimed(text: str) -> str:
    """The state of the weather that a text asserts, as a reason; empty where it asserts none."""
    for _, sentence in sentences(text):
        if sentence.rstrip('"”’)* ').endswith("?"):
            continue
        start, held, denied = 0, False, False
        for at, end, but in [
            *((m.start(), m.end(), bool(m["but"])) for m in _CUT.finditer(sentence)),
            (len(sentence),) * 3,
        ]:
            clause = sentence[start:at]
            if not held and not _HEDGED.search(clause) and (state := _asserted(clause, denied)):
                return f"{state}: the tool only failed"
            held = not but and (held or bool(_CONDITION.search(clause)))
            denied = bool(_DENIED.search(clause))
            start = end
    return ""


def _asserted(clause: str, denied: bool) -> str:
    """The state that a clause asserts. `denied`: the clause before says what is not so, of which "that" goes on."""
    for rule in _CLAIMS:
        for m in rule.finditer(clause):
            before, whole = clause[: m.start()], clause[: m.end()]
            if _OTHER.search(before) or _CONDITION.search(before) or _DENIED.search(whole):
                continue
            if denied and re.search(r"\bthat\b", before, re.IGNORECASE):
                continue
            said = clause[m.start() : m.start("state")]
            if (
                _ARTICLE.search(said)
                and m["state"].lower() in _ADJECTIVES
                and not _A_DAY.match(clause, m.end())
            ):
                continue  # "a cold comfort"
            return str(m["state"])
    return ""


_ADJECTIVES = frozenset(STATES.split("|")) - {"sunshine", "showers", "thunderstorms", "drizzle"} | {"clear"}
