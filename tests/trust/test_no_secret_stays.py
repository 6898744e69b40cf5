"""Canaries: after runs that go well and runs that fail, no key stands anywhere in the workspace or in what was said.

The services are on the loopback address, and say what they were sent in their errors, answers, rows and heads.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import msgspec
import pyarrow.parquet as pq
import pytest
from tiny_hub import Hub

from runner import process, settings, stepping
from runner.errors import StepError
from runner.jobs.ask import ask
from runner.jobs.completion import AskJob
from runner.jobs.endpoint import KEY
from runner.load import load_recipe
from runner.making import Making
from runner.plan import Plan, plan
from runner.store import Store
from runner.train import jobs, tracking
from runner.workspace import Workspace

CANARIES = {
    "MIREPOIX_HUB_TOKEN": "canary-hub/0123456789+a=",
    "MIREPOIX_MODERATION_KEY": "canary-mod/0123456789+b=",
    "MIREPOIX_JUDGE_KEY": "canary-judge/0123456789",
    "HF_TOKEN": "canary-hf/0123456789+c",
    "WANDB_API_KEY": "canary-wandb-0123456789",
    "HTTPS_PROXY": "http://me:canary-proxy-0123456789@127.0.0.1:9",
}
RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [a.jsonl]}
    name: own
  - hub: {path: o/d, columns: {prompt: q, response: a}}
    name: far
filters:
  - toxicity: {by: moderation}
"""


def found(raw: bytes) -> list[str]:
    """The canaries in some bytes, in any of the spellings that are promised."""
    out = []
    for name, value in CANARIES.items():
        key = value.split("me:")[-1].split("@")[0]
        plain = key.encode()
        said = [plain, quote(key, safe="").encode(), json.dumps(key)[1:-1].replace("/", "\\/").encode()]
        said += [base64.b64encode(b"x" * n + plain)[4:-4] for n in range(3)]
        said += [base64.urlsafe_b64encode(b"x" * n + plain)[4:-4] for n in range(3)]
        out += [f"{name} as {s!r}" for s in said if s in raw]
    return out


def told(root: Path) -> list[str]:
    """Where canaries stand below a folder; tables are read, since they are packed."""
    out = []
    for path in sorted(root.rglob("*")):
        if path.is_file():
            out += [f"{path}: {c}" for c in found(path.read_bytes() + str(path).encode())]
            if path.suffix == ".parquet":
                rows = json.dumps(pq.read_table(path).to_pylist(), default=str)
                out += [f"{path}: {c}" for c in found(rows.encode())]
    return out


def test_the_search_finds_what_it_is_to_find(tmp_path: Path) -> None:
    key = CANARIES["HF_TOKEN"]
    basic = [base64.b64encode(f"{'x' * n}:{key}:{'y' * n}".encode()).decode() for n in range(3)]
    for said in (key, quote(key, safe=""), *basic):
        (tmp_path / "f").write_text(f"it was {said}, they said")
        assert told(tmp_path), said


Answer = Callable[[str, Any], tuple[int, dict[str, str], bytes]]


@pytest.fixture
def echo() -> Iterator[Callable[[Answer], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        """A server that answers with what it is given of the Authorization that came, and of the body."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(size)) if size else None
                status, headers, raw = answer(self.headers.get("Authorization", ""), body or self.path)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(raw))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(raw)

            do_POST = do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        servers[-1].daemon_threads = True
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def filled(root: Path, hub: str, moderation: str) -> dict[str, str]:
    """A workspace, and the environment of whoever works in it."""
    (root / "home").mkdir()
    work = root / "work"
    work.mkdir()
    rows = [f"The {n} boats came home." for n in range(20)]
    talks = [[{"role": "user", "content": "Go on."}, {"role": "assistant", "content": row}] for row in rows]
    (work / "a.jsonl").write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    (work / "r.yaml").write_text(RECIPE)
    said = {"HUB_URL": hub, "MODERATION_URL": f"{moderation}/v1", "PACE": "1000"}
    said["ALLOW"] = hub.removeprefix("http://")
    own = {f"MIREPOIX_{name}": value for name, value in said.items()} | CANARIES
    return {**os.environ, "HOME": str(root / "home"), "NO_PROXY": "127.0.0.1"} | own


def recipe(root: Path, environ: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", "from runner.cli import entry; entry()", *more]
    return subprocess.run(argv, cwd=root / "work", env=environ, capture_output=True, text=True, timeout=120)


def passing(sent: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    flag = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.1}}
    told = {
        "id": sent,
        "basic": base64.b64encode(f"me:{sent}".encode()).decode(),
        "url": quote(sent, safe=""),
    }
    return 200, {"ETag": f'"{sent}"'}, json.dumps(told | {"results": [flag] * len(body["input"])}).encode()


def unknown(sent: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    basic = base64.b64encode(f"me:{sent}".encode()).decode()
    said = {"error": {"message": f"key {sent} is not known, as {quote(sent, safe='')} or {basic}"}}
    head = {"Content-Type": "application/json", "X-Error-Message": f"no token {sent}"}
    return 401, head, json.dumps(said).encode()


def test_a_run_that_goes_well(tmp_path: Path, echo: Callable[[Answer], str]) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")
    token = CANARIES["MIREPOIX_HUB_TOKEN"]
    rows = [{"q": f"Who asks {n}?", "a": f"You, with {token}, number {n}."} for n in range(20)]
    hub = Hub({"train.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows)})
    try:
        environ = filled(tmp_path, hub.url, echo(passing))
        killed = tmp_path / "work/runs/t/logs/train.log"
        killed.parent.mkdir(parents=True)
        killed.write_text(f"the last words of a job that was killed with us: {token}")
        done = recipe(tmp_path, environ, "run", "r.yaml", "--to", "prepare")
    finally:
        hub.close()
    assert done.returncode == 0, done.stderr
    assert hub.tokens == {f"Bearer {token}"}  # it was sent, and so it could have stayed
    train = (tmp_path / "work/runs/t/data/train.jsonl").read_text()
    assert f"You, with {'*' * len(token)}, number" in train
    assert not told(tmp_path) and not found((done.stdout + done.stderr).encode())


@pytest.mark.parametrize(("who", "as_json"), [("hub", False), ("moderation", True), ("moderation", False)])
def test_a_run_that_fails(tmp_path: Path, echo: Callable[[Answer], str], who: str, as_json: bool) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")
    environ = filled(tmp_path, echo(unknown), echo(unknown))
    if who == "moderation":
        path = tmp_path / "work" / "r.yaml"
        path.write_text(
            RECIPE.replace("  - hub: {path: o/d, columns: {prompt: q, response: a}}\n    name: far\n", "")
        )
    done = recipe(tmp_path, environ, "run", "r.yaml", "--to", "prepare", *["--json"] * as_json)
    said = done.stdout + done.stderr
    assert done.returncode == 3 and "Traceback" not in said, said
    assert who == "hub" or "is not known" in said
    assert not told(tmp_path) and not found(said.encode())


def test_answers_and_errors_of_an_endpoint_that_evaluates(
    tmp_path: Path, echo: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, CANARIES["MIREPOIX_JUDGE_KEY"])

    def answer(sent: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        asked = body["messages"][-1]["content"]
        if asked == "Fail.":
            return 400, *unknown(sent, body)[1:]
        text = {"role": "assistant", "content": f"You sent {sent}."}
        choice = {"index": 0, "message": text, "finish_reason": "stop"}
        return (
            200,
            {"Content-Type": "application/json"},
            json.dumps({"id": sent, "choices": [choice]}).encode(),
        )

    rows = [{"id": a, "messages": [{"role": "user", "content": a}]} for a in ("Say.", "Fail.", "Tell.")]
    (tmp_path / "probes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    one = {"arm": "a", "probes": str(tmp_path / "probes.jsonl"), "out": str(tmp_path / "out/a.jsonl")}
    fields = {"url": f"{echo(answer)}/v1", "model": "m", "engine": "e", "sets": [one | {"max_new_tokens": 9}]}
    ask(msgspec.convert(fields | {"store": str(tmp_path / "store"), "pace": "1000"}, AskJob))
    lines = (tmp_path / "out/a.jsonl").read_text().splitlines()
    assert len(lines) == 3 and "You sent Bearer ****" in lines[0] and "is not known" in lines[1]
    assert not told(tmp_path)


def test_a_defect_of_ours_tells_none_either(tmp_path: Path) -> None:
    code = (
        "import os\nfrom runner import cli\ndef main():\n    key = os.environ['HF_TOKEN']\n"
        "    raise LookupError(f'no {key} here')\ncli.main = main\ncli.entry()\n"
    )
    environ = {**os.environ, **CANARIES, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "LookupError: no ****" in done.stderr
    assert not found(done.stderr.encode())


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    more = "model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}\ncompute: {profile: cpu}\n"
    (tmp_path / "r.yaml").write_text(f"recipe: 1\nname: t\nsources:\n  - jsonl: {{files: [a.jsonl]}}\n{more}")
    workspace = Workspace(tmp_path)
    return plan(load_recipe(tmp_path / "r.yaml", workspace), workspace)


def test_what_a_job_leaves_in_an_artifact(
    tmp_path: Path, made: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a library writes beside the weights: configs, logs, cards."""

    def train(m: Making) -> None:
        (m.out / "adapter").mkdir()
        (m.out / "adapter" / "README.md").write_text(
            f"Made with {CANARIES}, {quote(CANARIES['HF_TOKEN'], safe='')}"
        )

    monkeypatch.setitem(cast(dict[str, Any], stepping.MAKERS), "train", train)
    store = Store(tmp_path)
    step = made.step("train")
    artifact = stepping.make(made, store, step, {}, lambda event: None, settings.load())
    assert "Made with {'MIREPOIX_HUB_TOKEN': '****" in artifact.file("adapter/README.md").read_text()
    assert not told(tmp_path)
    assert store.get(step.fingerprint) is not None  # its digests are those of the clean files


def test_what_a_training_that_breaks_off_leaves_with_its_trackers(
    tmp_path: Path, made: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    log = tmp_path / "runs" / "t" / "logs" / "train.log"
    m = Making(made.step("train"), made, {}, tmp_path / "out", tmp_path / "work", log, lambda *_: None)

    def training(*_: Any, more: dict[str, str], **__: Any) -> None:
        folder = tracking.folder(m) / "wandb"
        folder.mkdir(parents=True)
        (folder / "debug.log").write_text(f"environment: {CANARIES}")
        (folder / "run.db").write_bytes(b"\x00\xff" + CANARIES["WANDB_API_KEY"].encode() + b"\x00")
        raise process.Failed("it broke")

    monkeypatch.setattr(process, "run", training)
    monkeypatch.setattr(jobs.targets, "check", lambda m: None)
    monkeypatch.setattr(jobs, "need", lambda *_: None)
    with pytest.raises(StepError, match="it broke"):
        jobs.run_axolotl(m, "train", {})
    assert (tracking.folder(m) / "wandb" / "run.db").read_bytes()[:3] == b"\x00\xff*"
    assert not told(tmp_path)
