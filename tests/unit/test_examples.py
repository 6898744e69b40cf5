"""Every file in tests/examples is a test by standing there.

valid/*.yaml pass the check; invalid/X.yaml fail it with exactly the text of X.errors.txt, whose first line
is the exit code. typos/X.yaml hold one mistake each, of those that people make; X.txt is what the terminal shows.
`GOLDEN_WRITE=1 pytest tests/unit/test_examples.py` writes those texts anew.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner import cli

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
VALID = sorted((EXAMPLES / "valid").glob("*.yaml"))
INVALID = sorted((EXAMPLES / "invalid").glob("*.yaml"))
TYPOS = sorted((EXAMPLES / "typos").glob("*.yaml"))
TYPOS_BASE = EXAMPLES / "valid" / "typos-base.yaml"
SAID_TWICE = {"key-of-another-tool", "options-not-indented", "suite", "weights-percent"}
"""Typos that are two by themselves."""


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


def check(path: Path, *more: str) -> Result:
    return CliRunner().invoke(cli.main, ["check", path.relative_to(EXAMPLES).as_posix(), *more])


def test_there_are_examples() -> None:
    assert len(VALID) >= 8
    assert len(INVALID) >= 20
    assert len(TYPOS) >= 50


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_valid(path: Path) -> None:
    done = check(path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "ok (" in done.stdout


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_invalid(path: Path, golden_write: bool) -> None:
    done = check(path)
    assert done.exit_code in (2, 4)
    assert isinstance(done.exception, SystemExit), "a traceback"
    assert done.stdout == ""
    said = f"exit {done.exit_code}\n{done.stderr}"
    golden = path.with_suffix(".errors.txt")
    if golden_write:
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_no_error_text_can_steer_a_terminal(path: Path) -> None:
    said = path.with_suffix(".errors.txt").read_text(encoding="utf-8")
    assert all(c == "\n" or (c.isprintable() and c not in "\u202e") for c in said)
    assert max(map(len, said.splitlines())) < 400


@pytest.mark.parametrize("path", TYPOS, ids=lambda p: p.stem)
def test_typo(path: Path, golden_write: bool) -> None:
    done = check(path)
    assert (done.exit_code, done.stdout) == (2, "")
    golden = path.with_suffix(".txt")
    if golden_write:
        golden.write_text(done.stderr, encoding="utf-8")
    assert done.stderr == golden.read_text(encoding="utf-8")
    many = "2 errors" if path.stem in SAID_TWICE else "1 error"
    assert done.stderr.endswith(f"\n{many} in 1 file\n"), "one mistake is said once"
    assert "^" in done.stderr.splitlines()[2], "with carets under the place"
    said = {int(n) for n in re.findall(rf"^typos/{path.stem}\.yaml:(\d+):", done.stderr, re.M)}
    assert said & _changed(path), "the place is the changed line, or one beside it"


def _changed(path: Path) -> set[int]:
    """Numbers of the lines that differ from the right recipe, and those beside them."""
    good, bad = (p.read_text(encoding="utf-8").splitlines() for p in (TYPOS_BASE, path))
    spans = [(a, b) for tag, _, _, a, b in SequenceMatcher(None, good, bad).get_opcodes() if tag != "equal"]
    return {n for a, b in spans for n in range(a, b + 2)}


def test_every_golden_text_has_its_recipe() -> None:
    stray = {p.name.removesuffix(".errors.txt") for p in (EXAMPLES / "invalid").glob("*.errors.txt")}
    assert stray == {p.stem for p in INVALID}
    assert {p.stem for p in (EXAMPLES / "typos").glob("*.txt")} == {p.stem for p in TYPOS}
