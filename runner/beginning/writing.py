"""A new recipe, and the suite of its held-out texts, as YAML: what matters, each part with a line of explanation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from runner.beginning.choices import ABOUT, GATES
from runner.beginning.wishes import Wishes

STEPS = 150
"""Of a first training on a CPU: some minutes on two cores."""
TALKS = 300
"""Conversations that are drawn from a tool set."""
_PLAIN = re.compile(r"[A-Za-z_][\w./*-]*(?: [A-Za-z0-9_][\w./*-]*)*", re.ASCII)
_WORDS = frozenset("true false null yes no on off y n".split())


class Source(Struct, frozen=True):
    """One source as the recipe says it: plug-in with options on one line, the name, and what is said of it."""

    plugin: str
    options: str
    name: str
    about: str
    limit: int | None = None
    system: bool = True
    passages: bool = False


class Parts(Struct, frozen=True, kw_only=True):
    """All that goes into a recipe, decided."""

    wishes: Wishes
    about: str
    """The base model, in a line."""
    cpu: bool
    micro_batch: int
    """Records that a step of the base's training takes at once."""
    modeline: str
    sources: Sequence[Source]
    suites: Sequence[str]
    held: str
    """The name of the suite of held-out texts; empty where there is none."""
    voice: str
    """The name of the suite that hears the user's voice; empty where there is none."""
    network: bool
    rows: int | None
    """About how many records there are to learn from; None where that is not known before they are fetched."""


def scalar(text: str) -> str:
    """A text as YAML says it in a map in braces, too."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and len(text) <= 90:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(scalar, texts))}]"


def beside(lines: Sequence[tuple[str, str]], most: int = 40) -> list[str]:
    """Lines with their comments in a column, but for lines that are too long for that."""
    width = max((len(line) for line, about in lines if about and len(line) <= most), default=0)
    return [f"{line:<{width}}   # {about}" if about else line for line, about in lines]


def recipe(parts: Parts) -> str:
    """The recipe's text."""
    w = parts.wishes
    lines = [
        ("recipe: 1", ""),
        (f"name: {scalar(w.name)}", f"its results go to runs/{w.name}"),
        (f"extends: {scalar(w.base)}", parts.about),
        ("seed: 17", "every choice that is left to chance"),
    ]
    head = [
        f"# yaml-language-server: $schema={parts.modeline}",
        "# `recipe list sources|filters|judges|suites|models` says what else there is; an editor knows every key.",
        *beside(lines),
    ]
    out = ["\n".join(head), _sources(parts), _data(parts), _train(parts), _evaluate(parts)]
    return "\n\n".join(out) + "\n"


def _sources(parts: Parts) -> str:
    lines = ["# What the model learns from. Each row keeps where it is from, and its licence."]
    lines += ["sources:"]
    for s in parts.sources:
        lines += [f"  - {s.plugin}: {s.options}{f'   # {s.about}' if s.about else ''}", f"    name: {s.name}"]
        if s.limit:
            lines.append(f"    limit: {s.limit}   # the rows after these are held out to judge by")
        if s.passages or (s.system and parts.wishes.system):
            lines.append("    chat:")
        if s.passages:
            lines.append(
                "      passages: {words: [60, 160], prompt: instruct}   # pieces, each asked for by its topic"
            )
        if s.system and parts.wishes.system:
            lines.append(f"      system: {scalar(parts.wishes.system)}")
        if parts.wishes.license:
            lines.append(f"    license: {scalar(parts.wishes.license)}")
    if not parts.wishes.license:
        lines.append("    # license: CC0-1.0   # of rows that name none: say it, and the model card will")
    return "\n".join(lines)


def _data(parts: Parts) -> str:
    names = [s.name for s in parts.sources]
    lines = [
        "# What is thrown away; `recipe show RECIPE drops` says of each row why.",
        "filters:",
        "  - words: {min: 3, max: 1200}",
    ]
    if parts.network or any(s.plugin in ("reddit", "files") for s in parts.sources):
        lines.append("  - pii: {action: redact}   # e-mail addresses, telephone numbers and the like")
    lines += [
        "dedup: {exact: true, near: {jaccard: 0.8}}   # of texts that are nearly alike one stays",
    ]
    if len(names) > 1:
        weights = ", ".join(
            f"{name}: {share:g}" for name, share in zip(names, _equal(len(names)), strict=True)
        )
        lines.append(
            f"mix: {{weights: {{{weights}}}, unit: tokens, repeat_at_most: 3}}   # shares, as you like; they sum to 1"
        )
    lines.append("split: {validation: 0.05, group: record}   # watched while training, never trained on")
    if parts.network:
        lines.append('fail_if: {rejected: ">20%"}   # stop where more than this could not be had or read')
    return "\n".join(lines)


def _equal(many: int) -> list[float]:
    """Shares of two digits that sum to 1."""
    share = round(1 / many, 2)
    return [share] * (many - 1) + [round(1 - share * (many - 1), 2)]


def _train(parts: Parts) -> str:
    if not parts.cpu:
        lines = [
            "# How it is trained is the base's; `train:` would change it, and `recipe plan` says what it takes."
        ]
    else:
        rate, why = _rate(parts.sources)
        said = f"learning_rate: {rate}" if rate else ""
        if parts.rows is not None and parts.rows < STEPS * parts.micro_batch:
            epochs = min(4, max(1, STEPS // max(parts.rows, 1)))
            often = "once" if epochs == 1 else f"{epochs} times, since they are few"
            lines = [f"# Minutes on a CPU: each record is read {often}."]
            long = f"epochs: {epochs}"
        else:
            lines = ["# A first look, in minutes on a CPU. Take max_steps out to train on all of it."]
            long = f"max_steps: {STEPS}"
        lines.append(f"train: {{{', '.join(filter(None, [long, said]))}}}{why}")
    lines.append(f"compute: {{profile: {parts.wishes.profile}}}   # cpu, gpu, or auto: what is there")
    return "\n".join(lines)


def _rate(sources: Sequence[Source]) -> tuple[str, str]:
    """The learning rate of a small model: calls want the base's own, a high one, at which books cost it knowledge."""
    books = [s.passages for s in sources]
    if not any(books):
        return "", ""
    return (
        ("3e-4", "   # gently: books at the base's 2e-3 cost it facts")
        if all(books)
        else ("1e-3", "   # between what books want, 3e-4, and calls, 2e-3")
    )


def _evaluate(parts: Parts) -> str:
    own = {
        parts.held: ("loss on the texts that are held out", "texts.nats < base"),
        parts.voice: ("does it sound like your answers, or like anybody's?", "persona > base"),
    }
    own = {name: both for name, both in own.items() if name}
    suites = [*own, *parts.suites]
    lines = ["# How it is judged: base beside tuned model, on what training never saw.", "evaluate:"]
    if parts.wishes.system:
        lines.append(f"  system: {scalar(parts.wishes.system)}")
    lines.append("  suites:")
    told = ABOUT | {name: about for name, (about, _) in own.items()}
    lines += beside([(f"    - {name}", told.get(name, "")) for name in suites], 80)
    gates = [f"{name.replace('-', '_')}.{gate}" for name, (_, gate) in own.items()]
    gates += [GATES[name] for name in parts.suites if name in GATES]
    if gates:
        lines.append("  gates:   # what has to hold; the exit code says whether it does")
        lines += [f"    - {gate}" for gate in gates]
        lines.append(
            "  inconclusive: estimate   # few prompts cannot tell for sure; the report says which can"
        )
    return "\n".join(lines)


def suite(name: str, of: str, texts: Sequence[str], words: tuple[int, int], modeline: str) -> str:
    """The suite that measures the loss on held-out texts."""
    return (
        f"# yaml-language-server: $schema={modeline}\n"
        "suite: 1\n"
        f"name: {name}\n"
        f"description: How well the model foresees texts like those of {of} that training never saw. Lower is better.\n"
        "perplexity:\n"
        f"  texts: {{texts: {listed(texts)}}}\n"
        f"  words: [{words[0]}, {words[1]}]   # of a passage\n"
    )
