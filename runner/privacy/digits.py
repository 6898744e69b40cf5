"""Telephone numbers, cards and IBANs: runs of digits, told from all the other ones by form, sum and context."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.privacy.patterns import compiled, spans, stands_alone

_INTERNATIONAL = r"(?:\+|\b00)[1-9]\d{0,2}(?:[ .\-\x{a0}]?\(\d{1,4}\))?(?:[ .\-\x{a0}]?\d{1,13}){1,6}"
_AMERICAN = (
    r"(?:\+?1[ .\-]?)?(?:\([2-9]\d{2}\)[ \x{a0}\-]?[2-9]\d{2}[ .\-\x{a0}]\d{4}"
    r"|[2-9]\d{2}-[2-9]\d{2}-\d{4}|[2-9]\d{2}\.[2-9]\d{2}\.\d{4})"
)
_NATIONAL = r"(?:\(0\d{2,4}\) ?|0\d{2,4}[ \-])\d{3,4}[ \-]\d{3,4}"
_ANY = r"\(?\d(?:[ .\-/()\x{a0}]{0,2}\d){6,22}"
_USUAL = re.compile(r"\(?(?:\d{3}\)?[ .\-/]\d{3}[ .\-]\d{4}|\d{3}[ .\-]\d{4}|\d{7,15})(?!\d)")
_EXTENSION = re.compile(r"\s{0,2}(?:x|ext\.?|extension)\s{0,2}\d{1,6}\b", re.IGNORECASE)

# Most digits of a number within a country, where a longer run holds more than the number.
_LONGEST = {
    "1": 10, "20": 10, "27": 9, "30": 10, "31": 9, "32": 9, "33": 9, "34": 9, "39": 11, "41": 9, "44": 10, "45": 8,
    "46": 9, "47": 8, "48": 9, "52": 10, "55": 11, "61": 9, "64": 10, "65": 8, "7": 10, "81": 10, "86": 11, "90": 10,
    "91": 10, "351": 9, "353": 9, "852": 8,
}  # fmt: skip

# Words that make a number a telephone number, and such as make it another: the nearest one decides.
_CALLS = (
    r"phone|telephone|tel|mobile|cell|cellphone|fax|whatsapp|sms|call|calling|called|dial|ring|text|hotline|landline"
    r"|phone_number|phonenumber|reach\s(?:me|us|him|her|them)"
)
_OTHERS = (
    r"order|orders|invoice|isbn|issn|zip|postcode|postal|serial|tracking|account|ticket|case|ref|reference|room"
    r"|booking|reservation|confirmation|flight|code|pin|id|sku|item|model|coordinates|latitude|longitude|lat|lon|year"
    r"|years|population|price|cost|costs|patent|version|barcode|receipt|policy|claim|dated|doi|arxiv|pmid|hash|parcel"
    r"|shipment|between|since|until|docket"
)
_WORDS = re.compile(rf"\b(?:({_CALLS})|(?:{_OTHERS}))\b|[\d\n!?]", re.IGNORECASE)
_UNIT = re.compile(
    r"\s?(?:[€$£%°]|(?:km|miles?|metres?|meters?|feet|mm|cm|kg|dollars|usd|eur|euros|people|times|words|tokens|years"
    r"|hours|minutes|seconds|days|degrees|steps|percent|votes|bytes|am|pm)\b)",
    re.IGNORECASE,
)
_YEAR = r"(?:1[0-9]|20)\d\d"
_NO_PHONE = re.compile(
    rf"{_YEAR}\s?[-–/. ]\s?{_YEAR}|{_YEAR}[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])(?:\D.*)?"
    rf"|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01])[-/. ]{_YEAR}(?:\D.*)?"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-5]\d)*|97[89].*"
    r"|(?:[01]\d|2[0-4])[0-5]\d\s?[-–/ ]\s?(?:[01]\d|2[0-4])[0-5]\d"
    r"|\d{1,2}\.[0-5]\d\s?[-–/ ]\s?\d{1,2}\.[0-5]\d"
    r"|\d{5}-\d{4}|\d+\.\d+|\d{3}-\d{2}-\d{4}|\d-\d+-\d+-[\dX]"
)
_CARD = r"\d{4}(?:[ \-]?\d{4}){2,3}(?:[ \-]?\d{1,4})?|\d{4}[ \-]?\d{6}[ \-]?\d{4,5}|\d{12,19}"
_NO_CARD = re.compile(
    rf"\b(?:{_OTHERS}|isbn|imei|ean|gtin|upc)\b(?:\s+(?:number|no\.?|is|#))*[\s:#]*$", re.IGNORECASE
)
_IBAN = r"[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?"
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24,
    "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip
_IBAN_END = max(_IBAN_LENGTHS.values())

Span = tuple[int, int, str]
"""Start, end, and the value: what is the same for other ways to write it."""


def only_digits(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isdigit())


def phone_value(digits: str) -> str:
    """American numbers are the same with and without their 1."""
    digits = digits.removeprefix("00")
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits


def phones(text: str, lead: str = "") -> Iterator[Span]:
    """Telephone numbers. `lead` is what stands before the text, such as the key of a JSON value."""
    for start, end in spans(_INTERNATIONAL, text):
        end = _international(text, start, end)
        if end and stands_alone(text, start, end):
            yield _phone(text, start, end)
    for form in (_AMERICAN, _NATIONAL):
        for start, end in spans(form, text):
            if form is _NATIONAL and len(only_digits(text[start:end])) not in (10, 11):
                continue
            if stands_alone(text, start, end) and _called(text, start, lead) is not False:
                yield _phone(text, start, end)
    for start, end in spans(_ANY, text):
        if not _called(text, start, lead):
            continue
        end = _first_number(text, start, end)
        said = text[start:end]
        if stands_alone(text, start, end) and not _NO_PHONE.fullmatch(said) and not _UNIT.match(text, end):
            yield _phone(text, start, end)


def _phone(text: str, start: int, end: int) -> Span:
    value = phone_value(only_digits(text[start:end]))
    more = _EXTENSION.match(text, end)
    return start, more.end() if more else end, value


def _international(text: str, start: int, end: int) -> int:
    """Where the number ends that starts with + and a country; 0 where it is none."""
    said = text[start:end]
    if "." in said and (said.count(".") < 2 or "-" in said or " " in said):
        return 0  # a decimal or a coordinate
    if said.isdigit():
        return 0  # zeros in front of any number
    bare = only_digits(said).removeprefix("00") if said[0] != "+" else only_digits(said)
    if bare[0] == "1" and bare[1:2] in ("0", "1"):
        return 0  # no American area begins so
    country = next((c for n in (1, 2, 3) if (c := bare[:n]) in _LONGEST), bare[:2])
    most = len(country) + _LONGEST.get(country, 12)
    while len(bare) > most + ("(0)" in said):  # what follows the number after a space
        cut = max(said.rfind(" "), said.rfind("-"), said.rfind("\xa0"))
        if cut <= 0:
            return 0
        said = said[:cut]
        bare = only_digits(said).removeprefix("00" if said[0] != "+" else "")
    return start + len(said) if len(bare) >= 9 and (said[0] == "+" or len(bare) >= 11) else 0


def _first_number(text: str, start: int, end: int) -> int:
    """Where the first of several numbers ends: 555-1234 or 415 555 2671, and not the "10 times" behind it."""
    usual = _USUAL.match(text, start, end)
    return usual.end() if usual else end


def _called(text: str, start: int, lead: str) -> bool | None:
    """Whether the words before speak of calling (True) or of something else that has numbers (False)."""
    before = f"{lead} {text[max(0, start - 40) : start]}" if start < 40 else text[start - 40 : start]
    said: bool | None = None
    for word in _WORDS.finditer(before):
        said = True if word[1] else None if word[0] in "0123456789\n!?" else False
    return said


def cards(text: str) -> Iterator[Span]:
    """Payment cards: an issuer's digits, its length, and the check digit."""
    for start, end in spans(_CARD, text):
        said = text[start:end]
        # What stands behind a card may look like its last digits: 4111 1111 1111 1111 12/27.
        for stop in (end, start + max(said.rfind(" "), said.rfind("-"), 0)):
            digits = only_digits(text[start:stop])
            if len(digits) < 12 or not (_issued(digits) and luhn(digits)):
                continue
            if stands_alone(text, start, stop) and not _NO_CARD.search(text[max(0, start - 30) : start]):
                yield start, stop, digits
                break


def _issued(digits: str) -> bool:
    n, four = len(digits), int(digits[:4])
    return (
        (digits[0] == "4" and n in (13, 16, 19))
        or ((51 <= four // 100 <= 55 or 2221 <= four <= 2720) and n == 16)
        or (four // 100 in (34, 37) and n == 15)
        or ((four == 6011 or 644 <= four // 10 <= 649 or four // 100 == 65) and 16 <= n <= 19)
        or ((300 <= four // 10 <= 305 or four // 100 in (36, 38, 39)) and 14 <= n <= 16)
        or (3528 <= four <= 3589 and n == 16)
        or (four // 100 == 62 and 16 <= n <= 19)
        or (four in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763) and 12 <= n <= 19)
    )


def luhn(digits: str) -> bool:
    odd = sum(int(d) for d in digits[-1::-2])
    return (odd + sum(sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])) % 10 == 0 and digits.strip(
        "0"
    ) != ""


def ibans(text: str) -> Iterator[Span]:
    """Bank accounts: a country, its length, and the remainder by 97."""
    for start, end in spans(_IBAN, text):
        if text[start - 1 : start].isalnum():
            continue
        said = text[start : min(end, start + 2 * _IBAN_END)]
        wanted = _IBAN_LENGTHS.get(said[:2].upper(), 0)
        if not wanted or said[:2].islower():
            continue
        # Words may follow the account: it ends where its country says.
        bare, stop = "", start
        for offset, char in enumerate(said, 1):
            bare += "" if char == " " else char.upper()
            stop = start + offset
            if len(bare) == wanted:
                break
        if len(bare) == wanted and not text[stop : stop + 1].isalnum() and _mod97(bare):
            yield start, stop, bare


def _mod97(iban: str) -> bool:
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def repeated(text: str, known: frozenset[str]) -> Iterator[Span]:
    """Numbers whose digits are those of one found elsewhere, however they are written."""
    for start, end in spans(_ANY, text):
        digits = only_digits(text[start:end])
        value = digits if digits in known else phone_value(digits)
        if value in known and not text[start - 1 : start].isalnum() and not text[end : end + 1].isalnum():
            yield start, end, value


def has_seven(text: str) -> bool:
    return compiled(_ANY).search(text) is not None
