"""What stands in the place of a page, and how it is told: other files, walls, error pages, empty shells."""

from __future__ import annotations

import re

MOST_BYTES = 8 << 20
MOST_TAGS = 50_000  # ten times a large newspaper page's; past that, trafilatura takes minutes
_SHORT = 80
"""Words up to which a text may be a wall: an article about consent walls is longer."""
_HARDLY = 20

_MAGIC = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or office file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x1f\x8b", "a gzip file"),
)
_ERROR = "an error page (a soft 404)"
_WALLS = (
    (
        "a check of the browser",
        r"checking (?:if )?(?:your browser|the site connection)|verify(?:ing)? (?:that )?you are (?:a )?human"
        r"|just a moment\.\.\.|enable javascript and cookies|captcha|unusual traffic|are you a robot"
        r"|ddos protection|\baccess denied",
    ),
    (
        _ERROR,
        r"\b(?:page|file|site|article)\b.{0,40}\b(?:not found|not exist|cannot be found|no longer (?:available|exists))"
        r"|not find (?:that|the|this) page|error 404|404 error|\b404\b.{0,20}not found"
        r"|seite nicht gefunden|page (?:non trouvée|introuvable)|página no encontrada|pagina non trovata",
    ),
    (
        "a consent wall",
        r"we value your privacy|store and(?:/or)? access information on a device|\baccept all\b"
        r"|\b(?:accept|allow) (?:all )?cookies|\bour \d* ?partners|cookie (?:consent|settings)"
        r"|alle akzeptieren|tout accepter|aceptar todo",
    ),
    (
        "a shell that shows nothing without JavaScript",
        r"(?:enable|requires?|needs?|without|turn on|activate) (?:\w+ )?javascript"
        r"|javascript (?:is|to be) (?:disabled|enabled|required)",
    ),
)


class NoPage(Exception):
    """Not a page to learn from; `str()` says why."""


def refuse_bytes(data: bytes) -> None:
    """Raises NoPage for what is another kind of file, or larger than any page that people read."""
    if not data.strip(b"\0 \t\r\n"):
        raise NoPage("empty")
    for magic, what in _MAGIC:
        if data.lstrip(b" \t\r\n").startswith(magic):
            raise NoPage(f"not a page: {what}")
    if len(data) > MOST_BYTES:
        raise NoPage(f"too large: over {MOST_BYTES >> 20} MB of HTML")
    if data.count(b"<") > MOST_TAGS:
        raise NoPage(f"too large: over {MOST_TAGS:,} tags")


def refuse_text(text: str, words: int, title: str, moved: str, shown: str) -> None:
    """Raises NoPage for what stands in the place of a page. `shown` is all that a browser would show.

    A banner is on many a page: it counts where it is the main text, or where there is hardly any other.
    """
    if words < _SHORT:
        said = f"{title}\n{text}" if words >= _HARDLY else f"{text}\n{shown}"
        if moved:
            raise NoPage(f"not a page: it moves on to {moved} at once (meta refresh)")
        for what, pattern in _WALLS:
            if re.search(pattern, said, re.I):
                raise NoPage(f"not a page: {what}")
    if words < 2 * _SHORT and re.match(r"(?:error )?404\b|(?:page|file) not found", title, re.I):
        raise NoPage(f"not a page: {_ERROR}")
    if not words:
        raise NoPage("no main text found")
