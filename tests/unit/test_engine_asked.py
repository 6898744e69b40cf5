"""Which engine a run takes, and what cluster: what the recipe says, the command line, the settings."""

from __future__ import annotations

import json
import socket
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import click
import pytest
from click.testing import CliRunner

from runner import settings
from runner.cli import main
from runner.cli.line import run
from runner.engines import MODULES, deciding, opened
from runner.engines.local import Local
from runner.engines.ray import Ray
from runner.errors import UsageError
from runner.load import load_recipe
from runner.plan import plan
from runner.recipe.running import Engine
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [a.jsonl]}
split: {validation: 0}
compute: {engine: ray, workers: 1024}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    talk = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "The river ran by."}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    for name in ("MIREPOIX_RAY_ADDRESS", "MIREPOIX_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def told(*more: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["run", "r.yaml", "--to", "prepare", *more])
    return done.exit_code, done.output


def nobody() -> str:
    """An address of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_every_engine_is_a_module_and_may_be_asked_for() -> None:
    assert set(MODULES) == set(get_args(Engine))
    assert all(map(find_spec, MODULES.values()))
    option = next(p for p in run.params if p.name == "engine")
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == set(MODULES)


def test_an_address_goes_with_the_engine_that_the_recipe_asks_for(root: Path) -> None:
    """It is taken without --engine, and refused where the engine is another."""
    address = nobody()
    code, said = told("--address", address)
    assert code == 3
    assert f"no Ray cluster answers at {address}: Connection refused; " in said
    assert "or leave --address out" in said
    for more in (["--engine", "local"], []):
        if not more:
            (root / "r.yaml").write_text(RECIPE.replace("engine: ray", "engine: local"))
        assert told("--address", address, *more)[1] == (
            "error: --address is of a Ray cluster: say --engine ray, too\n"
        )


@pytest.mark.parametrize(
    "wrong",
    [
        "foo",
        "head",
        "head:",
        ":1",
        "head:0",
        "head:65536",
        "head:x",
        "head:9999999999",
        "ray://head:10001",
        "a b:1",
    ],
)
def test_an_address_that_is_none(wrong: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said by the name of what holds it, wherever that is."""
    end = f"must be the HOST:PORT of a Ray cluster, not {wrong!r}\n"
    assert told("--address", wrong) == (2, f"error: --address {end}")
    monkeypatch.setenv("MIREPOIX_RAY_ADDRESS", wrong)
    assert told() == (2, f"error: the setting ray_address (MIREPOIX_RAY_ADDRESS) {end}")
    assert not (root / ".mirepoix/artifacts").exists()
    assert told("--engine", "local")[0] == 0  # which has no use for it


def test_where_an_address_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIREPOIX_RAY_ADDRESS", address := nobody())
    said = told()[1]
    assert f"at {address}: Connection refused; " in said
    assert "or leave the setting ray_address (MIREPOIX_RAY_ADDRESS) out" in said
    with pytest.raises(UsageError, match="--address must be"):
        settings.load({}).with_cluster("")


def test_what_a_recipe_may_have(root: Path) -> None:
    """No more processes than the user's own setting says: a recipe may be a stranger's."""
    workspace = Workspace(root)

    def found(workers: str, said: str = "1024") -> int:
        (root / "r.yaml").write_text(RECIPE.replace("workers: 1024", f"workers: {said}"))
        planned = plan(load_recipe(root / "r.yaml", workspace), workspace)
        with opened(planned, "prepare", settings.load({"MIREPOIX_WORKERS": workers}), root / "log") as engine:
            assert isinstance(engine, Ray)
            return engine.workers

    assert [found("3"), found("3", "2"), found("5", "null")] == [3, 2, 5]
    planned = plan(load_recipe(root / "r.yaml", workspace), workspace)
    with opened(
        planned, "prepare", settings.load({"MIREPOIX_WORKERS": "4"}), root / "log", "local"
    ) as engine:
        assert engine == Local(4)


def test_what_every_node_must_have(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What plug-ins of the recipe say of themselves, as far as the run goes, and the packages that bring some."""
    (root / "r.yaml").write_text(
        f"{RECIPE}filters: [toxicity: {{by: words}}]\nmodel: {{base: embedded/smollm2-135m-instruct}}\n"
        "evaluate: {suites: [persona-style]}\n"
    )
    workspace = Workspace(root)
    planned = plan(load_recipe(root / "r.yaml", workspace), workspace)
    brought = SimpleNamespace(dist=SimpleNamespace(name="a-plug-in"))
    monkeypatch.setattr(deciding, "entry_points", lambda group: [brought, SimpleNamespace(dist=None)])
    data = {*deciding.ALWAYS, "detoxify", "a-plug-in"}
    assert set(deciding.libraries(planned, "prepare")) == set(deciding.libraries(planned, "train")) == data
    assert set(deciding.libraries(planned, "report")) == data | {"scikit-learn", "scipy"}
    with opened(planned, "report", settings.load({}), root / "log") as engine:
        assert isinstance(engine, Ray)
        assert engine.libraries == deciding.libraries(planned, "report")
