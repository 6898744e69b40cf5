"""Which charset a text is in, by how often languages write their letters.

Every byte above ASCII means another letter in each charset. Read rightly, the letters come as often as in some
language; read wrongly, they are ones that no language has side by side. Scripts of more than 256 letters are told by
the few that make half of any text.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from math import log

WESTERN = ("cp1252", "cp437")
# Letters above ASCII in a thousand letters of a text, roughly: it is the order of size that tells languages apart.
_LATIN = {
    "en": "é5 è1 à1 ê1 ö1 ü1 ä1 ç1 ï1 æ1 œ1 ñ1 â1 î1 ô1 ë1 á1 í1 ó1",
    "fr": "é19 à5 è4 ê3 ç1 â1 î1 ù1 ô1 û1 ï.3 ë.2 œ.2",
    "de": "ü10 ä6 ö4 ß4 é.3",
    "es": "í7 ó8 á5 é5 ñ3 ú2 ü.2 ¿1 ¡1",
    "pt": "ã8 á4 é5 ç5 ó3 í2 ê4 õ1 ú2 à1 â2 ô1",
    "ca": "à6 è4 é4 í3 ó4 ò3 ú1 ç1 ï1 ü.3",
    "it": "è6 à6 ù3 ì2 ò4 é2",
    "nl": "é2 ë2 è1 ï1 ö.5 ü.5 ê.5",
    "sv": "ä18 å13 ö13 é1",
    "fi": "ä36 ö5 å.2",
    "da": "å12 ø10 æ9 é1",
    "is": "í16 á18 ð44 þ15 ó10 æ9 ö8 ú6 é6 ý2",
    "et": "ä12 õ11 ü7 ö3 š.1 ž.1",
}
_CENTRAL = {
    "pl": "ł21 ę11 ó9 ą10 ż8 ś7 ć5 ń3 ź1",
    "cs": "á22 í28 ě16 é10 ž10 č9 ř12 š8 ý9 ů6 ú2 ň1 ť.5 ď.3 ó.3",
    "sk": "á20 í10 ý9 é8 č10 ž9 š8 ť7 ú9 ľ5 ô2 ň2 ď1 ä1 ó1 ĺ.1 ŕ.1",
    "hu": "á34 é33 ö10 ő9 ó10 ü6 í6 ú3 ű2",
    "hr": "č10 š10 ž6 ć8 đ3",
    "sl": "č12 š9 ž7",
    "ro": "ă40 î12 â8 ş13 ţ11",
}
_BALTIC = {
    "lt": "ė13 š10 ų9 ž7 ū5 į6 č4 ą5 ę2",
    "lv": "ā38 ī15 ē13 š11 ū7 ņ5 ž3 ļ3 ģ2 ķ2 č1",
    "et": _LATIN["et"],
}
_TURKISH = {"tr": "ı48 ü18 ş17 ğ11 ç11 ö8 İ1 â1"}
_ESPERANTO = {"eo": "ĝ7 ŭ6 ĉ5 ŝ4 ĵ1 ĥ.1"}
_CYRILLIC = {
    "ru": "о110 е85 а80 и74 н67 т63 с55 р47 в45 л44 к35 м32 д30 п28 у26 я20 ы19 ь17 г17 з16 б16 ч14 "
    "й12 х10 ж9 ш7 ю6 ц5 щ4"
    " э3 ф3 ъ2 ѣ10 і8 ё1 ѳ.1",
    "uk": "о94 а80 н68 и63 і57 в52 е50 т54 р47 с42 к40 у35 д33 л39 м29 п29 з23 я21 ь18 б18 г15 й14 ч12 "
    "х12 ж9 ї6 ц6 ш7 ю9 є8"
    " щ6 ф3 ґ.1",
    "bg": "а117 и90 о87 е87 т73 н72 р47 с49 в43 л30 к36 д36 п28 м24 з21 я18 г15 ъ16 у16 ч15 ц6 б13 ж8 "
    "ш5 щ6 х8 й7 ф2 ю1 ь.2",
    "sr": "а118 о91 и90 е88 н56 р53 с52 т46 у43 ј38 к38 в37 д37 м35 п28 л27 з16 г16 б15 ч11 ш11 ц9 ж7 "
    "љ5 њ6 х6 ћ6 ђ2 ф2 џ.4",
}
_GREEK = {
    "el": "α95 ο75 τ80 ε60 ν60 ι55 σ45 ς40 η40 π38 ρ38 κ37 υ37 μ32 λ27 ί28 ό25 έ18 ά19 ή17 γ16 δ16 θ11 "
    "χ11 ω18 ύ11 ώ9 φ8 β6 ξ5"
    " ζ3 ψ1 ϊ.5 ϋ.1"
}
_HEBREW = {
    "he": "י110 ה100 ו100 ל75 א65 ר60 ת55 ב50 ש45 מ50 ם35 נ30 ד30 ח25 ע30 ק23 פ20 כ22 ט13 ג13 ז13 ס15 ן16 צ9 ך7 ף3 ץ2"
}
_READINGS = {
    **dict.fromkeys((*WESTERN, "cp850", "mac_roman"), _LATIN),
    **dict.fromkeys(("iso8859_2", "cp1250", "cp852", "mac_latin2"), _CENTRAL),
    **dict.fromkeys(("cp1257", "iso8859_13"), _BALTIC),
    "cp1254": _TURKISH,
    "cp857": _TURKISH,
    "iso8859_3": _ESPERANTO,
    **dict.fromkeys(("cp1251", "koi8_r", "koi8_u", "iso8859_5", "cp866", "mac_cyrillic"), _CYRILLIC),
    **dict.fromkeys(("cp1253", "iso8859_7", "cp737"), _GREEK),
    "cp1255": _HEBREW,
}
_COMMON_SIGNS = "“”‘’„—–…«» \xad·"
_RARE_SIGNS = "£°§½¼¾‚‹›†‡•©®™²³¹ªº×÷±¶´`"
_NEVER = log(1e-5)
_ANOTHER = log(1e-3)  # a letter of Latin script that the language borrows
_SAMPLE = 60_000  # bytes of lines that are not ASCII
_SURER = 8  # times as likely, as a power of e, before a text is not read as Western
# The letters that make most of any text.
_OFTEN = {
    "cp932": "のにはをたがでてとしれさいるなもらこそかりまよあうきくっんだけすせつえちめみやわおどろひほ"
    "ふねごじ、。「」ー"
    "ハノニヲタガトシレイルナモラコカリマ",
    "euc_jp": "",
    "gb18030": "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学"
    "对可里后小么心多天而能好都然没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公"
    "同三已老从动两长。，“”、：；！？《》者曰其与乃则",
    "big5": "的一是不了人我在有他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學"
    "對可里後小麼心多天而能好都然沒日於起還發成事只作當想看文無開手用主行方又如前所本見經頭面公"
    "同三已老從動兩長。，「」、：；！？《》者曰其與乃則",
    "euc_kr": "이다는에의을고가지하로은를도한사기서나리그자어있어라아대들시해인수일으게여니보것부제과정전"
    "만주와내오말러며면장없했였습",
}
_OFTEN["euc_jp"] = _OFTEN["cp932"]
_STRICT = {"euc_kr": "cp949", "big5": "big5hkscs"}  # the charset with its extensions


def east_asian(data: bytes) -> str:
    """The charset of a text in Chinese, Japanese or Korean, "" for any other."""
    sample = _sample(data)
    shares: dict[str, float] = {}
    for name, often in _OFTEN.items():
        text = sample.decode(_STRICT.get(name, name), "replace")
        wide = [c for c in text if ord(c) >= 0x2010]
        wrong = text.count("\ufffd")
        if len(wide) < max(10, 0.2 * len(text)) or wrong > 0.02 * len(wide):
            continue  # Western text, a letter here and there
        letters = frozenset(often)
        shares[name] = sum(c in letters for c in wide) / len(wide)
    ranked = sorted(shares, key=lambda name: -shares[name])
    return ranked[0] if ranked and shares[ranked[0]] >= 0.25 else ""


def other_charset(data: bytes) -> str:
    """The charset, none of the Western ones, that fits the bytes clearly better than those; "" "
    "where there is none."""
    triples = _triples(_sample(data))
    if not triples:
        return ""
    scores = {name: _score(name, triples) for name in _READINGS}
    western = max(scores[name] for name in WESTERN)
    best = max(scores, key=lambda name: (scores[name], name not in ("cp850", "mac_roman")))
    total = sum(triples.values())
    surer = scores[best] > western + max(_SURER, 0.1 * total)
    return best if best not in WESTERN and surer and scores[best] / total > _ANOTHER else ""


def _sample(data: bytes) -> bytes:
    """The first lines that are not ASCII: a licence in English says nothing."""
    out, size = [], 0
    for line in data.split(b"\n"):
        if not line.isascii():
            out.append(line[:_SAMPLE])
            size += len(line)
            if size > _SAMPLE:
                break
    return b"\n".join(out)


def _triples(sample: bytes) -> Counter[tuple[int, int, int]]:
    """How often each byte above ASCII stands between two others; runs of the same byte are drawings."""
    framed = b" " + sample + b" "
    found = Counter(zip(framed, framed[1:], framed[2:], strict=False))
    return Counter({k: n for k, n in found.items() if k[1] >= 0x80 and not k[0] == k[1] == k[2]})


@lru_cache
def _chars(name: str) -> str:
    return "".join(bytes([b]).decode(name, "replace") for b in range(256))


def _score(name: str, triples: Counter[tuple[int, int, int]]) -> float:
    """The logarithm of how likely the bytes are in that charset, in the language that it suits best."""
    chars = _chars(name)
    letters: Counter[str] = Counter()
    fixed = 0.0
    for (a, b, c), n in triples.items():
        before, char, after = chars[a], chars[b], chars[c]
        if char.isalpha() and char not in "ªºµƒ":
            fixed -= n * _oddity(before, char, after)
            letters[char.lower()] += n
        else:
            inside = before.isalpha() and after.isalpha()
            fixed += n * _sign(char, inside)
    languages = _READINGS[name].values()
    return fixed + max(_likely(letters, language) for language in languages)


def _oddity(before: str, char: str, after: str) -> float:
    """How much a letter seems out of place between those two: they are of one script and stand side by side."""
    if char >= "\u0370":
        if "a" <= before.lower() <= "z" or "a" <= after.lower() <= "z":
            return 6
        return (
            3
            if not before.isalpha() and not after.isalpha()
            else 4
            if char.isupper() and before.islower()
            else 0
        )
    if not before.isalpha() and not after.isalpha():
        return 0 if char in "àéóúáíèùÀÉ" else 2
    return 4 if char.isupper() and before.islower() else 0


def _sign(char: str, inside: bool) -> float:
    if char in "¿¡":
        return _NEVER if inside else log(0.01)
    if char in _COMMON_SIGNS:
        return log(0.05) if not inside or char in "’—–…·\xad" else _NEVER
    return log(0.01) if char in _RARE_SIGNS and not inside else _NEVER


@lru_cache
def _frequencies(language: str) -> dict[str, float]:
    pairs = {entry[0]: float(entry[1:]) for entry in language.split()}
    whole = sum(pairs.values())
    return {char: log(n / whole) for char, n in pairs.items()}


def _likely(letters: Counter[str], language: str) -> float:
    known = _frequencies(language)
    return sum(n * known.get(c, _ANOTHER if c in _BORROWED else _NEVER) for c, n in letters.items())


_BORROWED = frozenset(e[0] for language in _LATIN.values() for e in language.split()) | frozenset("ѣіѵѳ")
