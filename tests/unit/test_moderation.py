"""`toxicity: {by: moderation}` against an endpoint on the loopback address: what it flags goes, and each text is asked once."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import ledger
from runner.cli import main


class Endpoint(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: bytes | None = None


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body | {"path": self.path})
        self.server.keys.append(self.headers["Authorization"])
        results = [
            {
                "flagged": "hate" in text,
                "categories": {"hate": "hate" in text, "violence": False},
                "category_scores": {"hate": 0.9 if "hate" in text else 0.2, "violence": 0.3},
            }
            for text in body["input"]
        ]
        raw = self.server.answer or json.dumps({"id": "m", "results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("MIREPOIX_MODERATION_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("MIREPOIX_MODERATION_KEY", "k3y")
    monkeypatch.setenv("MIREPOIX_PACE", "1000")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def prepared(root: Path, options: str = "by: moderation") -> tuple[int, str]:
    rows = [f"The {n} boats came home{', says hate' if n % 5 == 0 else ''}." for n in range(40)]
    talks = [[{"role": "user", "content": "Go on."}, {"role": "assistant", "content": row}] for row in rows]
    (root / "a.jsonl").write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    (root / "r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\n    name: s\n"
        f"filters: [toxicity: {{{options}}}]\n"
    )
    argv = ["run", str(root / "r.yaml"), "--to", "prepare", "--workspace", str(root)]
    done = CliRunner().invoke(main, argv)
    return done.exit_code, done.output


def test_what_it_flags_goes_and_each_text_is_asked_once(tmp_path: Path, endpoint: Endpoint) -> None:
    assert prepared(tmp_path)[0] == 0
    fates = ledger.read(tmp_path / "runs/r/ledger.parquet")
    assert [f.id for f in fates if f.reason == "toxicity: hate"] == [f"s/a/{n}" for n in range(1, 41, 5)]
    assert {a["path"] for a in endpoint.asked} == {"/v1/moderations"}
    assert set(endpoint.keys) == {"Bearer k3y"}
    assert sum(len(a["input"]) for a in endpoint.asked) == 40
    assert "k3y" not in "".join(
        p.read_text("latin-1") for p in (tmp_path / ".mirepoix").rglob("*") if p.is_file()
    )
    before = len(endpoint.asked)
    shutil.rmtree(tmp_path / ".mirepoix/artifacts")
    assert prepared(tmp_path)[0] == 0
    assert len(endpoint.asked) == before, "its answers are kept"


def test_a_score_may_decide_instead(tmp_path: Path, endpoint: Endpoint) -> None:
    assert prepared(tmp_path, "by: moderation, at_least: 0.25, model: m-1")[0] == 3  # violence: 0.3 each
    assert prepared(tmp_path, "by: moderation, at_least: 0.5, model: m-1")[0] == 0
    assert endpoint.asked[-1]["model"] == "m-1"
    fates = ledger.read(tmp_path / "runs/r/ledger.parquet")
    assert sum(f.fate == "dropped" for f in fates) == 8


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b'{"error": "no"}', "an answer that is none: Object missing"),
        (b'{"results": []}', "it says 0 things of 16 texts"),
    ],
)
def test_an_answer_that_is_none_stops_the_run_in_words(
    tmp_path: Path, endpoint: Endpoint, answer: bytes, what: str
) -> None:
    endpoint.answer = answer
    code, said = prepared(tmp_path)
    assert code == 3
    assert what in said
    assert "Traceback" not in said
    endpoint.answer = None
    assert prepared(tmp_path)[0] == 0, "what was no answer was not kept"


def test_without_an_endpoint_it_says_which_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIREPOIX_MODERATION_URL", raising=False)
    code, said = prepared(tmp_path)
    assert code == 3
    assert "setting moderation_url" in said
