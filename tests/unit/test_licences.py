"""Which licences a recipe mixes, before any row is read; and sources that show nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import sourcing
from runner.cli import main
from runner.licences import licences, terms
from runner.load import load_recipe
from runner.record import Record
from runner.workspace import Workspace


def recipe(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(f"recipe: 1\nname: r\nsources:\n{text}")
    return path


def found(folder: Path, text: str) -> dict[str, list[str]]:
    place = Workspace(folder)
    return licences(load_recipe(recipe(folder, text), place).recipe, place)


def test_what_the_recipe_says_holds_for_rows_that_name_none(tmp_path: Path) -> None:
    text = (
        "  - tools: {set: town-library, conversations: 3}\n    name: a\n"
        "  - tools: {set: town-library, conversations: 3}\n    name: b\n    license: CC-BY-4.0\n"
        "  - gutenberg: {ids: [74]}\n    name: c\n"
        "  - jsonl: {files: [d.jsonl]}\n    name: d\n"
        "  - jsonl: {files: [d.jsonl]}\n    name: e\n    license: CC-BY-4.0\n"
    )
    (tmp_path / "d.jsonl").write_text("{}\n")
    assert found(tmp_path, text) == {
        "CC0-1.0": ["a", "b"],  # its set's file says so, and so does the ledger
        "public domain (USA)": ["c"],
        "no licence stated": ["d"],
        "CC-BY-4.0": ["e"],
    }


@pytest.mark.parametrize(("api", "theirs"), [("open-meteo", "CC-BY-4.0"), ("openweathermap", "CC-BY-SA-4.0")])
@pytest.mark.parametrize("responses", ["recorded", "live"])
def test_the_services_licence_is_told_as_in_the_ledger(
    tmp_path: Path, api: str, theirs: str, responses: str
) -> None:
    options = f"{{set: weather-api, api: {api}, responses: {responses}, conversations: 3}}"
    text = f"  - tools: {options}\n"
    assert found(tmp_path, text) == {f"CC0-1.0 AND {theirs}": ["tools"]}
    place = Workspace(tmp_path)
    spec = load_recipe(recipe(tmp_path, text), place).recipe.sources[0]
    spec.options["shapes"] = {"refusal": 1.0}  # needs no answer of the service
    files = {"set": place.inputs("tool set", "weather-api"), "distractors": ()}
    rows = [row for row in sourcing.rows(spec, files, (), tmp_path, 17) if isinstance(row, Record)]
    assert {row.meta["license"] for row in rows} == {f"CC0-1.0 AND {theirs}"}


def test_what_a_teacher_makes_of_rows_is_under_their_licence(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("{}\n")
    text = (
        "  - tools: {set: town-library, conversations: 3}\n    name: a\n"
        "  - teacher: {model: m, task: paraphrase, of: a}\n    name: b\n"
        "  - teacher: {model: m, task: paraphrase, of: b}\n    name: c\n"
        "  - teacher: {model: m, task: paraphrase, of: a}\n    name: d\n    license: MIT\n"
        "  - teacher: {model: m, task: conversation, count: 3, tools: town-library}\n    name: e\n"
        "  - jsonl: {files: [d.jsonl]}\n    name: f\n"
        "  - teacher: {model: m, task: paraphrase, of: f}\n    name: g\n"
    )
    assert found(tmp_path, text) == {
        "CC0-1.0": ["a", "b", "c"],
        "MIT": ["d"],
        "no licence stated": ["e", "f", "g"],
    }


@pytest.mark.parametrize(
    ("mixed", "said"),
    [
        (["CC0-1.0", "MIT", "public domain (USA)", "its users' own, under Reddit's terms"], []),
        (["CC0-1.0 AND CC-BY-SA-4.0"], ["share-alike (CC0-1.0 AND CC-BY-SA-4.0 of s0): who passes on"]),
        (["CC-BY-NC-4.0", "MIT"], ["non-commercial (CC-BY-NC-4.0 of s0): nor may"]),
        (["CC-BY-ND-4.0"], ["no-derivatives (CC-BY-ND-4.0 of s0): changed forms"]),
        (["CC-BY-NC-SA-4.0"], ["share-alike", "non-commercial"]),
        (["MIT OR GPL-3.0-only"], []),
        (["LGPL-3.0 OR GPL-3.0-only"], ["share-alike"]),
        (["CC-BY-SA-4.0", "GPL-3.0"], ["share-alike", "these do not go together: CC-BY-SA-4.0 and GPL-3.0"]),
        (["CC-BY-SA-4.0", "CC0-1.0 AND CC-BY-SA-4.0"], ["share-alike"]),
        (
            ["CC-BY-NC-4.0", "CC-BY-SA-4.0"],
            ["share-alike", "non-commercial", "these do not go together: CC-BY-SA-4.0 and CC-BY-NC-4.0"],
        ),
    ],
)
def test_what_mixed_licences_ask_is_told_in_words(mixed: list[str], said: list[str]) -> None:
    told = terms({name: [f"s{n}"] for n, name in enumerate(mixed)})
    assert len(told) == len(said)
    assert all(t.startswith(s) for t, s in zip(told, said, strict=True)), told


@pytest.mark.parametrize("stated", ["MIT", '"MIT"', "MIT   # ours"])
def test_a_tool_set_of_the_workspace(tmp_path: Path, stated: str) -> None:
    folder = tmp_path / "datasets/tools"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(f"toolset: 2\nname: mine\nlicense: {stated}\n")
    place = Workspace(tmp_path)
    path = recipe(tmp_path, "  - tools: {set: mine, conversations: 3}\n")
    assert licences(load_recipe(path, place).recipe, place) == {"MIT": ["tools"]}


def test_a_source_that_shows_nothing_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("not json\n")
    path = recipe(tmp_path, "  - jsonl: {files: [d.jsonl]}\n")
    done = CliRunner().invoke(main, ["show", str(path), "sources", "--workspace", str(tmp_path)])
    assert done.exit_code == 3
    assert "jsonl: 0 records" in done.output
    assert "not JSON" in done.output
