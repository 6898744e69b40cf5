"""What `recipe show` says of a run's rows, for people."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

_LINE = 300


def drops(rows: list[dict[str, Any]]) -> str:
    """A line for each reason: how many, of which source, by what, why, and a few of them."""
    if not rows:
        return "no row was dropped"
    lines = []
    for row in rows:
        share = 100 * row["rows"] / row["of"]
        ids = ", ".join(row["ids"]) + (", …" if row["rows"] > len(row["ids"]) else "")
        lines.append(
            f"{row['rows']:>9,}  {share:5.1f}% of {row['source']}  {row['by']}: {row['reason']}  ({ids})"
        )
    return "\n".join(lines)


def row(found: dict[str, Any]) -> str:
    """A row's way, what filters changed in it, and what it says now."""
    fate = found["row"]
    about = [v for v in (fate.get("license"), fate.get("attribution")) if v]
    lines = [f"{fate['id']}  source {fate['source']}" + (f"  ({'; '.join(about)})" if about else "")]
    width = max(len(step["step"]) for step in found["way"])
    lines += [f"  {step['step']:<{width}}  {step['what']}" for step in found["way"]]
    if found.get("instead_of"):
        others = ", ".join(f"{x['id']} ({x['similarity']:.3f})" for x in found["instead_of"])
        lines.append(f"  stays for {others}")
    if found["record"]:
        lines.append("")
        whole = [m for one in found.get("parts", [found["record"]]) for m in one["messages"]]
        lines += _messages(found["before"], {"messages": whole})
    elif found.get("raw"):
        lines += ["", *(f"  {line[:_LINE]}" for line in found["raw"].splitlines()[:20])]
    return "\n".join(lines)


def _messages(before: dict[str, Any] | None, after: dict[str, Any]) -> list[str]:
    now = [line for m in after["messages"] for line in _said(m)]
    if before is None:
        return [f"  {line}" for line in now]
    then = [line for m in before["messages"] for line in _said(m)]
    return [f"  {line.rstrip()}" for line in difflib.ndiff(then, now) if not line.startswith("?")]


def _said(message: dict[str, Any]) -> list[str]:
    texts = [message.get("content") or ""]
    texts += [f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls", ())]
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    return [f"{message['role'] if not n else '':<9} {line}" for n, line in enumerate(lines)]


def render(found: dict[str, Any], mark: Callable[[str], str] = "⟦{}⟧".format) -> str:
    """A record as the model sees it; `mark` shows a text that is trained."""
    lines = []
    for part in found["parts"]:
        if "error" in part:
            lines.append(f"{part['id']}  cannot be rendered: {part['error']}")
            continue
        lines.append(f"{part['id']}  {part['tokens']} tokens, {part['trained_tokens']} of them trained")
        text, at, out = part["text"], 0, ""
        for begin, end in part["trained"]:
            out += text[at:begin] + "\n".join(
                mark(line) if line else "" for line in text[begin:end].split("\n")
            )
            at = end
        lines += [out + text[at:], ""]
    fate = found["row"]
    if fate["fate"] == "dropped":
        lines.append(f"dropped by {fate['by']}: {fate['reason']}")
    return "\n".join(lines).rstrip("\n")


def near(found: dict[str, Any]) -> str:
    """The group of a row and the rows most like it."""
    fate = found["row"]
    lines = [fate["id"]]
    if found["kept"] != fate["id"]:
        lines.append(f"  dropped for {found['kept']}")
    lines += [f"  {x['similarity']:.3f}  {x['id']}  went for {found['kept']}" for x in found["group"]]
    if not found["group"] and found["kept"] == fate["id"]:
        lines.append("  no other row was dropped for it")
    lines.append(
        "most like it, of all sources:" if found["nearest"] else "no other row shares a word sequence with it"
    )
    lines += [f"  {x['similarity']:.3f}  {x['id']}" for x in found["nearest"]]
    return "\n".join(lines)
