"""Tests with programs from outside Python: a browser, an OCI registry, an editor's language server.

`.ci/tools` gets them. Where one is absent, what needs it is skipped by name.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest

BUILD = Path(__file__).parents[2] / "build"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Folder of the node packages."""
    found = BUILD / "node/node_modules"
    if shutil.which("node") is None or not found.is_dir():
        pytest.skip("no node packages here: bash .ci/tools")
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser, as Playwright has it. It can resolve no name, so no page leaves this machine. Its event loop
    runs in this very thread: tests of other files have theirs."""
    with pages.chromium() as browser:
        yield browser


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """`HOST:PORT` of an OCI registry of this test's own; its blobs lie in `tmp_path/registry`."""
    program = BUILD / "registry/usr/bin/docker-registry"
    if not program.is_file():
        pytest.skip("no docker-registry here: bash .ci/tools")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    process = subprocess.Popen(
        [program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            assert process.poll() is None, "the registry did not start"
            try:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield address
    finally:
        process.terminate()
        process.wait(30)
