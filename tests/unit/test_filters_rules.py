"""Filters that go by rules: regex, pii, toxicity, tags, chat_shape, tool_contract, normalize."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import contract
from runner.errors import StepError
from runner.library import find as shipped
from runner.library import shelf
from runner.privacy import KINDS, find, may_hold
from runner.privacy.grounding import numbers, ungrounded
from runner.record import Edited, FunctionCall, Message, Record, ToolCall
from runner.registry import InputFile, Said, SourceContext, plugins


def chat(*turns: str, system: str | None = None, **more: Any) -> Record:
    roles = ("user", "assistant")
    first = [Message("system", system)] if system is not None else []
    return Record([*first, *(Message(roles[i % 2], t) for i, t in enumerate(turns))], **more)  # type: ignore[arg-type]


def tool(name: str = "dial", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def called(
    user: str, arguments: str, result: str, answer: str, *tools: dict[str, Any], id: str = "call_1"
) -> Record:
    call = ToolCall(id, FunctionCall("dial", arguments))
    messages = [
        Message("user", user),
        Message("assistant", tool_calls=[call]),
        Message("tool", result, tool_call_id=id),
        Message("assistant", answer),
    ]
    return Record(messages, list(tools) or [tool()])


def said(name: str, record: Record, **options: Any) -> Said:
    return plugins("filter")[name].at_work(options)([record])[0]


def edited(name: str, record: Record, **options: Any) -> Edited:
    out = said(name, record, **options)
    assert isinstance(out, Edited), out
    return out


def wrong(name: str, **options: Any) -> list[tuple[tuple[str | int, ...], str]]:
    plugin = plugins("filter")[name]
    typed = msgspec.convert(options, plugin.options)
    return list(plugin.check(msgspec.to_builtins(typed)))


# -- pii --------------------------------------------------------------------------------------------

HITS = {
    "email": [
        "bob@example.org", "Bob.Smith@example.co.uk", "b_s+tag@mail.example.com", "x@y.io", "write to a.b@c-d.net.",
        "<jane@example.org>", "mailto:jane@example.org", "jane(at)example.org", "jane [at] example [dot] org",
        "müller@münchen.de", "o'neil@example.ie", "(info@example.museum)", "1234@example.com", "JANE@EXAMPLE.ORG",
        "a%b@example.org", "first-last@sub.domain.example.com", "Reply to: jane@example.org, please",
    ],
    "phone": [
        "+1 415 555 2671", "+14155552671", "+1 (415) 555-2671", "+44 20 7946 0958", "+44 (0)20 7946 0958",
        "+49 30 1234567", "+33 6 12 34 56 78", "0049 30 12345678", "(415) 555-2671", "415-555-2671", "415.555.2671",
        "1-800-555-0199", "1 (800) 555-0199", "(020) 7946 0958", "020 7946 0958", "call 555-0123",
        "Call me at 555 0123", "my phone number is 5550123", "phone: 4155552671", "Tel. 030 1234567",
        "text me on 07700 900123", "Fax: 555-0199", "mobile 06 12 34 56 78", "reach me at 555-0142 tonight",
        "My cell is 555-0177", "dial 5550100", "ring me: 020 79460958", "WhatsApp +55 11 91234 5678",
        "415-555-2671 ext. 12", "call 555-0123 10 times", "+31 6 12345678", "+91 98765 43210",
    ],
    "card": [
        "4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111", "5555555555554444", "2223003122003222",
        "378282246310005", "3782 822463 10005", "6011111111111117", "30569309025904", "3530111333300000",
        "card 4012888888881881 please", "4111 1111 1111 1111 12/27", "6759649826438453", "4222222222222",
    ],
    "ip": [
        "192.168.1.14", "10.20.30.40", "from 203.0.113.77.", "http://198.51.100.23/x", "198.51.100.23:8080",
        "2001:db8::8a2e:370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[2001:db8:1::1]",
        "the IP address is 1.2.3.4", "ping 8.7.6.5",
    ],
    "iban": [
        "GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432", "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00 at once", "FR1420041010050500013M02606", "NL91ABNA0417164300",
        "CH9300762011623852957", "pay to ES9121000418450200051332.", "NO9386011117947",
    ],
    "name": [
        "Mr. John Smith left", "Dr. O'Neil is in", "My name is Jane Doe.", "Dear Jane,\nhow are you", "Kind regards,\nJane Doe",
        "This is Tom Brown speaking.", "Mrs Anna van der Berg called", "Frau Müller fragt", "I am called Zoë Lund",
        "Prof. A. B. Carter agrees",
    ],
}  # fmt: skip

NOT_HITS = [
    # coordinates, dates, times, years
    "Call me at 41.8781, -87.6298", "41.8781,-87.6298", "+40.20361-075.00417/", "lat 52.5200 lon 13.4050",
    "call before 2024-05-17", "Call me on 2024-05-17 10:30", "17.05.2024", "05/17/2024", "call 20240517", "2024-05-17T10:30:00Z",
    "Call between 10:30-11:45", "call 10.30-11.45", "ring 1900-2100", "Mark Twain (1835-1910)", "call him in 1835-1910",
    "1835–1910", "years 1861 1865", "May 17, 2024", "at 12:30:45", "1715940000", "UTC+02:00", "text of 1835 1910",
    # money, quantities, maths
    "$1,250.00", "$4155552671", "call costs 1250000 dollars", "€ 1.250.000,00", "1,234,567 people", "call 1,234,567 times",
    "3.14159265358979", "2.7182818284", "0.123456789", "1 000 000 000", "1234567 + 7654321", "1e10 1234567", "12345678 bytes",
    "4155552671%", "temperature -14 to 23", "10-20-30", "1-2-3-4-5-6-7", "100 200 300 400", "(1234567)", "scores 415 555 2671",
    # codes
    "ISBN 978-0-306-40615-7", "ISBN 0-306-40615-2", "ISBN-13: 9780306406157", "call for ISBN 9780306406157",
    "ZIP 60614-1234", "call about 60614-1234", "SW1A 1AA", "order 302-555-1234", "order number 4155552671",
    "Call about order 5551234567", "invoice #20240517123", "tracking 1234567890123", "ticket 5550123", "case no. 1234567",
    "flight 1234567", "account 12345678", "SSN-like 078-05-1120", "serial 4111111111111112", "order 4111111111111111",
    "1234567890123456", "4111 1111 1111 1112", "0000000000000000", "4000 2000 3000 1001", "EAN 4006381333931",
    "H5984 and 63529", "book 94211 on card A9377", "hold 39431 for card F-5873", "bcf2a9d1-1234-4567-8901-123456789012",
    "sha 1234567890abcdef1234567890abcdef", "patent 5,123,456", "doi:10.1000/182", "arXiv 2401.12345",
    "GB82 WEST 1234 5698 7654 33", "XX82WEST12345698765432", "AB12 CDEF GHIJ", "model GPT41234 5678 9012",
    # versions, sections, hosts of nobody
    "version 1.2.3.4", "v1.2.3.4", "release 10.20.30.40", "Section 1.2.3.4", "see 1.2.3.4", "§ 12.3.4.5", "Chrome 120.0.6099.109",
    "nginx/1.24.0.1", "1.2.3.4.5", "256.1.1.1", "127.0.0.1", "0.0.0.0", "255.255.255.0", "8.8.8.8", "10.0.0.0/8", "01.02.03.04",
    "std::vector", "A::B::C", "::", "::1", "12:30:45", "00:1a:2b:3c:4d:5e", "aa::bb", "John 3:16", "1:2:3",
    # signs of all kinds
    "@handle", "me @ home", "user@localhost", "a@b", "icon@2x.png", "react@18.2.0", "@property", "git@github.com:owner/repo.git",
    "meet (at) the place", "look [at] this", "10 @ 5.00", "x@.com", "@@@@", "foo@bar", "e-mail me", "see http://example.org/1234567",
    "[EMAIL] [PHONE] [CARD] [IP] [IBAN] [NAME]", "call [PHONE]", "https://example.org/p/415-555-2671", "id=4155552671", "#4155552671",
    # names
    "This is London.", "This is Not here", "Dear Sir,", "Hello World!", "Hi there,", "my name is irrelevant", "Mr. and Mrs.",
    "Best wishes", "regards the Mississippi as his own", "Miss it not", "Sincerely speaking",
    # weather
    "72 degrees, wind 9 mph, rain 0 percent", "Saturday: 9 to 12 degrees; Sunday: 5 to 15", "28.6139 77.2090", "1013.25 hPa",
    "from 8 up to 16 degrees", "2026-08-23 at 10:00 in Tanner's Row; 2026-08-24 at 11:30", "45°25'N 75°42'W", "-33.8688 151.2093",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, ts in HITS.items() for t in ts])
def test_pii_is_found(kind: str, text: str) -> None:
    assert [h.kind for h in find(text, KINDS)] == [kind]
    assert kind == "name" or may_hold(text)


@pytest.mark.parametrize("text", NOT_HITS)
def test_what_only_looks_like_pii_is_not(text: str) -> None:
    assert find(text, KINDS) == []


def test_the_tables_are_long() -> None:
    assert sum(map(len, HITS.values())) >= 60 and len(NOT_HITS) >= 120


def test_pii_takes_out_all_and_says_so() -> None:
    out = edited(
        "pii", chat("I am bob@example.org or eve@example.org, call 555-0123.", "Noted: bob@example.org")
    )
    assert [m.content for m in out.record.messages] == [
        "I am [EMAIL] or [EMAIL], call [PHONE].",
        "Noted: [EMAIL]",
    ]
    assert out.what == "pii: 3 e-mail, 1 phone"
    assert said("pii", out.record) is True


def test_pii_drops_and_names_the_kinds() -> None:
    record = chat("Mail bob@example.org, call 415-555-2671", "ok")
    assert said("pii", record, action="drop") == "pii: e-mail, phone"
    assert said("pii", record, action="drop", kinds=["card"]) is True


def test_pii_names_only_if_asked_and_then_everywhere() -> None:
    record = chat("My name is Jane Doe.", "Good day, Jane Doe!")
    assert said("pii", record) is True
    assert edited("pii", record, names=True).record.answer == "Good day, [NAME]!"


def test_pii_keeps_a_call_grounded_and_its_numbers() -> None:
    record = called(
        "Call 415-555-2671 and mail a@example.org, not b@example.org",
        '{"number": "4155552671",  "to": "b@example.org", "order": 12345678901, "lat": 41.8781}',
        '{"dialled":"+1 (415) 555-2671","copies":["a@example.org"],"at":1715940000}',
        "I called 415 555 2671.",
    )
    out = edited("pii", record).record
    assert out.messages[0].content == "Call [PHONE] and mail [EMAIL], not [EMAIL_2]"
    arguments = out.messages[1].tool_calls[0].function.arguments
    assert arguments == '{"number": "[PHONE]",  "to": "[EMAIL_2]", "order": 12345678901, "lat": 41.8781}'
    assert out.messages[2].content == '{"dialled":"[PHONE]","copies":["[EMAIL]"],"at":1715940000}'
    assert out.messages[3].content == "I called [PHONE]."
    assert contract.broken(out) is None


def test_pii_a_key_says_what_a_value_is() -> None:
    out = edited("pii", called("Ring Tom.", '{"phone_number": "5550123", "zip": "6061412"}', "{}", "Done."))
    assert (
        out.record.messages[1].tool_calls[0].function.arguments
        == '{"phone_number": "[PHONE]", "zip": "6061412"}'
    )


def test_pii_that_a_schema_or_a_number_cannot_do_without_drops_the_record() -> None:
    strict = tool(number={"type": "string", "pattern": r"^\d+$"})
    record = called("Call 415-555-2671", '{"number":"4155552671"}', "{}", "Done.", strict)
    assert contract.broken(record) is None
    assert said("pii", record) == "pii: a tool's schema allows no placeholder in its place"
    record = called(
        "Call 415-555-2671", '{"number":4155552671}', "{}", "Done.", tool(number={"type": "integer"})
    )
    assert said("pii", record) == "pii: a tool's schema allows no placeholder in its place"
    record = called("Call 415-555-2671", '{"number":-4155552671}', "{}", "Done.", tool(number={}))
    assert said("pii", record) == "pii: it also stands in a number, which cannot hold a placeholder"


CARD = "4111111111111111"


def test_pii_that_is_a_number_of_json_becomes_a_string() -> None:
    free = tool(phone={}, card={"type": ["integer", "string"]}, order={})
    arguments = f'{{"phone": 4155552671, "card": {CARD}, "order": 4155552671234}}'
    result = f'{{"cards": [ {CARD}, 5500005555555559], "phone_number":4155552671, "at": 1715940000.5, "ms": 1715940000123}}'
    out = edited("pii", called("Ring him, and pay.", arguments, result, "Done.", free))
    call, told = out.record.messages[1].tool_calls[0].function.arguments, out.record.messages[2].content or ""
    assert call == '{"phone": "[PHONE]", "card": "[CARD]", "order": 4155552671234}'
    assert (
        told
        == '{"cards": [ "[CARD]", "[CARD_2]"], "phone_number":"[PHONE]", "at": 1715940000.5, "ms": 1715940000123}'
    )
    assert json.loads(told)["cards"] == ["[CARD]", "[CARD_2]"] and contract.broken(out.record) is None
    assert out.what == "pii: 3 card, 2 phone" and said("pii", out.record) is True


@pytest.mark.parametrize("where", ["arguments", "result"])
@pytest.mark.parametrize(
    ("field", "kind"),
    [('"phone": 4155552671', "phone"), (f'"card": {CARD}', "card"), ('"order": 4155552671', "")],
)
def test_pii_drops_what_stands_in_a_number_alone(where: str, field: str, kind: str) -> None:
    said_in = ["{" + field + "}", "{}"][:: 1 if where == "arguments" else -1]
    record = called(
        "Ring him.", *said_in, "Done.", tool(phone={"type": "integer"}, card={"type": "integer"}, order={})
    )
    assert contract.broken(record) is None
    assert said("pii", record, action="drop") == (f"pii: {kind}" if kind else True)
    if where == "arguments" and kind:
        assert said("pii", record) == "pii: a tool's schema allows no placeholder in its place"
    elif kind:
        assert edited("pii", record).record.messages[2].content == json.dumps({kind: f"[{kind.upper()}]"})
    else:
        assert said("pii", record) is True


def test_pii_placeholders() -> None:
    record = chat("bob@example.org", "Thanks.")
    assert edited("pii", record, placeholders={"email": "someone"}).record.messages[0].content == "someone"
    assert wrong("pii", placeholders={"email": "x@y.org"})[0][0] == ("placeholders", "email")
    assert wrong("pii", placeholders={"phone": "5550123"})[0][0] == ("placeholders", "phone")
    assert wrong("pii", placeholders={"phone": "a\nb"})[0][0] == ("placeholders", "phone")
    assert wrong("pii", kinds=[])[0][0] == ("kinds",)
    assert wrong("pii") == wrong("pii", kinds=[], names=True) == []


def test_pii_leaves_our_own_tool_conversations_alone() -> None:
    for name in ("weather", "weather-api", "town-library"):
        assert {str(said("pii", r)) for r in drawn(name, 300)} == {"True"}


# -- regex ------------------------------------------------------------------------------------------


def test_regex_drops_keeps_and_edits() -> None:
    record = chat("Tell me.", "As an AI, I cannot.", system="Be kind.")
    assert said("regex", record, drop=["nothing", "^As an AI"]) == "regex: '^As an AI'"
    assert said("regex", record, drop=["as an ai"], ignore_case=True) == "regex: 'as an ai'"
    assert said("regex", record, drop=["as an ai"]) is True
    assert said("regex", record, drop=["Be kind"]) is True
    assert said("regex", record, drop=["Be kind"], where="any") == "regex: 'Be kind'"
    assert said("regex", record, keep=["Tell"], where="answer") == "regex: no match of 'Tell'"
    assert said("regex", record, keep=["a b", "c d"]) == "regex: no match of any to keep"
    out = edited("regex", record, replace=[{"find": r"(\w+) AI", "with": r"<\1\\>"}], where="any")
    assert out.record.answer == "As <an\\>, I cannot."
    assert out.what == "regex: 1 replacement"


def test_regex_sees_calls_and_results_and_never_edits_them() -> None:
    record = called("Dial.", '{"n":"secret"}', '"secret"', "Done.")
    assert said("regex", record, drop=["secret"]) is True
    assert said("regex", record, drop=["secret"], where="any") == "regex: 'secret'"
    assert said("regex", record, replace=[{"find": "secret", "with": "x"}], where="any") is True


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "back-references"),
        (r"(?=a)", "look-ahead"),
        (r"(?!a)b", "look-ahead"),
        (r"(?<=a)b", "look-behind"),
        (r"(?<!a)b", "look-behind"),
        (r"(?>a)", "atomic"),
        (r"(", "missing )"),
        (r"[a", "missing ]"),
        (r"a{2000}", "1,000 repetitions"),
        (r"(?:\pL{100}){9}", "too large"),
        ("((a{100}){10}){9}", "1,000 repetitions"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_regex_what_re2_refuses_is_said_at_its_place(pattern: str, words: str) -> None:
    for options, place in (
        ({"drop": ["a", pattern]}, ("drop", 1)),
        ({"keep": [pattern]}, ("keep", 0)),
        ({"replace": [{"find": pattern, "with": ""}]}, ("replace", 0, "find")),
    ):
        plugin = plugins("filter")["regex"]
        full = {"drop": [], "keep": [], "replace": [], "ignore_case": False, **options}
        problems = list(plugin.check(full))
        assert [p for p, _ in problems] == [place]
        assert words in problems[0][1]


def test_regex_other_mistakes() -> None:
    assert wrong("regex") == [((), "says nothing to do: give drop, keep or replace")]
    assert wrong("regex", replace=[{"find": "a*", "with": ""}])[0][0] == ("replace", 0, "find")
    assert wrong("regex", replace=[{"find": "(a)", "with": r"\2"}])[0][0] == ("replace", 0, "with")
    assert wrong("regex", replace=[{"find": "(a)", "with": "\0"}])[0][0] == ("replace", 0, "with")
    assert wrong("regex", replace=[{"find": "(a)", "with": r"\\2\1\0"}]) == []
    with pytest.raises(msgspec.ValidationError):
        wrong("regex", drop=["a" * 1001])
    with pytest.raises(msgspec.ValidationError):
        wrong("regex", drop=["a"] * 101)


def test_regex_patterns_that_hang_backtracking_engines_are_answered() -> None:
    text = "a" * 200_000 + "!"
    assert said("regex", chat("x", text), drop=["^(a+)+$"]) is True
    assert (
        edited("regex", chat("x", text), replace=[{"find": "a+b|a", "with": "c"}]).record.answer
        == "c" * 200_000 + "!"
    )


def test_regex_edits_that_go_too_far_drop_the_record() -> None:
    record = chat("x", "a" * 1000)
    assert said("regex", record, replace=[{"find": "a+", "with": ""}]) == "regex: a turn has nothing left"
    assert (
        said("regex", record, replace=[{"find": "a", "with": "b" * 999}])
        == "regex: replacing 'a' makes a turn too long"
    )


def test_regex_of_long_turns_cuts_between_characters() -> None:
    text = "é" * 60_000
    assert (
        edited("regex", chat("x", text), replace=[{"find": "é", "with": "e"}]).record.answer == "e" * 60_000
    )


# -- toxicity ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("What a fine day.", True),
        ("What the fuck.", "toxicity: obscene words"),
        ("sh1t", "toxicity: obscene words"),
        ("f*ck this", "toxicity: obscene words"),
        ("fuuuuck", "toxicity: obscene words"),
        ("f u c k you", "toxicity: obscene words"),
        ("F.U.C.K", "toxicity: obscene words"),
        ("b!tch", "toxicity: obscene words"),
        ("FÜCK", "toxicity: obscene words"),
        ("Go kill yourself.", "toxicity: slurs"),
        ("damn", True),
        ("assess the class in Scunthorpe", True),
        ("shitake mushrooms", True),
        ("The assassin passed the 5th grass", True),
        ("U.S. S. R.", True),
        ("**** or 5 * 4", True),
        ("", True),
    ],
)
def test_toxicity_by_words(text: str, verdict: bool | str) -> None:
    assert said("toxicity", chat("So?", text)) == verdict


def test_toxicity_grades_counts_shares_and_lists() -> None:
    record = chat("Damn it, you damned fool", "No.")
    assert said("toxicity", record, grade="mild") == "toxicity: rude words"
    assert said("toxicity", record, grade="mild", at_least=2) == "toxicity: rude words"
    assert said("toxicity", record, grade="mild", at_least=3) is True
    assert said("toxicity", record, grade="mild", at_least=0.5) is True
    assert said("toxicity", record, grade="mild", at_least=0.3) == "toxicity: rude words"
    assert said("toxicity", record, grade="mild", where="answer") is True
    assert said("toxicity", record, grade="mild", words={"allow": ["damn", "Damned"]}) is True
    assert said("toxicity", record, words={"deny": ["Fool"]}) == "toxicity: slurs"


def test_toxicity_options_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.toxicity.options.installed", lambda: True)
    assert wrong("toxicity") == []
    assert wrong("toxicity", at_least=1.5)[0][0] == ("at_least",)
    assert wrong("toxicity", words={"allow": ["Fool"], "deny": ["fool"]})[0][0] == ("words", "deny")
    assert wrong("toxicity", by="detoxify", at_least=2)[0][0] == ("at_least",)
    both = wrong("toxicity", by="detoxify", grade="mild", words={"deny": ["fool"]})
    assert [p for p, _ in both] == [("words",), ("grade",)]


def test_toxicity_by_a_classifier_that_is_not_installed_is_said_by_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runner.toxicity.classifier.version", missing)
    what = "detoxify is not installed: pip install detoxify"
    assert wrong("toxicity", by="detoxify") == [(("by",), what)]
    assert wrong("toxicity") == wrong("toxicity", by="moderation") == []
    monkeypatch.setattr("runner.toxicity.classifier.version", lambda name: "0.5")
    assert wrong("toxicity", by="detoxify") == []


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


def test_toxicity_list_is_shipped_and_lower_case() -> None:
    path = shipped("datasets/words/toxicity.yaml")
    assert path is not None
    body = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(True) if not line.startswith("#")
    )
    assert body == body.lower()


def test_toxicity_by_detoxify_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.toxicity import classifier

    classifier._detoxify.cache_clear()
    monkeypatch.setitem(sys.modules, "detoxify", None)
    with pytest.raises(StepError, match="by detoxify needs detoxify: pip install detoxify"):
        said("toxicity", chat("a", "b"), by="detoxify")


def test_toxicity_by_detoxify_takes_the_worst_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(texts: list[str]) -> dict[str, list[float]]:
        assert all(len(t) <= 1500 for t in texts)
        return {"insult": [0.9 if "fool" in t else 0.1 for t in texts], "threat": [0.2] * len(texts)}

    model = SimpleNamespace(predict=predict)
    monkeypatch.setattr("runner.toxicity.classifier._detoxify", lambda name: model)
    records = [chat("a", "word " * 2000 + "fool"), chat("a", "b"), chat("a", "\ud800")]
    call = plugins("filter")["toxicity"].at_work({"by": "detoxify", "at_least": 0.8})
    assert call(records) == ["toxicity: insult", True, True]


# -- tags, chat_shape -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"keep": {"tone": ["dry", "plain"]}}, True),
        ({"keep": {"tone": ["wet"]}}, "tag 'tone' is none of those kept"),
        ({"keep": {"tone": ["dry"], "form": ["x"]}}, "no tag 'form'"),
        ({"keep": {"form": ["x"]}, "missing": "keep"}, True),
        ({"drop": {"tone": ["dry"]}}, "tag 'tone' is 'dry'"),
        ({"drop": {"form": ["x"]}}, True),
    ],
)
def test_tags(options: dict[str, Any], verdict: bool | str) -> None:
    assert said("tags", chat("a", "b", tags={"tone": "dry"}), **options) == verdict
    assert wrong("tags", **options) == []


def test_tags_mistakes() -> None:
    assert wrong("tags")[0][0] == ()
    assert wrong("tags", keep={"a": ["x"]}, drop={"a": ["x"]})[0][0] == ("drop", "a")


@pytest.mark.parametrize(
    ("record", "options", "verdict"),
    [
        (chat("a", "b"), {}, True),
        (chat("a", "b"), {"roles": ["user"]}, "a message of the assistant"),
        (chat("a", "b", system="s"), {"roles": ["user", "assistant"]}, "a message of the system"),
        (chat("a", "b"), {"turns_min": 3}, "too few turns"),
        (chat("a", "b", "c", "d"), {"turns_max": 3}, "too many turns"),
        (Record([Message("assistant", "a")]), {"starts_with": "user"}, "starts with the assistant"),
        (chat("a", "b", system="s"), {"starts_with": "user"}, True),
        (chat("a", "b"), {"system": "required"}, "no system message"),
        (chat("a", "b", system="s"), {"system": "forbidden"}, "a system message"),
        (chat("a", "b", system=" "), {}, "an empty system message"),
        (chat("a", "b", system=" "), {"empty": "keep", "system": "forbidden"}, True),
        (called("a", "{}", "", "b"), {}, "an empty tool message"),
        (called("a", "{}", "{}", "b"), {"tools": "forbidden"}, "tools"),
        (called("a", "{}", "{}", "b"), {"turns_max": 2}, True),
        (chat("a", "b"), {"tools": "required"}, "no tools"),
        (chat("a", "b" * 9), {"longest": 8}, "a message is too long"),
    ],
)
def test_chat_shape(record: Record, options: dict[str, Any], verdict: bool | str) -> None:
    assert said("chat_shape", record, **options) == verdict


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"turns_min": 3, "turns_max": 2}, "turns_min"),
        ({"roles": ["user"]}, "roles"),
        ({"roles": ["assistant"], "system": "required"}, "system"),
        ({"roles": ["assistant"], "starts_with": "user"}, "starts_with"),
    ],
)
def test_chat_shape_mistakes(options: dict[str, Any], place: str) -> None:
    assert wrong("chat_shape", **options)[0][0] == (place,)


# -- tool_contract ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "options", "verdict"),
    [
        (chat("a", "b"), {}, True),
        (chat("a", "b"), {"calls_min": 1}, "too few calls"),
        (called("a", "{}", "{}", "b"), {"calls_max": 0}, "too many calls"),
        (called("a", "{}", "{}", "b"), {"tools": ["dial", "ring"]}, True),
        (called("a", "{}", "{}", "b"), {"tools": ["ring"]}, "calls a tool that is not among those allowed"),
        (called("a", "{}", "fine", "b"), {}, "a result is not JSON"),
        (called("a", "{}", "fine", "b"), {"results": "any"}, True),
        (called("a", '{"x":{"y":[" "]}}', "{}", "b"), {}, "an argument is empty"),
        (called("a", '{"x":""}', "{}", "b"), {"empty_arguments": "keep"}, True),
        (called("a", "{}", "{}", "b", tool(), tool("ring")), {"unused_tools": "drop"}, "offers a tool that it never calls"),
        (called("a", "{}", "{}", "b"), {"unused_tools": "drop"}, True),
        (called("a", "{}", "{}", "b"), {"ids": "[a-zA-Z0-9]{9}"}, "a call's id has another form"),
        (called("a", "{}", "{}", "b", id="abcDEF123"), {"ids": "[a-zA-Z0-9]{9}"}, True),
        (called("a", "{}", '{"t":72}', "It is 73."), {}, True),
        (called("a", "{}", '{"t":72}', "It is 73."), {"grounded": True}, "an answer has a number that nothing says"),
        (called("a", "{}", '{"t":72}', "It is 72."), {"grounded": True}, True),
    ],
)  # fmt: skip
def test_tool_contract(record: Record, options: dict[str, Any], verdict: bool | str) -> None:
    assert said("tool_contract", record, **options) == verdict


def test_tool_contract_mistakes() -> None:
    assert wrong("tool_contract", calls_min=2, calls_max=1)[0][0] == ("calls_min",)
    assert wrong("tool_contract", ids="(?=a)")[0][0] == ("ids",)
    assert wrong("tool_contract") == []


@pytest.mark.parametrize(
    ("user", "result", "answer", "fine"),
    [
        ("Weather?", '{"t":71.6}', "It is 72 degrees.", True),
        ("Weather?", '{"t":71.6}', "It is 71.6 degrees.", True),
        ("Weather?", '{"t":71.4}', "It is 72 degrees.", False),
        ("Weather?", '{"t":68}', "It is about 70 degrees.", True),
        ("Weather?", '{"t":68}', "It is 70 degrees.", False),
        ("Weather?", '{"t":22,"unit":"celsius"}', "It is 71.6 °F.", True),
        ("Weather?", '{"t":22,"unit":"celsius"}', "It is 75 °F.", False),
        ("Weather?", '{"wind_kmh":16}', "Wind of 10 mph.", True),
        ("Weather?", '{"t":-14}', "It is -14.", True),
        ("Weather?", '{"t":-14}', "It is 14 below.", True),
        ("Weather?", '{"t":-14}', "It is 14 in the shade.", False),
        ("The next four days?", "{}", "For 4 days nothing is known.", True),
        ("Which?", '["a","b","c"]', "There are 3 of them.", True),
        ("When?", '{"at":"14:20"}', "At 2:20 pm.", True),
        ("When?", '{"at":"14:20"}', "At 2:30 pm.", False),
        ("When?", '{"on":"2026-08-07"}', "On August 7, 2026.", True),
        ("When?", '{"on":"2026-08-07"}', "On 2026-08-08.", False),
        ("How many?", '{"n":8300000}', "Some 8.3 million.", True),
        ("How many?", '{"n":1250}', "It is 1,250.", True),
        ("Share?", '{"p":0.25}', "It is 25 percent.", True),
        ("Say.", '{"a":1}', "1. First.\n2. Second.", True),
        ("Say.", '{"a":5,"b":6}', "Together 11.", False),
    ],
)  # fmt: skip
def test_numbers_of_answers_come_from_somewhere(user: str, result: str, answer: str, fine: bool) -> None:
    assert (ungrounded(called(user, "{}", result, answer)) is None) is fine


def drawn(name: str, count: int) -> list[Record]:
    path = shelf("datasets") / "tools" / f"{name}.yaml"
    file = InputFile(f"datasets/tools/{name}.yaml", path, hashlib.sha256(path.read_bytes()).hexdigest())
    context = SourceContext(name, 3, {"set": (file,)}, "CC0-1.0")
    return list(plugins("source")["tools"].call(context, set=name, conversations=count))


def altered(record: Record, die: random.Random) -> Record | None:
    """The record with one number of an answer made another; None where there is none."""
    first = next((i for i, m in enumerate(record.messages) if m.role == "tool"), len(record.messages))
    places = [
        (i, n)
        for i, m in enumerate(record.messages)
        if i > first and m.role == "assistant"
        for n in numbers(m.content or "")
    ]
    if not places:
        return None
    i, number = die.choice(places)
    said = record.messages[i].content or ""
    other = abs(int(number.value)) + die.choice([1, 2, 3, 7, 10])
    messages = list(record.messages)
    messages[i] = msgspec.structs.replace(
        messages[i], content=said[: number.start] + str(other) + said[number.end :]
    )
    return msgspec.structs.replace(record, messages=messages)


@pytest.mark.parametrize("name", ["weather", "weather-api", "town-library"])
def test_our_own_conversations_are_grounded_and_altered_ones_are_not(name: str) -> None:
    records, die = drawn(name, 600), random.Random(7)
    kept = [said("tool_contract", r, grounded=True) is True for r in records]
    assert sum(kept) >= 0.995 * len(records)
    changed = [c for r in records if (c := altered(r, die)) is not None]
    assert len(changed) > 300
    assert sum(ungrounded(c) is not None for c in changed) >= 0.9 * len(changed)


# -- normalize --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "what", "options"),
    [
        ("“a” and ‘b’s", "\"a\" and 'b's", "4 quotes", {"quotes": "straight"}),
        ('"a" and \'b\'s', "“a” and ‘b’s", "4 quotes", {"quotes": "curly"}),
        ("'Tis 5'10\" of it, the '90s", "’Tis 5'10\" of it, the ’90s", "2 quotes", {"quotes": "curly"}),
        ("yes--no -- well", "yes—no — well", "2 dashes", {"dashes": "em"}),
        ("a --flag and\n-----\n<!-- x -->", None, "", {"dashes": "em"}),
        ("a — b – c", "a -- b - c", "2 dashes", {"dashes": "ascii"}),
        ("a  b   c \nd\n\n\n\ne", "a b c\nd\n\ne", "4 spaces", {}),
        ("x\n    indented  here", "x\n    indented here", "1 space", {}),
        ("a\u00a0b\u200bc\ufeff", "a bc", "1 space, 2 zero-width characters", {}),
        ("ﬁ\u200d\u00a0x", "fi x", "1 space, 1 ligature, 1 zero-width character", {}),
        ("eﬃcient ﬁsh", "efficient fish", "2 ligatures", {}),
        ("soft\u00adhyphen", "softhyphen", "1 soft hyphen", {}),
        ("bell\x07 nul\x00\x9f", "bell nul", "3 control characters", {}),
        ("e\u0301te\u0301", "été", "2 characters", {}),
        ("x² ½ …", "x2 1⁄2 ...", None, {"unicode": "NFKC"}),
        ("می‌خواهم 👩‍👩‍👧", None, "", {}),
        ("run `a  “b”` and\n```\nx  —  y\n```\nok  now", "run `a  “b”` and\n```\nx  —  y\n```\nok now", "1 space", {"quotes": "straight", "dashes": "ascii"}),
        ("``` never closed  “x”", None, "", {"quotes": "straight"}),
        ("a  b", None, "", {"spaces": False}),
    ],
)  # fmt: skip
def test_normalize(before: str, after: str | None, what: str | None, options: dict[str, Any]) -> None:
    record = chat("Go on.", before)
    if after is None:
        assert said("normalize", record, **options) is True
        return
    out = edited("normalize", record, **options)
    assert out.record.answer == after
    if what is not None:
        assert out.what == f"normalize: {what}"
    assert said("normalize", out.record, **options) is True


def test_normalize_leaves_what_tools_say_and_get() -> None:
    record = called("Dial  him", '{"to":"“a”  b"}', '"“x”  —"', "Done.")
    out = edited("normalize", record, quotes="straight", dashes="ascii").record
    assert out.messages[1:] == record.messages[1:] and out.tools == record.tools
    assert out.messages[0].content == "Dial him"


def test_normalize_drops_what_it_would_empty() -> None:
    assert said("normalize", chat("a", "\u200b\u00ad")) == "normalize: a turn has nothing left"


# -- any record -------------------------------------------------------------------------------------

AWKWARD = st.sampled_from(
    ["\0", "\ud800", "\udfff", "😀", "שלום", "e\u0301", "\u200b", "\u200d", "\u00ad", "ﬁ", "“", "’", "'", '"', "--", "—", "  ", "\n\n\n",
     "\t", "\r", "`", "```", "\u202e", "bob@example.org", "415-555-2671", "call 5550123", "4111 1111 1111 1111", "10.20.30.40",
     "GB82WEST12345698765432", "Mr. Jones", "2001:db8::1:2", "1,250.5", "-14", "72 °F", "f*ck", "{", "[", "\\", "\x85", "\u2028", " 's", "5'6\""]
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(AWKWARD, st.text(max_size=6), st.sampled_from([" ", "a", ".", "call ", "x"])), max_size=14
).map("".join)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def any_records(draw: st.DrawFn) -> Record:
    messages = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    tools: list[dict[str, Any]] = []
    for n in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(TEXTS)))
        if draw(st.booleans()):
            tools = [tool()]
            arguments = json.dumps(
                draw(st.dictionaries(TEXTS, VALUES, max_size=3)), ensure_ascii=draw(st.booleans())
            )
            result = draw(st.one_of(TEXTS, VALUES.map(json.dumps)))
            messages.append(
                Message(
                    "assistant", draw(st.none() | TEXTS), [ToolCall(f"c{n}", FunctionCall("dial", arguments))]
                )
            )
            messages.append(Message("tool", result, tool_call_id=f"c{n}"))
        messages.append(Message("assistant", draw(TEXTS)))
    return Record(messages, tools, draw(st.dictionaries(TEXTS, TEXTS, max_size=2)), {"id": "x"})


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("regex", {"drop": ["x{3}", r"\bcall\b"], "keep": ["."], "where": "any"}),
    (
        "regex",
        {
            "replace": [{"find": "(é|e\u0301|a.?)", "with": r"[\1]"}, {"find": "[^ -~]", "with": ""}],
            "where": "any",
        },
    ),
    ("pii", {}),
    ("pii", {"names": True, "placeholders": {"email": "a", "name": "Mr. N"}}),
    ("pii", {"action": "drop", "names": True}),
    ("toxicity", {}),
    ("toxicity", {"grade": "mild", "at_least": 0.1, "words": {"deny": ["call"]}}),
    ("tags", {"keep": {"a": ["b"]}, "missing": "keep"}),
    ("chat_shape", {"turns_min": 1, "longest": 50, "starts_with": "user"}),
    ("tool_contract", {"grounded": True, "ids": "c.", "unused_tools": "drop"}),
    ("normalize", {}),
    ("normalize", {"quotes": "curly", "dashes": "em", "unicode": "NFKC"}),
    ("normalize", {"quotes": "straight", "dashes": "ascii", "unicode": "none"}),
    (
        "normalize",
        {"spaces": False, "ligatures": False, "soft_hyphens": False, "control": False, "quotes": "curly"},
    ),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_record_gets_a_verdict(name: str, options: dict[str, Any], data: st.DataObject) -> None:
    record = data.draw(any_records())
    out = said(name, record, **options)
    assert out is True or isinstance(out, Edited) or (isinstance(out, str) and out)
    if isinstance(out, str):
        assert len(out) < 120
    if not isinstance(out, Edited):
        return
    assert out.record != record and out.what.startswith(f"{name}: ")
    assert (
        out.record.tools == record.tools and out.record.tags == record.tags and out.record.meta == record.meta
    )
    if contract.broken(record) is None:
        assert contract.broken(out.record) is None
    for before, after in zip(record.messages, out.record.messages, strict=True):
        assert (before.role, before.tool_call_id) == (after.role, after.tool_call_id)
        for one, other in zip(before.tool_calls, after.tool_calls, strict=True):
            assert type(json.loads(one.function.arguments)) is type(json.loads(other.function.arguments))
        if name == "normalize":
            assert before.tool_calls == after.tool_calls and (before.role != "tool" or before == after)
    if name != "regex":  # what replacements do twice is the recipe's affair
        assert said(name, out.record, **options) is True


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.sampled_from(KINDS), unique=True))
def test_hits_stand_in_order_and_apart(text: str, kinds: list[Any]) -> None:
    end = 0
    for hit in find(text, kinds):
        assert end <= hit.start < hit.end <= len(text) and hit.kind in kinds
        end = hit.end
