"""The report page: text stays in its place, nothing is asked of the network, gaps read well."""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import shown
from runner.page import charts, judged, pairs, render
from runner.page.river import levels, river

VOID = {"meta", "link", "wbr", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Every tag with its attributes, the text, and whether what was opened was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.script = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes what is not open"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.script += data
        elif self.open[-1:] != ["style"]:
            self.text += data

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in self.tags if tag != "wbr"]


def read(report: dict[str, Any]) -> Reader:
    found = Reader(render(report))
    assert not found.open
    found.text = re.sub(r"\s+", " ", found.text)
    return found


def cell(value: float, low: float | None, high: float | None, n: int = 50) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def metric(name: str, unit: str = "share", better: str | None = "higher") -> dict[str, Any]:
    return {
        "metric": name,
        "unit": unit,
        "better": better,
        "base": cell(0.0, 0.0, 0.07),
        "tuned": cell(0.96, 0.86, 0.99),
        "difference": {"value": 0.96, "low": 0.85, "high": 0.99, "p": 1e-9},
    }


def sample(text: str = "hello") -> dict[str, Any]:
    return {
        "id": text,
        "prompt": [{"role": "user", "content": text}, {"role": text, "content": text}],
        "answers": {"base": text, "tuned": text},
        "scores": {"right_call": {"base": 0.0, "tuned": 1.0}},
        "reasons": {"right_call": {"base": text}},
    }


def full(text: str = "hello") -> dict[str, Any]:
    """A report with every part, `text` in every place that holds free text."""
    return {
        "report": 1,
        "name": text,
        "description": text,
        "recipe_yaml": text,
        "profile": text,
        "exit": "pass",
        "rows": {
            "in": 100,
            "trained": 70,
            "validation": 2,
            "dropped": 28,
            "by_reason": [
                {"source": text, "fate": text, "by": text, "reason": text, "rows": 28},
                {"source": text, "fate": "trained", "by": "", "reason": "", "rows": 70},
            ],
        },
        "mix": {
            "by": text,
            "unit": text,
            "shares": [{"name": text, "asked": 0.5, "got": 0.498, "records": 35, "tokens": 4000}],
        },
        "lengths": {"edges": [0, 32, 64], "counts": [3, 9, 1]},
        "training": {
            "steps": [
                {"step": i, "loss": 3 / i, "learning_rate": 1e-3 / i, "epoch": i / 40} for i in range(1, 41)
            ],
            "validation": [{"step": 10, "loss": 2.2}, {"step": 40, "loss": 2.0}],
            "settings": {text: text, "r": 16, "targets": [text]},
            "trainable_parameters": 4884480,
            "adapter_bytes": 19000000,
        },
        "proof": {"records": 72, "tokens": 8000, "trained_tokens": 4000},
        "suites": [
            {
                "name": text,
                "description": text,
                "facts": {text: 0.95, "classifier.accuracy": 0.98},
                "metrics": [metric("tool_use.right_call"), metric(text, "nats", "lower")],
                "samples": [sample(text), sample(text)],
            }
        ],
        "gates": [
            {
                "gate": "tool_use.right_call >= 0.9",
                "verdict": "pass",
                "why": text,
                "value": 0.96,
                "threshold": 0.9,
            }
        ],
        "provenance": [
            {
                "source": text,
                "license": text,
                "rows": 72,
                "files": [{"name": text, "sha256": text}],
            }
        ],
        "adapter_proof": {"max_logit_difference": 3.2, "modules": 210},
        "versions": {text: text},
        "flow": {
            "steps": ["source", "filter", "mix"],
            "sources": [{"source": text, "rows": 100, "records": 100, "tokens": 11000, "exact": False}],
            "lost": [
                {
                    "step": "filter",
                    "source": text,
                    "by": text,
                    "reason": text,
                    "rows": 28,
                    "tokens": 3000,
                    "exact": False,
                }
            ],
            "used": [
                {"fate": "trained", "source": text, "rows": 70, "records": 80, "tokens": 7900},
                {"fate": "validation", "source": text, "rows": 2, "records": 2, "tokens": 100},
            ],
        },
        "duplicates": {
            "exact": 1,
            "near": 2,
            "threshold": 0.8,
            "pairs": [{"kind": "near", "similarity": 0.8, "kept": text_row(text), "dropped": text_row(text)}],
        },
        "contamination": {
            "dropped": 1,
            "ngram": 8,
            "texts": 1,
            "of": [{"of": text, "rows": 1}],
            "rows": [text_row(text) | {"of": text}],
        },
        "forecast": {
            "steps": {"foretold": 41, "taken": 40, "exact": True},
            "memory": {"foretold": 2e9, "taken": None},
        },
        "base": {
            "name": text,
            "license": text,
            "revision": text,
            "package": text,
            "files": [{"name": text, "sha256": text}],
        },
        "rights": {
            "used": [{"license": text, "source": text, "attribution": text, "rows": 72}],
            "more": 0,
            "terms": [text],
        },
        "keys": [{"key": text, "value": text, "file": text}],
    }


def text_row(text: str) -> dict[str, Any]:
    return {"id": text, "source": text, "text": text, "cut": False}


HOSTILE = [
    "<script>alert(1)</script>",
    "</style></pre></details></section><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --><![CDATA[ ]]>&lt;b&gt;&amp;",
    "a\u202eb\u2066c\u200b\x00\x1b[31m\x7f\x85\u2028\ud800\U000e0041",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    found = read(full(text))
    assert found.shape() == read(full()).shape()
    seen = re.sub(r"\s+", " ", shown.visible(text))
    assert found.text.count(seen) > 20


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(), min_size=1, max_size=40))
def test_any_text_stays_text(text: str) -> None:
    html = render(full(f"{text}?"))  # never a word that means something ("trained")
    html.encode()  # a lone surrogate could not be written
    assert Reader(html).shape() == read(full()).shape()


def test_hidden_characters_are_shown() -> None:
    html = render(full(HOSTILE[-1]))
    assert "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩␀␛[31m␡⟨U+0085⟩⟨U+2028⟩⟨U+D800⟩⟨U+E0041⟩" in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", html)
    assert shown.visible("می\u200cخواهم\tپنج\r\n👩\u200d🚀") == "می\u200cخواهم\tپنج\n👩\u200d🚀"


def test_offline_and_strict() -> None:
    found = read(full("https://example.org/x.png"))
    policy = next(a for t, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(found.script.encode()).digest()).decode()
    allowed = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
    assert str(policy["content"]) == allowed + "base-uri 'none'; form-action 'none'"
    assert [attrs for tag, attrs in found.tags if tag == "script"] == [
        {}
    ]  # the one, whatever the report holds
    for tag, attrs in found.tags:
        assert tag not in {"iframe", "object", "form", "img", "base"}
        for name, value in attrs.items():
            assert not name.startswith("on") and name not in {"src", "srcset", "xlink:href"}
            assert name != "href" or str(value).startswith(("#", "data:,"))
    assert not re.search(r"url\(|@import|@font-face", render(full()))
    assert not re.search(r"https?:|fetch|XMLHttp|import|eval|innerHTML|insertAdjacent|location", found.script)


def test_nothing_to_filter_no_script() -> None:
    found = read({**full(), "suites": []})
    policy = next(a for t, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "script-src" not in str(policy["content"]) and "script" not in dict(found.tags)


def test_structure() -> None:
    found = read(full())
    assert ("html", {"lang": "en"}) in found.tags
    assert [t for t, _ in found.tags].count("h1") == 1
    levels = [int(t[1]) for t, _ in found.tags if re.fullmatch("h[1-6]", t)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), "a heading is skipped"
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for name in ("href", "aria-labelledby"):
        aims = [str(a[name]).lstrip("#") for t, a in found.tags if name in a and t != "link"]
        assert aims and set(aims) <= set(ids)
    for tag, attrs in found.tags:
        if tag == "svg" and attrs.get("role") == "img":
            assert attrs.get("aria-label")


def test_same_report_same_page_and_left_alone() -> None:
    report = full()
    before = copy.deepcopy(report)
    assert render(report) == render(report)
    assert report == before


@pytest.mark.parametrize("empty", [None, {}, []])
@pytest.mark.parametrize("key", [k for k in full() if k not in ("report", "name", "exit")])
def test_any_part_may_be_missing(key: str, empty: Any) -> None:
    report = full()
    report[key] = empty
    assert "None" not in read(report).text
    del report[key]
    assert "None" not in read(report).text


def test_next_to_nothing() -> None:
    assert "nothing was judged" in read({"report": 1, "name": "x"}).text
    found = read({**full(), "training": None, "proof": None, "suites": [], "gates": [],
                  "adapter_proof": None, "exit": "no gates", "forecast": None})  # fmt: skip
    assert "The data is ready; nothing was judged." in found.text
    assert "Training" not in found.text and "Samples" not in found.text


def test_verdicts() -> None:
    report = full()
    assert "The one gate passed." in read(report).text
    report["gates"].append({**report["gates"][0], "verdict": "fail"})
    report["exit"] = "gate failed"
    assert "1 of 2 gates failed." in read(report).text
    report["gates"], report["exit"] = [], "no gates"
    assert "No gates were set" in read(report).text


def unsure(**more: Any) -> dict[str, Any]:
    return {
        "gate": "tool_use.right_call >= base + 0.9", "verdict": "inconclusive", "counts": "pass", "why": "too few",
        "value": 0.96, "threshold": 0.9, "against": "base", "low": 0.85, "high": 0.99, "n": 50, "needs": 1234,
        "mde": 0.123, **more,
    }  # fmt: skip


def test_an_inconclusive_gate_is_no_pass_in_words() -> None:
    report = full()
    report["gates"] = [unsure()]
    report["inconclusive"] = "estimate"
    text = read(report).text
    assert "The one gate is inconclusive." in text and "passed" not in text
    assert (
        "+85.0 to +99.0 against base" in text
        and "50 prompts, which see 12.3 points; would need 1,234." in text
    )
    assert "The recipe lets such gates count by the number alone." in text
    report["gates"].append({**report["gates"][0], "verdict": "pass"})
    assert "No gate failed, 1 of 2 is inconclusive." in read(report).text
    report["gates"].append({**report["gates"][0], "verdict": "fail", "counts": "fail"})
    report["exit"] = "gate failed"
    assert "1 of 3 gates failed." in read(report).text


def test_any_number_of_arms() -> None:
    report = full()
    one = report["suites"][0]["metrics"][0]
    arms = {"base": one["base"], "prompted": cell(0.41, 0.3, 0.5), "tuned": one["tuned"]}
    worse = {
        "value": -0.2,
        "low": -0.3,
        "high": -0.1,
        "p": 0.001,
        "mde": 0.15,
        "missing": 3,
        "limits": [-0.26, -0.14],
    }
    one |= {"arms": arms, "differences": {"base": one["difference"], "prompted": worse}}
    report["suites"][0]["samples"][0]["answers"]["prompted"] = "Aye, says the prompted one."
    found = read(report)
    assert "prompted41.0% 30.0% to 50.0% · n = 50" in found.text
    assert "−20.0 points against prompted −30.0 to −10.0 worse p = 0.001 sees 15.0 points" in found.text
    assert "· 3 missing: −26.0 to −14.0 were they all the worst, or the best" in found.text
    assert found.text.count("prompted answers") == 1 and "Aye, says the prompted one." in found.text


def test_one_arm_alone_is_shown_alone() -> None:
    report = full()
    suite, one = report["suites"][0], cell(0.41, 0.3, 0.5) | {"missing": 3, "limits": [0.38, 0.44]}
    none = dict.fromkeys(("value", "low", "high")) | {"n": 0}
    row = metric("tool_use.right_call") | {
        "arms": {"base": one}, "differences": {}, "base": one, "tuned": one, "difference": none,
    }  # fmt: skip
    suite |= {
        "metrics": [row],
        "failed": {"base": 3},
        "lm_eval_engine": {"base": "vLLM 9", "tuned": "vLLM 9"},
    }
    text = read(report).text
    assert text.count("lm-eval's tasks ran on vLLM 9.") == 1
    assert "base 41.0%" in text and "→" not in text and "tuned41.0%" not in text and "tuned 41.0%" not in text
    assert "tuned answers" not in text
    assert "· 3 missing: 38.0% to 44.0% were they all the least, or the most" in text
    assert "Not answered: 3 of base. They count as missing" in text


def test_best_and_worst_first() -> None:
    report = full()
    suite = report["suites"][0]
    suite["samples"] = [sample(f"number-{i:03d};") for i in range(60)]
    suite["best"] = [f"number-{i:03d};" for i in range(30, 40)]
    suite["worst"] = [f"number-{i:03d};" for i in range(9, -1, -1)]
    text = read(report).text.split("Samples, side by side")[1]
    places = [text.index(t) for t in ("The 10 that went best", "number-030;", "number-039;", "The 10 that went worst",
                                      "number-009;", "number-000;", "The others", "40 more samples", "number-010;")]  # fmt: skip
    assert places == sorted(places)
    assert all(text.count(f"number-{i:03d}; number-{i:03d};") <= 1 for i in range(60))
    assert all(f"number-{i:03d};" in text for i in range(60))


def test_right_and_wrong_in_words() -> None:
    report = full()
    report["suites"][0]["name"] = "tool-use"
    # A task's metric that ends alike is another one.
    report["suites"][0]["metrics"].insert(0, metric("tool_use.task.right_call", "nats"))
    text = read(report).text
    assert "✕" not in text and "base wrong" in text and "tuned right" in text
    report["suites"][0]["metrics"][1]["better"] = "lower"
    text = read(report).text
    assert "base right" in text and "tuned wrong" in text


@pytest.mark.parametrize(
    ("better", "difference", "word"),
    [
        ("higher", {"value": 0.2, "low": 0.1, "high": 0.3, "p": 0.01}, "better"),
        ("lower", {"value": 0.2, "low": 0.1, "high": 0.3, "p": None}, "worse"),
        ("lower", {"value": -0.2, "low": -0.3, "high": -0.1, "p": None}, "better"),
        ("higher", {"value": 0.1, "low": -0.1, "high": 0.3, "p": 0.2}, "no clear difference"),
        ("higher", {"value": 0.2, "low": 0.01, "high": 0.3, "p": 0.06}, "no clear difference"),
        (None, {"value": 0.2, "low": 0.1, "high": 0.3, "p": 0.01}, "differs"),
    ],
)
def test_difference_words(better: str | None, difference: dict[str, Any], word: str) -> None:
    report = full()
    report["suites"][0]["metrics"] = [
        {**metric("tool_use.right_call", "share", better), "difference": difference}
    ]
    html = render(report)
    assert re.search(rf'class="delta".*?class="tag \w+">{word}<', html, re.S)


def test_every_sample_is_there_however_many() -> None:
    report = full()
    report["suites"][0]["samples"] = [sample(f"number-{i:03d};") for i in range(60)]
    found = read(report)
    assert all(f"number-{i:03d};" in found.text for i in range(60))
    assert "50 more samples" in found.text
    assert sum("open" in attrs for tag, attrs in found.tags if attrs.get("class") == "sample") == 1


def test_a_page_keeps_light_whatever_the_report_holds() -> None:
    """Of a run with long answers to many hundreds of prompts: best and worst are there, the rest is counted."""
    report, long = full(), "A long answer. " * 2000
    suite = report["suites"][0]
    suite["samples"] = [sample(f"prompt-{i:04d};") for i in range(600)]
    for one in suite["samples"]:
        one["answers"] = {"base": long, "tuned": long}
    suite["best"], suite["worst"] = ["prompt-0599;"], ["prompt-0598;"]
    suite["metrics"] *= 500
    report["suites"].append({**suite, "name": "another"})
    report["flow"]["lost"] *= 300
    report["rows"]["by_reason"] *= 3000
    report["keys"] *= 3000
    report["recipe_yaml"] = "key: value\n" * 100_000
    report["training"]["steps"] = [
        {"step": i, "loss": 1 + i % 7, "learning_rate": 1e-3} for i in range(10_000)
    ]
    html = render(report)
    assert len(html.encode()) < 2_000_000
    text = re.sub(r"\s+", " ", Reader(html).text)
    assert "prompt-0599;" in text and "prompt-0598;" in text and "26,000 characters more" in text
    left_out = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) more samples are left out", text)]
    assert sum(left_out) + html.count('class="sample"') == 1200
    assert "more metrics stand in report.json" in text and "2,500 more stand in report.json" in text


def test_pairs_mark_what_only_one_text_has() -> None:
    left, right = pairs.marked("the old pier lies by the river", "the new pier lies by the wide river")
    assert "".join(p.text for p in left) == "the old pier lies by the river"
    assert "".join(p.text for p in right) == "the new pier lies by the wide river"
    assert [p.text for p in left if p.own] == ["old"]
    assert [p.text.strip() for p in right if p.own] == ["new", "wide"]
    assert pairs.marked("same", "same") == ([(False, "same")], [(False, "same")])


@given(st.text(max_size=60), st.text(max_size=60))
def test_marked_texts_stay_whole(one: str, other: str) -> None:
    left, right = pairs.marked(one, other)
    assert ("".join(p.text for p in left), "".join(p.text for p in right)) == (one, other)


def test_the_river_is_as_wide_as_its_rows() -> None:
    lines = levels(full()["flow"])
    assert [(x.name, sum(x.kept), sum(x.ended)) for x in lines] == [
        ("source", 100, 0),
        ("filter", 72, 28),
        ("split", 70, 2),
    ]
    drawn = river(full()["flow"])
    wide = [float(w) for w in re.findall(r'<rect class="s1" x="[\d.]+" y="\d+" width="([\d.]+)"', drawn)]
    assert wide[1] / wide[0] == pytest.approx(0.72, abs=0.01) and wide[2] / wide[0] == pytest.approx(
        0.70, abs=0.01
    )
    assert river({"sources": [], "lost": [], "used": []}) == ""
    assert "100 rows read" in drawn and "72 left" in drawn and "70 trained on, 7,900 tokens" in drawn


def test_the_limit_is_drawn_in_its_place() -> None:
    drawn = charts.histogram([0, 10, 20], [1, 2, 3], x="", y="", label="", limit=15, name="limit 15")
    assert 'class="limit" x1="50.00%"' in drawn and "limit 15<" in drawn
    beyond = charts.histogram([0, 10, 20], [1, 2, 3], x="", y="", label="", limit=99, name="limit 99")
    assert 'class="limit" x1="100.00%"' in beyond and "limit 99 →" in beyond


def test_what_a_tool_judge_saw_is_counted() -> None:
    def scored(**scores: float) -> dict[str, Any]:
        return {"scores": {name: {"base": 0.0, "tuned": value} for name, value in scores.items()}}

    samples = [
        scored(valid_call=1, right_call=1),
        scored(valid_call=1, right_call=0),
        scored(valid_call=0, right_call=0),
    ]
    samples += [scored(no_call=1), scored(no_call=0), scored(no_call=0)]
    wanted, none = judged.confusion({"samples": samples}, ["base", "tuned"])
    assert wanted["rows"][1]["counts"] == {"right": 1, "other": 1, "none": 1}
    assert wanted["rows"][0]["counts"] == {"right": 0, "other": 0, "none": 3}
    assert none["rows"][1] == {"arm": "tuned", "counts": {"words": 1, "called": 2}, "n": 3}


def test_forecast_and_fact() -> None:
    text = read(full()).text
    assert "Steps4140+2.5%" in text and "Memory at its peak1.9 GiBnot measured–" in text


def test_what_to_do_next() -> None:
    report = full()
    assert "recipe chat hello" in read(report).text
    report["gates"] = [{**report["gates"][0], "verdict": "fail"}, unsure()]
    text = read(report).text
    assert "Read what went wrong: the prompts that went worst stand first." in text
    assert "tool_use.right_call is not decided: about 1,234 prompts would tell." in text
    data = read({"report": 1, "name": "x", "rows": {"in": 1}})
    assert "give the recipe a model" in data.text and "recipe chat" not in data.text


def test_odd_numbers() -> None:
    report = full()
    bad = float("nan")
    report["training"]["steps"][3]["loss"] = bad
    report["training"]["steps"][4]["loss"] = None
    one = report["suites"][0]["metrics"][0]
    one["tuned"], one["base"], one["difference"] = None, cell(1, None, None, 1), None
    report["suites"][0]["metrics"][1]["tuned"] = cell(bad, float("inf"), bad, 3)
    text = render(report)
    assert not re.search(r"\b(nan|inf)\b", Reader(text).text)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)


def test_contrast_in_both_themes() -> None:
    style = render(full()).split("<style>")[1].split("</style>")[0]
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    assert len(blocks) == 3  # light, dark, and what print changes of light
    on_paper = dict(re.findall(r"--(\w+): (#\w+)", blocks[2]))
    assert (on_paper["page"], on_paper["ink"], on_paper["card"]) == ("#fff", "#000", "#fff")
    for block in blocks[:2]:
        colours = dict(re.findall(r"--(\w+): #(\w{6})", block))
        for ground in ("page", "card"):
            for ink in ("ink", "soft", "tuned", "base", "good", "bad", "valid"):
                assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def _contrast(one: str, two: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(one), light(two)))
    return (high + 0.05) / (low + 0.05)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_cover(low: float, span: float) -> None:
    high = low + span
    marks = charts.ticks(low, high)
    assert 2 <= len(marks) <= 8
    slack = 1e-6 * max(abs(low), abs(high), span)
    assert marks[0] <= low + slack and marks[-1] >= high - slack


def test_curves_keep_what_matters() -> None:
    line = [(float(i), float(i)) for i in range(5000)]
    assert [y for _, y in charts.smooth(line, 50)] == pytest.approx([y for _, y in line])
    spiked = [(x, 9e9 if x == 1234 else 1.0) for x, _ in line]
    assert (1234.0, 9e9) in charts.thin(spiked) and len(charts.thin(spiked)) <= 801
    assert charts.curves([charts.Series("train")], x="x", y="y", label="") == ""
    assert "circle" in charts.curves([charts.Series("a", [(1, 2)])], x="", y="", label="")
    assert charts.histogram([0, 1], [0], x="x", y="y", label="") == ""


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (shown.count(4884480), "4,884,480"),
        (shown.number(0), "0"),
        (shown.number(0.0002), "2e−4"),
        (shown.number(-1.234), "−1.23"),
        (shown.number(12345.6), "12,346"),
        (shown.number(9.999e-4), "1e−3"),
        (shown.number(5e-310), "5e−310"),
        (shown.measure(3.3, "nats"), "3.30"),
        (shown.measure(0.95, "share"), "95.0%"),
        (shown.change(0.9, "share"), "+90.0"),
        (shown.change(-0.02, "number"), "−0.0200"),
        (shown.change(0.0, "share"), "0"),
        (shown.chance(1e-9), "p < 0.0001"),
        (shown.chance(0.0312), "p = 0.031"),
        (shown.size(19_000_000), "19.0 MB"),
        (shown.size(1), "1 byte"),
        (shown.size(999), "999 bytes"),
        (shown.size(999_940), "999.9 kB"),
        (shown.size(999_960), "1.0 MB"),
        (shown.size(5e15), "5,000.0 TB"),
        (shown.size(19_400_000, about=True), "19 MB"),
        (shown.size(1_940_000, about=True), "1.9 MB"),
        (shown.size(9_960_000, about=True), "10 MB"),
        (shown.size(None), "–"),
        (shown.memory(1023), "1,023 bytes"),
        (shown.memory((1 << 30) - 1), "1.0 GiB"),
        (shown.memory(23.5 * (1 << 30)), "23.5 GiB"),
        (shown.duration(0.84), "0.8 s"),
        (shown.duration(9.96), "10 s"),
        (shown.duration(59.7), "1 min 0 s"),
        (shown.duration(281), "4 min 41 s"),
        (shown.duration(12_000), "3 h 20 min"),
        (shown.duration(89, about=True), "89 s"),
        (shown.duration(281, about=True), "5 min"),
        (shown.duration(12_000, about=True), "3.3 h"),
        (shown.cut("four", 4), "four"),
        (shown.cut("fives", 4), "fiv…"),
        (shown.one_line(" a\n b ", 3), "a b"),
        (shown.part(1, 0), "–"),
        (shown.share(None), "–"),
        (shown.number(True), "–"),
        (shown.spread(cell(1, None, None), "share"), ""),
    ],
)
def test_numbers(got: str, want: str) -> None:
    assert got == want
