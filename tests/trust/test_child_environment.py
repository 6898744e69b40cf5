"""What a job may know of the user's environment: the allow-list of `runner.process`, and no secret beside it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from runner import process

SECRETS = (
    "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "WANDB_API_KEY", "MIREPOIX_JUDGE_KEY", "MIREPOIX_HUB_TOKEN",
    "SSH_AUTH_SOCK", "GITHUB_TOKEN",
)  # fmt: skip
STEERING = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD", "BASH_ENV")


def test_a_job_sees_no_secret_and_nothing_that_steers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, f"canary-of-{name}")
    for name in STEERING:
        monkeypatch.setenv(name, "/nowhere/canary")
    code = "import json, os; open('seen.json', 'w').write(json.dumps(dict(os.environ)))"
    process.run([sys.executable, "-c", code], log=tmp_path / "log", cwd=tmp_path)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert not [name for name, value in seen.items() if "canary" in value]
    # The C library's own LC_CTYPE is set by Python itself, where the locale is C.
    assert seen.keys() <= {*process.ALLOWED, *process.QUIET, *process.WITHOUT, "LC_CTYPE"}


def test_only_a_job_that_needs_the_network_knows_tokens_and_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in process.NETWORK:
        monkeypatch.setenv(name, "http://user:canary@proxy.example.org")
    assert not [value for value in process.environment().values() if "canary" in value]
    # Nor what stands in files below its HOME.
    assert (
        process.environment().items() >= {"NETRC": "/dev/null", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}.items()
    )
    open_to_it = process.environment(network=True)
    assert set(process.NETWORK) <= open_to_it.keys() and "NETRC" not in open_to_it


def test_which_jobs_need_it() -> None:
    """The hub's commit of a model, and a training that fetches its base or tracks online; no other."""
    root = Path(process.__file__).parent
    given = re.compile(r"\bnetwork=(True|network|online)\b")
    asked = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if given.search(p.read_text())}
    assert asked == {"process.py", "resolving.py", "train/jobs.py"}


def test_what_a_job_is_given_besides_is_what_its_step_names(tmp_path: Path) -> None:
    code = "import os; print(os.environ['GIVEN'])"
    process.run(
        [sys.executable, "-c", code], log=tmp_path / "log", cwd=tmp_path, more={"GIVEN": "by the step"}
    )
    assert "by the step" in (tmp_path / "log").read_text()
    assert "GIVEN" not in process.environment()


def test_a_job_imports_nothing_of_the_folder_that_it_works_in(tmp_path: Path) -> None:
    """A workspace may come from a stranger: Python would look there first."""
    for name in ("json.py", "torch.py", "runner.py"):
        (tmp_path / name).write_text("open('PWNED', 'w')")
    code = "import json, importlib.util as u; print(json.__file__, u.find_spec('runner').origin)"
    process.run([sys.executable, "-c", code], log=tmp_path / "log", cwd=tmp_path)
    assert not (tmp_path / "PWNED").exists()
    assert str(tmp_path) not in (tmp_path / "log").read_text().splitlines()[-1]
