"""`recipe compare` on what `recipe evaluate` really leaves: two models behind an endpoint, the same prompts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import main

TOOL = {"type": "function", "function": {"name": "get_tide", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_tide", "arguments": "{}"}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = int(body["messages"][-1]["content"].split()[1].rstrip("?"))
        eager = body["model"] == "eager" and number % 4  # three of four questions
        message: dict[str, Any] = {"content": None, "tool_calls": [CALL]} if eager else {"content": "Hello."}
        reason = "tool_calls" if eager else "stop"
        raw = json.dumps({"choices": [{"message": message, "finish_reason": reason}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for folder in ("evals/suites", "evals/probes"):
        (tmp_path / folder).mkdir(parents=True)
    rows = [
        {"id": f"p{n:02}", "messages": [{"role": "user", "content": f"Question {n}?"}], "tools": [TOOL],
         "expect": {"calls": []}, "family": f"f{n // 2}"}
        for n in range(40)
    ]  # fmt: skip
    (tmp_path / "evals/probes/few.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    text = "suite: 1\nname: few\nprobes: probes/few.jsonl\nmax_new_tokens: 8\njudge: {tool_use: {}}\n"
    (tmp_path / "evals/suites/few.yaml").write_text(text)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIREPOIX_PACE", "1000")
    monkeypatch.setenv("MIREPOIX_ENDPOINTS", f"house=http://127.0.0.1:{server.server_port}/v1")
    yield tmp_path
    server.shutdown()
    server.server_close()
    thread.join()


def recipe(*argv: str) -> Result:
    done = CliRunner().invoke(main, list(argv))
    assert done.exit_code in (0, 2), done.output
    return done


def test_two_evaluations(home: Path) -> None:
    for model in ("calm", "eager"):
        assert (
            recipe("evaluate", model, "--endpoint", "house", "--suite", "few", "--name", model).exit_code == 0
        )
    report = json.loads((home / "runs/eager/report.json").read_bytes())
    metrics = {m["metric"]: m for m in report["suites"][0]["metrics"]}
    assert metrics["few.no_call"]["arms"]["house"]["value"] == 0.25
    (pair,) = json.loads(recipe("compare", "calm", "eager", "--json").stdout)["pairs"]
    assert (pair["first"], pair["second"], pair["not_comparable"]) == ("calm:house", "eager:house", [])
    found = {m["metric"]: m for s in pair["suites"] for m in s["metrics"]}
    one = found["few.no_call"]
    assert (one["difference"]["value"], one["verdict"], one["difference"]["test"]) == (
        -0.75,
        "worse",
        "bootstrap",
    )
    assert one["difference"]["families"] == 20
    changed = pair["changed"][0]
    assert changed["answers"]["calm:house"] == "Hello." and "get_tide" in changed["answers"]["eager:house"]
    assert changed["reasons"]["eager:house"]["no_call"].startswith("called")
    # Another longest answer is another question.
    suite = home / "evals/suites/few.yaml"
    suite.write_text(suite.read_text().replace("max_new_tokens: 8", "max_new_tokens: 9"))
    recipe("evaluate", "calm", "--endpoint", "house", "--suite", "few", "--name", "longer")
    done = recipe("compare", "calm", "longer")
    assert done.exit_code == 2 and "few (judge): the longest answer (8, 9)" in done.stderr
