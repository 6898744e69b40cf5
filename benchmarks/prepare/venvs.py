"""Each peer in a virtual environment of its own, made on first use from requirements/NAME.txt."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MADE = ROOT / "build" / "bench"


class NotInstalled(RuntimeError):
    """Why an environment cannot be had here."""


def python_of(name: str) -> Path:
    """The environment's interpreter. Raises NotInstalled."""
    pins = HERE / "requirements" / f"{name}.txt"
    folder = MADE / name
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    mark = folder / ".made"
    if mark.exists() and mark.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making build/bench/{name}", file=sys.stderr)
    wanted = re.match(r"# python: (\S+)", pins.read_text())
    base = _interpreter(wanted[1]) if wanted else sys.executable
    _uv("venv", "--quiet", "--python", base, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(python), *_links(), "--requirement", str(pins))
    mark.write_text(digest)
    return python


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run([str(uv), *arguments], capture_output=True, text=True)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if "cause:" in line or "error:" in line]
        raise NotInstalled(" ".join(said)[:300] or f"uv ended with {done.returncode}")


def _interpreter(version: str) -> str:
    """A Python of this version, where the machine has one; none is downloaded."""
    named = [shutil.which(f"python{version}")]
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
        named += map(str, sorted(Path(root, "versions").glob(f"{version}*/bin/python")))
    for candidate in filter(None, named):
        asked = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.startswith(f"Python {version}"):  # a shim may lead nowhere
            return candidate
    raise NotInstalled(f"needs Python {version}, which is not here")


def _links() -> list[str]:
    """uv does not read pip's setting for folders of wheels; hand it over where there is one."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    ).stdout
    folders = sorted(set(re.findall(r"find-links='(.*)'", listed)))
    return [part for folder in folders for part in ("--find-links", folder)]
