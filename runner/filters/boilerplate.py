"""Filter `boilerplate`: the furniture of web pages and digital books between the lines of a text.

Phrases: C4's policy notices (Raffel et al. 2020, section 2.2), the line rules of RefinedWeb (Penedo et al. 2023,
section G.2: counters of likes, shares and comments, calls to action, navigation), and what Project Gutenberg's files
leave behind. A line must be furniture from end to end, or nearly so: "all rights reserved" in the middle of a
sentence is speech.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from runner.prose.texts import prose_lines, reword, without_lines
from runner.record import Edited, Record
from runner.registry import filter

_LONGEST = 300  # characters of a line of furniture; a paragraph that mentions cookies is not one
_PROSE = 40  # characters of a line that a page number breaks off

# Whole lines in lower case, in RE2's syntax, linear in the text. What no one would write but as furniture:
_PLAIN = r"""
(?:this|our|the) (?:web ?site|site|page|app)s? (?:also )?(?:uses?|relies on|stores?) cookies\b.*
we(?: and our [a-z0-9 ]+)? use (?:[a-z]+ )?cookies\b.*
by (?:continuing to (?:use|browse)|using|browsing|visiting) (?:this|our|the) (?:web ?)?sites?\b.*
(?:accept|reject|allow|manage|decline)(?: all| our)? cookies(?: settings)?[.!]?
cookie (?:settings|policy|preferences|notice)|privacy (?:policy|notice)|terms (?:of|and|&) (?:use|service|conditions)
(?:©|\(c\)|copyright)(?: ?(?:©|\(c\)))? ?[12][0-9]{3}\b.*
(?:[^ \n]+ ){0,6}all rights (?:are )?reserved[.!]?(?: [^ \n]+){0,6}
(?:please )?(?:subscribe|sign up|register)(?: now| today| here)? (?:to|for|with) (?:our|the|my) .*
(?:get|receive) .*(?:newsletter|in your inbox|to your inbox).*
enter your e-?mail(?: address)?(?: here| below)?.*
(?:please )?(?:click|tap) (?:here|the (?:link|button) below)(?: (?:to|for)\b.*)?[.!:»>]*
continue reading(?: (?:→|»|>|\.\.\.|…|below|the main story))*
(?:follow|like|find|connect with) us on (?:facebook|twitter|x|instagram|linkedin|youtube|tiktok|pinterest|social).*
(?:share|tweet|pin|e-?mail|print) this(?: (?:article|page|post|story))?(?: (?:with|on|via|to|by)(?: [a-z]+){0,2})?[:!]?
share (?:on|via|to|with)(?:[ ,/|]+(?:and|facebook|twitter|x|linkedin|pinterest|whatsapp|reddit|e-?mail|friends))+
(?:please )?(?:enable|turn on) javascript\b.*|javascript (?:is|must be|needs to be) (?:disabled|required|enabled)\b.*
(?:leave|post|add) a (?:reply|comment)(?: cancel reply)?[.!]?|[0-9,]+ (?:comments|replies|shares|likes|views|retweets)
related (?:articles|posts|stories)[:.]?|you (?:may|might) also like.*
recommended for you[:.]?|sponsored (?:content|post)
skip to (?:main )?content|back to top|toggle navigation|jump to (?:navigation|search)|all posts by .+
forgot (?:your )?password\??|(?:log|sign) in or (?:register|sign up|create an account).*
home(?: ?[|›»>/·•→] ?[^|›»>/·•→\n]+)+
(?:about(?: us)?|contact(?: us)?|blog|news|shop|faq|help|login|privacy|terms)(?: ?[|·•/] ?[a-z&][a-z& ]+)+
(?:«|<|←|‹)? ?prev(?:ious)?(?: [a-z]+)? ?[|/·] ?next(?: [a-z]+)? ?(?:»|>|→|›)?
\[ ?(?:pg|page|p)\.? ?[0-9ivxlc]+ ?\]|page [0-9]+ (?:of|/) [0-9]+|[0-9]+ ?\| ?p ?a ?g ?e
\*\*\* ?(?:start|end) of (?:the|this) project gutenberg.*|(?:the )?end of (?:the |this )?project gutenberg.*
(?:this|the) e-?(?:book|text) is for the use of any ?one any ?where.*
(?:[^ \n]+ ){0,9}[^ \n]*\bwww\.gutenberg\.(?:org|net)\b[^ \n]*(?: [^ \n]+){0,9}
(?:this (?:e-?book|e-?text|file) was )?produced by .*(?:proofread|distributed|pgdp|volunteer|gutenberg).*
e-?text (?:prepared|produced) by .*|\[?transcriber['’]?s['’]? notes?\b.*
\[ ?(?:illustration|blank page|frontispiece|decoration)(?::[^\]\n]*)? ?\]
"""
# Furniture where there is such beside it, and otherwise maybe a list, a heading, a command:
_DOUBTFUL = r"""
(?:read|learn|see|show|view|load) (?:more|all|less)(?: (?:about|on|at|from|posts|comments|articles|details)\b.*)?
(?:home|menu|main menu|search|help|login|log in|sign in|sign up|log out|register|subscribe)
(?:newsletter|contact|contact us|about|about us)
(?:blog|faq|shop|sitemap|imprint|careers|advertisement|tags|tagged|share|tweet|print|e-?mail|comments?)
(?:facebook|twitter|instagram|linkedin|youtube|pinterest|whatsapp|reddit|rss|prev|previous|next|older|newer|close|ok)
(?:previous|next|older|newer) (?:page|posts?|article|entries|chapter|story)|got it|i agree|accept|accept all|reject all
(?:terms|privacy|disclaimer|accessibility|cookies|trending|trending now|most read|most popular|no comments)
"""
_PAGE_NUMBER = r"[-–—~*|\[ ]{0,2}[0-9]{1,4}[-–—~*|\] ]{0,2}"
_AROUND = "*-•#>_|»→.: \t\r"  # marks of lists, headings and links, taken off both ends of a line


class _Patterns(NamedTuple):
    worth_a_look: Callable[[str], Any]  # whether a text holds a plain line of furniture or a page number
    plain: Callable[[str], Any]
    doubtful: Callable[[str], Any]
    number: Callable[[str], Any]


@lru_cache
def _patterns() -> _Patterns:
    import re2

    plain, doubtful = ("|".join(f"(?:{p})" for p in lines.split("\n") if p) for lines in (_PLAIN, _DOUBTFUL))
    around = r"[*\-•#>_|»→.: \t\r]*"
    quiet = re2.Options()
    quiet.log_errors = False

    def matcher(pattern: str, how: str) -> Callable[[str], Any]:
        method = getattr(re2.compile(pattern, quiet), how)

        def match(text: str) -> Any:
            try:
                return method(text)
            except UnicodeEncodeError:  # half a surrogate pair
                return method(text.encode("utf-8", "replace").decode())

        return match

    return _Patterns(
        matcher(f"(?im)^{around}(?:{plain}|{_PAGE_NUMBER}){around}$", "search"),
        matcher(plain, "fullmatch"),
        matcher(doubtful, "fullmatch"),
        matcher(_PAGE_NUMBER, "fullmatch"),
    )


@filter("boilerplate", version=1, libraries=("google-re2",))
def boilerplate(
    record: Record,
    *,
    action: Annotated[
        Literal["remove", "keep"],
        Meta(
            description="What becomes of such lines where they are few; above `at_most` the record is dropped."
        ),
    ] = "remove",
    at_most: Annotated[
        float,
        Meta(ge=0, le=1, description="Largest share of a record's lines; what has more of them is no text."),
    ] = 0.5,
) -> bool | str | Edited:
    """Take out lines of web furniture: cookie notices, calls to subscribe, navigation, page numbers, Gutenberg's.

    User and assistant text is looked at, without fenced code; a user's message of a single line is what a person
    says and is left alone. The phrases are English. A word such as "Menu" or "Next" counts only beside a line that is
    plainly furniture, a bare number only where it breaks off a sentence. A record of which a message would say
    nothing any more is dropped.
    """
    worth_a_look = _patterns().worth_a_look
    spoken = [
        (n, m.content) for n, m in enumerate(record.messages) if m.content and m.role in ("user", "assistant")
    ]
    if not any(worth_a_look(text) for _, text in spoken):
        return True
    found = {n: _furniture(text, record.messages[n].role) for n, text in spoken}
    removed = sum(map(len, found.values()))
    if not removed:
        return True
    lines = sum(1 for _, text in spoken for _ in prose_lines(text))
    if removed > at_most * lines:
        return "boilerplate: too many lines"
    left = {n: without_lines(text, found[n]) for n, text in spoken if found[n]}
    cleaned = reword(record, left)
    if cleaned is None:
        return "boilerplate: a message is nothing else"
    if action == "keep":
        return True
    return Edited(cleaned, f"{removed} line{'s' * (removed != 1)} of boilerplate removed")


def _furniture(text: str, role: str) -> set[int]:
    """The numbers of a message's lines that are furniture."""
    lines = list(prose_lines(text))
    if role == "user" and len(lines) < 2:
        return set()
    patterns = _patterns()
    short = [(n, line.lower()) for n, line in lines if len(line) <= _LONGEST]
    plain = {n for n, line in short if any(map(patterns.plain, {line, line.strip(_AROUND)}))}
    if plain:
        plain |= {n for n, line in short if patterns.doubtful(line.strip(_AROUND))}
    for (_, before), (n, line), (_, after) in zip(lines, lines[1:], lines[2:], strict=False):
        if (
            len(before) >= _PROSE
            and (before[-1].isalpha() or before[-1] in ",;-")
            and after[0].islower()
            and patterns.number(line)
        ):
            plain.add(n)
    return plain
