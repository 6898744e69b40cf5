"""A model that judges, behind a loopback endpoint in OpenAI's shape: honest, biased, parroting, broken, slow."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runner import library
from runner.fetching import InputFile
from runner.judging import pairs
from runner.net.watched import Limits
from runner.record import Answer, Message, Probe, Verdict
from runner.registry import JudgeContext, plugins
from runner.services import asking
from runner.settings import SETTINGS, Settings

Made = Any  # a completion, a text that becomes one, a status, or (status, headers, bytes)
QUICK = Limits(connect=2, read=1, think=1, first_wait=0.01, longest_wait=0.02, jitter=0.0)
KNOWN = 8
"""Pairs of each rubric that a judge is examined by here; the fewest that do."""
RUBRICS = ("wit", "twain-ness", "helpfulness", "groundedness")
_PART = re.compile(
    r"\[(conversation|answer|answer A|answer B) ([0-9a-f]{16})\]\n(.*?)\n\[end of \1 \2\]", re.S
)


class Asked(NamedTuple):
    """A question as a model would see it: `texts` by the name of their fence."""

    code: str
    texts: dict[str, str]
    down: bool

    @classmethod
    def of(cls, body: dict[str, Any]) -> Asked:
        system, user = (m["content"] for m in body["messages"])
        codes = re.findall(r"carry the code ([0-9a-f]{16})", system)
        parts = {name: text for name, code, text in _PART.findall(user) if code == codes[0]}
        return cls(codes[0] if codes else "", parts, system.find("\n5: ") < system.find("\n1: "))


def is_probe(body: dict[str, Any]) -> bool:
    """Whether this is the question that only an endpoint which enforces schemas can answer."""
    return "Do not use JSON" in body["messages"][0]["content"]


def known_grades() -> dict[str, int]:
    """Every text of the shipped pairs with its grade."""
    shelf = library.shelf("evals") / "probes"
    found = [p for r in RUBRICS for p in pairs.load(shelf / f"judge-{r}.jsonl", r)]
    grades = {p.better: p.better_grade for p in found} | {p.worse: p.worse_grade for p in found}
    return {text: grade for text, grade in grades.items() if grade is not None}


def verdict(asked: Asked, grade: Callable[[str], int], reason: str = "so I find") -> str:
    """What a judge says who grades texts by `grade`."""
    if "answer" in asked.texts:
        return json.dumps({"code": asked.code, "reason": reason, "score": grade(asked.texts["answer"])})
    a, b = grade(asked.texts["answer A"]), grade(asked.texts["answer B"])
    choice = "A" if a > b else "B" if b > a else "tie"
    return json.dumps({"code": asked.code, "reason": reason, "better": choice})


class Honest:
    """Knows the order of the shipped pairs; of other texts, those that say they are good are."""

    def __init__(self) -> None:
        self.grades = known_grades()

    def grade(self, text: str) -> int:
        return self.grades.get(text, 4 if "GOOD" in text else 2 if "POOR" in text else 1)

    def __call__(self, body: dict[str, Any]) -> Made:
        return "A river is water on its way." if is_probe(body) else verdict(Asked.of(body), self.grade)


def completion(text: Any, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"content": text} | message}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 40},
    }


class Endpoint:
    """Answers with what `answer` makes of a request; keeps what it was asked."""

    def __init__(self, answer: Callable[[dict[str, Any]], Made]) -> None:
        self.answer, self.asked, self.keys = answer, list[dict[str, Any]](), list[str]()
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(raw)
                with outer.lock:
                    outer.asked.append(body)
                    outer.keys.append(self.headers.get("Authorization", ""))
                made = outer.answer(body) if self.path == "/v1/chat/completions" else 404
                status, headers, out = whole(made)
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *_: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # with 5, a connection that comes sixth waits a second

            def handle_error(self, *_: Any) -> None:
                return  # who asked may be gone

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def whole(made: Made) -> tuple[int, dict[str, str], bytes]:
    if isinstance(made, tuple):
        return made
    if isinstance(made, int):
        return made, {}, b'{"error": {"message": "no"}}'
    return 200, {}, json.dumps(completion(made) if isinstance(made, str) else made).encode()


@contextmanager
def endpoint(answer: Callable[[dict[str, Any]], Made]) -> Iterator[Endpoint]:
    made = Endpoint(answer)
    try:
        yield made
    finally:
        made.close()


def settings(url: str, **more: str) -> Settings:
    values = {n: s.default for n, s in SETTINGS.items()}
    values |= {"judge_url": url, "judge_key": "k-secret", "pace": "100000", "at_once": "16"} | more
    return Settings(values, dict.fromkeys(values, "test"))


def shipped(folder: str, names: Iterable[str]) -> tuple[InputFile, ...]:
    return tuple(InputFile(f"evals/{folder}/{n}", library.shelf("evals") / folder / n, "") for n in names)


def few(root: Path, files: tuple[InputFile, ...], known: int) -> tuple[InputFile, ...]:
    """The first so many pairs of each file, written to `root`: a test of something else need not ask about all."""
    root.mkdir(parents=True, exist_ok=True)
    out = []
    for file in files:
        path = root / Path(file.name).name
        path.write_bytes(b"".join(file.path.read_bytes().splitlines(keepends=True)[:known]))
        out.append(InputFile(file.name, path, ""))
    return tuple(out)


def context(
    root: Path,
    said: dict[str, list[str]],
    rubrics: tuple[str, ...] = ("wit",),
    known: int = KNOWN,
    **more: Any,
) -> JudgeContext:
    """One probe for each answer of the longest arm; `said` is arm → answers."""
    count = max(map(len, said.values()))
    probes = tuple(Probe(f"p{n}", [Message("user", f"Question {n}?")]) for n in range(count))
    answers = tuple(
        Answer(f"p{n}", arm, text, "stop", Message("assistant", text))
        for arm, texts in said.items()
        for n, text in enumerate(texts)
    )
    files = {
        "rubrics": shipped("rubrics", [f"{r}.yaml" for r in rubrics]),
        "pairs": few(root, shipped("probes", [f"judge-{r}.jsonl" for r in rubrics]), known),
    }
    return JudgeContext(probes, answers, files, 17, **more)


def judged(
    root: Path,
    url: str,
    said: dict[str, list[str]],
    judge: str = "llm_rubric",
    *,
    rubrics: tuple[str, ...] = ("wit",),
    known: int = KNOWN,
    at_once: str = "16",
    limits: Limits = QUICK,
    more: Mapping[str, str] | None = None,
    **options: Any,
) -> Verdict:
    """The verdict of a judge on these answers, through the guarded client, with its cache under `root`."""
    plugin = plugins("judge")[judge]
    named = {"model": "judge-1", "rubrics": ["-"], "pairs": ["-"]}
    with asking(settings(url, at_once=at_once, **(more or {})), root, "judge.s", limits) as ask:
        whole = context(root, said, rubrics, known, ask=ask, base="org/small-1")
        made: Verdict = plugin.call(whole, **plugin.bind(named | options))
        return made


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred answers are kept in each test, and a disk is slow to say that it has them."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def slow(seconds: float) -> Made:
    time.sleep(seconds)
    return 200, {}, b"{}"
