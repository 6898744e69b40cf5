"""What the page shows of the answers: each with its marks, in groups, and no more than the page can hold. Pure."""

from __future__ import annotations

import json
from typing import Any

from runner import shown
from runner.shown import finite

ARMS = ("base", "tuned")
LONGEST = 4000
"""Characters of one text that are shown."""
ROOM = 1_000_000
"""Characters of all samples together, markup included: so the whole page keeps well under 2 MB."""
_MARKUP = 1_800
"""What the markup of a sample takes, about."""
VERDICTS = {
    "better": "tuned did better",
    "worse": "tuned did worse",
    "right": "all right",
    "wrong": "all wrong",
    "alike": "alike, neither all right nor all wrong",
    "unmarked": "not marked right or wrong",
}


def of(suite: dict[str, Any], metrics: list[dict[str, Any]], arms: list[str], room: int) -> dict[str, Any]:
    """A suite's samples, marked and grouped, as many as there is `room` for; how many are left out; room taken."""
    found = suite.get("samples") or []
    first = {str(i) for key in ("best", "worst") for i in suite.get(key) or []}
    order = [s for s in found if str(s.get("id")) in first] + [
        s for s in found if str(s.get("id")) not in first
    ]
    fits, taken = [], 0
    for one in order:
        cut = _cut(one)
        size = len(json.dumps(cut, ensure_ascii=False, default=str)) * 5 // 4 + _MARKUP
        if taken + size > room:
            break
        fits.append(cut)
        taken += size
    places = {id(s): n for n, s in enumerate(found)}
    kept = sorted(zip(order, fits, strict=False), key=lambda pair: places[id(pair[0])])
    samples = [_sample(s, metrics, arms, str(suite.get("name") or "")) for _, s in kept]
    return {
        "samples": samples,
        "groups": groups(suite, samples),
        "left_out": len(found) - len(samples),
        "taken": taken,
        "verdicts": {
            key: word for key, word in VERDICTS.items() if any(s["verdict"] == key for s in samples)
        },
    }


def _cut(value: Any) -> Any:
    """A sample with its long texts cut, which is said."""
    if isinstance(value, str):
        more = len(value) - LONGEST
        return value if more <= 0 else f"{value[:LONGEST]}… ({more:,} characters more)"
    if isinstance(value, dict):
        return {key: _cut(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_cut(v) for v in value]
    return value


def _sample(
    one: dict[str, Any], metrics: list[dict[str, Any]], arms: list[str], suite: str
) -> dict[str, Any]:
    marks = {a: _marks(one, a, metrics, suite) for a in arms}
    prompt = one.get("prompt") or []
    prompt = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    asked = [m.get("content") for m in prompt if m.get("role") == "user"]
    return {
        **one,
        "answers": one.get("answers") or {},
        "prompt": prompt,
        "title": words(asked[-1]) if asked else "",
        "marks": marks,
        "tallies": {a: _tally(marks[a]) for a in arms},
        "verdict": _verdict(marks, arms),
    }


def groups(suite: dict[str, Any], samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The samples as they are shown: the best and the worst prompts, then the others, folded where they are many."""
    by_id = {str(s.get("id")): s for s in samples}
    best, worst = ([by_id[i] for i in suite.get(key) or [] if i in by_id] for key in ("best", "worst"))
    if not best:
        cut = 10 if len(samples) > 12 else len(samples)
        return [{"title": "All", "open": samples[:cut], "more": samples[cut:]}]
    listed = {id(s) for s in [*best, *worst]}
    found = [{"title": f"The {_many(best)} that went best", "open": best, "more": []}]
    if worst:
        found.append({"title": f"The {_many(worst)} that went worst", "open": worst, "more": []})
    rest = [s for s in samples if id(s) not in listed]
    return [*found, {"title": "The others", "open": [], "more": rest}] if rest else found


def _many(samples: list[dict[str, Any]]) -> str:
    return "one" if len(samples) == 1 else str(len(samples))


def _marks(
    sample: dict[str, Any], side: str, metrics: list[dict[str, Any]], suite: str
) -> list[dict[str, Any]]:
    """Each score of one answer: its word (right, wrong or the number), its style, its reason."""
    found = []
    for name, scores in (sample.get("scores") or {}).items():
        value = finite((scores or {}).get(side))
        full = f"{suite.replace('-', '_')}.{name}"
        metric = next((m for m in metrics if m["metric"] == full), {})
        word, style = shown.measure(value, metric.get("unit", "")), "plain"
        if value is None:
            word = "not scored"
        elif value in (0, 1) and metric.get("unit") == "share" and metric.get("better"):
            right = (value == 1) == (metric["better"] == "higher")
            word, style = ("right", "good") if right else ("wrong", "bad")
        why = ((sample.get("reasons") or {}).get(name) or {}).get(side) or ""
        found.append({"name": name, "word": word, "style": style, "why": why})
    return found


def _tally(marks: list[dict[str, str]]) -> dict[str, str]:
    """One answer's marks in a word or two, for the line that stays when the sample is folded."""
    sure = [m for m in marks if m["style"] != "plain"]
    right = sum(m["style"] == "good" for m in sure)
    if not sure:
        return {"word": marks[0]["word"] if marks else "not scored", "style": "plain"}
    style = "good" if right == len(sure) else "plain" if right else "bad"
    word = sure[0]["word"] if len(sure) == 1 else f"{right} of {len(sure)} right"
    return {"word": word, "style": style}


def _verdict(marks: dict[str, list[dict[str, str]]], arms: list[str]) -> str:
    """What a sample is found by: how the last arm did beside the first."""
    shares = []
    for arm in (arms[0], arms[-1]) if arms else ():
        sure = [m["style"] == "good" for m in marks[arm] if m["style"] != "plain"]
        shares.append(sum(sure) / len(sure) if sure else None)
    first, last = shares if shares else (None, None)
    if first is None or last is None:
        return "unmarked"
    if first != last:
        return "better" if last > first else "worse"
    return {1.0: "right", 0.0: "wrong"}.get(last, "alike")


def words(value: Any) -> str:
    """Text as it is, anything else as JSON; lists of words and of content parts by their texts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(p, dict) and "text" in p for p in value):
        return "\n".join(str(part["text"]) for part in value)
    if isinstance(value, list) and all(isinstance(p, str) for p in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)
