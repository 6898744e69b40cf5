"""Who has no key, or hangs up, does not end the line for those who come after."""

from __future__ import annotations

import socket
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import pytest

from runner.jobs import ray_fetch


def test_others_may_come_after_a_broken_handshake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(line: Any, ray: Any, needs: Any) -> None:
        line.send("served")

    monkeypatch.setattr(ray_fetch, "serve", serve)
    at, needs = str(tmp_path / "s"), None
    listener = Listener(at, "AF_UNIX", authkey=b"key")
    thread = threading.Thread(target=ray_fetch.listen, args=(listener, None, needs), daemon=True)
    thread.start()
    with pytest.raises(AuthenticationError):
        Client(at, "AF_UNIX", authkey=b"another")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(at)
    with Client(at, "AF_UNIX", authkey=b"key") as line:
        assert line.recv() == "served"
