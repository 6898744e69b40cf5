"""A workspace that somebody shared holds modules of the names that our jobs import: none of them is ever run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runner import process


@pytest.mark.parametrize(
    "name", ["json", "msgspec", "torch", "transformers", "runner", "runner/jobs", "sitecustomize"]
)
def test_a_job_takes_its_modules_from_where_it_is_installed(tmp_path: Path, name: str) -> None:
    module = tmp_path / name / "__init__.py" if "/" in name or name == "runner" else tmp_path / f"{name}.py"
    for folder in (module.parent, module.parent.parent):
        if folder != tmp_path and tmp_path in folder.parents:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
    module.write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')\n")
    argv = [sys.executable, "-m", "runner.jobs.generate", str(tmp_path / "missing.json")]
    with pytest.raises(process.Failed, match=r"missing\.json"):
        process.run(argv, log=tmp_path / "log", cwd=tmp_path)
    assert not (tmp_path / "was-here").exists()
