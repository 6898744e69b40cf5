"""What is around a run: the store, tokens of other tools, the terminal. No secret is ever read further than "set"."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.doctor.findings import Finding
from runner.errors import NeedsTrust, UsageError
from runner.extras import Missing
from runner.settings import Settings
from runner.shown import size
from runner.store import Store, remote
from runner.store.garbage import use


def store(workspace: Path) -> Iterator[Finding]:
    """How the store is. Nothing is written, not even a store."""
    looked = Store(workspace, shown=True)
    if not looked.root.is_dir():
        yield Finding("store", "store", "ok", "none yet: the first run makes .mirepoix/")
        return
    held = use(looked)
    total = sum(n for _, n in held.values())
    yield Finding(
        "store", "store", "ok", f"{held.get('artifacts', (0, 0))[0]:,} artifacts, {size(total)} in all"
    )
    try:
        if not Store(workspace).root.is_dir():
            return
    except NeedsTrust as e:
        yield Finding(
            "store", "trust", "warn", str(e).partition(";")[0], "--trust store, where you believe it"
        )
        return
    if many := held.get("quarantine", (0, 0))[0]:
        what = f"{many:,} damaged artifacts were set aside, and are made anew when they are needed"
        yield Finding("store", "quarantine", "warn", what, "recipe gc removes them")
    own = Store(workspace)
    locks = sorted(p.name for p in (own.root / "locks").glob("*"))
    busy = [name for name in locks if own.is_held(name)]
    runs = [name.removeprefix("run.") for name in busy if name.startswith("run.")]
    if runs:
        yield Finding("store", "at work", "ok", f"runs: {', '.join(runs)}")
    left = [p for kind in ("tmp", "work") for p in (own.root / kind).glob("*") if not own.is_held(_lock(p))]
    if left and not busy:
        what = f"{len(left):,} of unfinished steps, kept so that a killed run can go on"
        yield Finding(
            "store", "unfinished", "warn", what, "run the recipe again to go on; recipe gc removes the rest"
        )


def artifact_store(settings: Settings) -> Iterator[Finding]:
    """Where artifacts are put, and taken from, besides. Nothing is asked of it."""
    if not (url := settings["artifact_store"]):
        return
    said, do = f"{url}, {'taken from, and put there' if settings.puts else 'taken from'}", ""
    try:
        remote.address(url)
    except Missing as e:
        said, do = e.what, e.how
    except UsageError as e:
        said, do = str(e), "see the setting artifact_store"
    yield Finding("store", "artifact store", "warn" if do else "ok", said, do)


def _lock(path: Path) -> str:
    return path.name.partition(".")[0]


def tokens(environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Tokens of other tools that a run or a push may use: whether they are set, and where."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HF_HOME") or Path(environ.get("HOME", "/")) / ".cache" / "huggingface")
    for name, variables, file in (
        ("hub", ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), Path(environ.get("HF_TOKEN_PATH") or home / "token")),
        ("wandb", ("WANDB_API_KEY",), None),
    ):
        found = next((v for v in variables if environ.get(v)), "")
        if not found and file is not None and file.is_file():
            found = "hf auth login"
        yield Finding("tokens", name, "ok", f"set ({found})" if found else "not set")


def terminal(environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Shell, terminal and encoding."""
    environ = os.environ if environ is None else environ
    shell = Path(environ.get("SHELL", "")).name
    known = shell in ("bash", "zsh", "fish")
    do = f"recipe completion {shell} says how to complete names with Tab" if known else ""
    yield Finding("terminal", "shell", "ok", shell or "not known", do)
    colour = "no colour (NO_COLOR)" if environ.get("NO_COLOR") else environ.get("TERM", "none")
    yield Finding("terminal", "terminal", "ok", colour)
    names, text = sys.getfilesystemencoding(), sys.stdout.encoding or "unknown"
    wide = all(e.lower().replace("-", "") == "utf8" for e in (names, text))
    yield Finding(
        "terminal", "encoding", "ok" if wide else "warn",
        f"{text}, file names {names}" if names != text else text,
        "" if wide else "set LC_ALL=C.UTF-8: letters beyond ASCII are lost",
    )  # fmt: skip
