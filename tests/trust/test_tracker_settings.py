"""A workspace of somebody else does not say where wandb sends the user's key, nor a `.env` what a training's environment is."""

from __future__ import annotations

import base64
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import process
from runner.errors import StepError
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.train import jobs, tracking
from runner.workspace import Workspace

KEY = "0123456789abcdef0123456789abcdefcanary00"
RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [rows.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
compute: {profile: cpu}
track: {wandb: {project: p, mode: MODE}}
"""


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """An address that a workspace names, and what was sent there."""
    seen: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            seen.append(self.path + str(self.headers))
            self.send_response(500)
            self.end_headers()

        do_GET = do_CONNECT = do_POST

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def making(root: Path, mode: str = "online") -> Making:
    (root / "rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (root / "r.yaml").write_text(RECIPE.replace("MODE", mode))
    workspace = Workspace(root, frozenset({"trackers"}))
    made = plan(load_recipe(root / "r.yaml", workspace), workspace)
    log = root / "runs/t/logs/train.log"
    return Making(made.step("train"), made, {}, root / "out", root / "work", log, lambda *_: None)


def write(root: Path, folder: str, *lines: str) -> None:
    (root / folder).mkdir()
    (root / folder / "settings").write_text("\n".join(("[default]", *lines, "")))


@pytest.mark.parametrize("folder", ["wandb", ".wandb"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_workspace_that_brings_settings_of_a_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, mode: str
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    write(tmp_path, folder, "http_proxy = http://192.0.2.1:1")
    with pytest.raises(
        StepError, match=rf"the workspace holds {folder}/settings, which would decide where wandb sends"
    ):
        tracking.environment(making(tmp_path, mode))


JOB = """
import os, threading, wandb
threading.Timer(3, lambda: os.write(1, b"late\\n") and os._exit(0)).start()
try:
    wandb.init(project="p", settings=wandb.Settings(init_timeout=2))
except BaseException as e:
    print(type(e).__name__, flush=True)
os._exit(0)
"""


def test_the_key_goes_to_the_address_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: tuple[str, list[str]]
) -> None:
    """Even where the file comes when nobody looks: the variable decides. What we say here is wandb's own doing."""
    pytest.importorskip("wandb", reason="wandb is not installed")
    url, seen = stranger
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tracking, "PUBLIC", "http://127.0.0.1:9")
    told = process.environment(tracking.environment(making(tmp_path)))
    write(tmp_path, "wandb", f"base_url = {url}")
    done = subprocess.run(
        [sys.executable, "-c", JOB], env=told, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip(), done.stderr
    assert not seen, [x for x in seen if KEY in x or base64.b64encode(f"api:{KEY}".encode()).decode() in x]


def test_a_file_of_variables_that_axolotl_would_read(tmp_path: Path) -> None:
    """Its command line looks for one in all folders above its own: a workspace may hold the Python that it is in."""
    m = making(tmp_path)
    package = tmp_path / ".venv/lib/python3/site-packages/axolotl/__init__.py"
    jobs.no_variables(m, package)
    (tmp_path / ".env").write_text("HF_ENDPOINT=http://192.0.2.1\n")
    with pytest.raises(
        StepError, match=r"the workspace holds .env, which Axolotl would take for its environment"
    ):
        jobs.no_variables(m, package)
    jobs.no_variables(m, Path("/usr/lib/python3/site-packages/axolotl/__init__.py"))
