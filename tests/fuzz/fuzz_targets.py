"""What is fuzzed: one function a kind of input, which raises `Found` (or whatever slipped through) for a defect.

Bytes in, nothing out. Each checks that what is wrong is refused with the right class of error, in words that fit a
terminal, within a bounded time; and what can be said besides (rows that can be written, the same calls however the
answer is cut).
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from runner import contract, errors
from runner.calls import MARKS, Form, parse_answer
from runner.fetching import InputFile
from runner.jobs.said import Answer
from runner.licences import licences, terms
from runner.load import load_recipe
from runner.plan import plan
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext
from runner.sources.files import files
from runner.sources.jsonl import jsonl
from runner.sources.reddit import reddit
from runner.unset import of_recipe
from runner.workspace import Workspace

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLES = ROOT / "tests" / "examples"
CORPUS = HERE / "corpus"
SLOW = 2.0
"""CPU seconds that no input may take."""
MARKED = (*MARKS.values(), "<tool_call>", "</tool_call>")
FORMS: tuple[Form, ...] = ("hermes", "mistral", "granite", "llama")


class Found(AssertionError):
    """A defect that is no exception."""


@cache
def scratch() -> Path:
    """A workspace for this process, with the files that shipped recipes and examples name."""
    import atexit

    root = Path(tempfile.mkdtemp(prefix="mirepoix-fuzz-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    shutil.copytree(EXAMPLES / "data", root / "data")
    shutil.copytree(EXAMPLES / "valid", root / "recipes")
    for path in [*(ROOT / "recipes").glob("*.yaml"), *(EXAMPLES / "invalid").glob("*.yaml")]:
        (root / "recipes" / path.name).write_bytes(path.read_bytes())
    for name in (
        "data_sources/reddit-theonion/a.csv",
        "held-out/same-author/a.txt",
        "held-out/other-author/a.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("title\nA river is a river.\n")
    return root


@contextmanager
def quick(what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    if (took := time.process_time() - began) > SLOW:
        raise Found(f"{what}: {took:.1f} s of CPU")


def recipe(raw: bytes) -> None:
    """`recipe check` and `recipe plan`, as functions."""
    place = Workspace(scratch())
    path = scratch() / "recipes" / "fuzzed.yaml"
    path.write_bytes(raw)
    with quick("recipe"):
        try:
            loaded = load_recipe(path, place)
        except errors.MirepoixError as e:
            _refused(e, raw, (2, 4))
            return
        try:
            json.dumps([terms(licences(loaded.recipe, place)), [u.what for u in of_recipe(loaded)]])
            plan(loaded, place, "cpu")
        except errors.MirepoixError as e:
            _refused(e, raw, (2, 3, 4))


def _refused(e: errors.MirepoixError, raw: bytes, codes: tuple[int, ...]) -> None:
    if e.exit_code not in codes:
        raise Found(f"exit code {e.exit_code}: {e}")
    lines = len(raw.decode("utf-8", "replace").splitlines()) + 1
    for problem in e.problems if isinstance(e, errors.RecipeError) else ():
        if problem.file.endswith("fuzzed.yaml") and not 0 <= problem.line <= lines:
            raise Found(f"line {problem.line} of {lines}: {problem}")
        if len(str(problem)) > 2000:
            raise Found(f"{len(str(problem))} characters: {str(problem)[:200]}")
    if not str(e).strip():
        raise Found(f"no words: {e!r}")
    errors.safe(str(e)).encode("utf-8")


def _context(name: str, raw: bytes) -> SourceContext:
    path = scratch() / name
    path.write_bytes(raw)
    file = InputFile(name, path, hashlib.sha256(raw).hexdigest())
    return SourceContext("s", 7, {"files": (file,)}, "")


def _rows(what: str, made: Iterator[Record | Document | Rejected]) -> list[Record | Document | Rejected]:
    with quick(what):
        found = []
        for row in made:
            msgspec.json.encode(row)
            if isinstance(row, Record):
                contract.broken(row)
            elif isinstance(row, Rejected) and not (row.reason and len(row.reason) < 2000):
                raise Found(f"{what}: reason {row.reason[:100]!r}")
            found.append(row)
    ids = [
        row.id if isinstance(row, Rejected) else row.meta["id"]
        for row in found
        if not isinstance(row, Document)
    ]
    if len(ids) != len(set(ids)):
        raise Found(f"{what}: ids twice")
    return found


def record(raw: bytes) -> None:
    """JSON Lines, by the source that guesses nothing and by the one that knows other chat formats; and JSON."""
    _rows("jsonl", jsonl(_context("f.jsonl", raw), files=["f.jsonl"]))
    _rows("files, jsonl", files(_context("g.jsonl", raw), files=["g.jsonl"]))
    _rows("files, json", files(_context("g.json", raw), files=["g.json"]))


def csv(raw: bytes) -> None:
    """Tables, as rows and as posts."""
    _rows("files, csv", files(_context("f.csv", raw), files=["f.csv"]))
    _rows("files, tsv", files(_context("f.tsv", raw), files=["f.tsv"]))
    _rows("reddit", reddit(_context("r.csv", raw), files=["r.csv"]))


def html(raw: bytes) -> None:
    """A web page as a file, and the links of one."""
    from runner.webtext.links import links

    _rows("files, html", files(_context("f.html", raw), files=["f.html"]))
    with quick("links"):
        links(raw, "https://example.org/a/b")


def call(raw: bytes) -> None:
    """An answer with tool calls in all four forms: read as a whole, and as it comes piece by piece."""
    text = raw.decode("utf-8", "replace")
    for form in FORMS:
        with quick(form):
            message, why = parse_answer(text, form)
        if (message is None) == (why is None) or (why is not None and not 0 < len(why) < 2000):
            raise Found(f"{form}: {message!r}, {why!r}")
        if message is not None:
            msgspec.json.encode(message)
            for made in message.tool_calls:
                if not isinstance(json.loads(made.function.arguments), dict) or not made.function.name:
                    raise Found(f"{form}: {made}")
        _streamed(text, form)


def _streamed(text: str, form: Form) -> None:
    """What a client gets piece by piece is what it would have got at once."""
    draw = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    answer, sent, at = Answer(form), "", 0
    with quick(f"{form}, streamed"):
        while at < len(text):
            step = draw.choice((1, 2, 5, 40, 400))
            sent += answer.add(text[at : at + step])
            at += step
        sent += answer.end()
    message, _ = parse_answer(text, form)
    if message is None:  # it looked like a call and is none: then it is text
        if sent != text.strip():
            raise Found(f"{form}: streamed {sent[:200]!r}, not the text {text[:200]!r}")
        return
    calls = [(c.function.name, c.function.arguments) for c in message.tool_calls]
    if calls != [(c.function.name, c.function.arguments) for c in answer.calls]:
        raise Found(f"{form}: other calls when streamed")
    if sent.strip() != (message.content or "").strip():
        raise Found(f"{form}: streamed {sent[:200]!r}, as a whole {message.content!r}")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "recipe": recipe, "record": record, "csv": csv, "html": html, "call": call,
}  # fmt: skip


def seeds(target: str) -> list[bytes]:
    """What mutations start from: what is shipped, and the corpus, which holds what once went wrong."""
    if target == "recipe":
        paths = [*(ROOT / "recipes").rglob("*.yaml"), *EXAMPLES.glob("*valid/*.yaml")]
        found = [p.read_bytes() for p in sorted(paths) if p.stat().st_size < 20_000]
    elif target == "record":
        found = [p.read_bytes() for p in sorted((EXAMPLES / "data").glob("*.jsonl"))]
    else:
        found = []
    return found + [p.read_bytes() for p in corpus(target)]


def corpus(target: str) -> list[Path]:
    return sorted(p for p in (CORPUS / target).glob("*") if p.is_file())
