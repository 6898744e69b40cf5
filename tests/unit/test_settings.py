"""The user's settings: variables before the file before defaults; what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.errors import UsageError
from runner.settings import SETTINGS, load


def test_a_variable_goes_before_the_file_before_the_default(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'gutendex_url = "http://127.0.0.1:1/"\npace = 5\nallow = ["127.0.0.1:2", "127.0.0.1:3"]\n'
    )
    found = load({"MIREPOIX_SETTINGS": str(file), "MIREPOIX_PACE": "9"}, allow=("127.0.0.1:4",))
    assert found["gutendex_url"] == "http://127.0.0.1:1"
    assert found["pace"] == "9"
    assert found["allow"] == "127.0.0.1:2,127.0.0.1:3,127.0.0.1:4"
    assert found["contact"] == SETTINGS["contact"].default
    assert found.origin["pace"] == "MIREPOIX_PACE"
    assert found.origin["contact"] == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pase = 1\n", r"no setting 'pase' \(did you mean pace\?\)"),
        ("zzz = 1\n", "no setting 'zzz'; there are gutendex_url"),
        ("not toml", "cannot be read"),
        (None, "no settings file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "settings.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=said):
        load({"MIREPOIX_SETTINGS": str(file)})


def test_no_file_where_none_is_named(tmp_path: Path) -> None:
    assert load({"XDG_CONFIG_HOME": str(tmp_path)})["pace"] == SETTINGS["pace"].default


def test_the_doctor_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIREPOIX_HUB_TOKEN", "hush")
    monkeypatch.setenv("MIREPOIX_PROXY", "http://me:hush@127.0.0.1:9")
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0
        assert "hush" not in done.output
        assert "hub_token" in done.output
    facts = {s["name"]: s["value"] for s in json.loads(done.output)["settings"]}
    assert facts["hub_token"] == "set"
    assert facts["proxy"] == "http://127.0.0.1:9"
