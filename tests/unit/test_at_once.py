"""Runs side by side: what another one has fetched or asked meanwhile is not fetched or asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner import fetch, lock, resolving
from runner import recipe as r
from runner.fetching import Item
from runner.load import load_recipe
from runner.plan import hub_request, plan
from runner.run import _Walk
from runner.settings import load
from runner.stepping import Event
from runner.steps import Plan
from runner.store import Store, digest
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: t
sources:
  - gutenberg: {ids: [74]}
    name: twain
    chat: {passages: {words: [80, 250], prompt: instruct}}
"""
COMMIT = "ab" * 20


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    (tmp_path / "r.yaml").write_text(RECIPE)
    place = Workspace(tmp_path)
    return plan(load_recipe(tmp_path / "r.yaml", place), place)


def test_what_another_run_has_fetched_is_taken(planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = planned.fetches
    told: list[Event] = []
    walk = _Walk(planned, store := Store(planned.workspace.root), told.append, load())
    lock.write(store.folder(), one.request, [])  # after the plan was made
    monkeypatch.setattr(fetch, "run", lambda *_: pytest.fail("asked twice"))
    client: Any = None
    walk._fetch(one.name, client, load())
    assert walk.executed == 0 and told == []
    assert walk.plan.fetches[0].items == ()


def test_a_fetch_holds_its_request(planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = planned.fetches
    store = Store(planned.workspace.root)
    held: list[bool] = []

    def run(*_: object) -> None:
        held.append(Store(store.workspace).is_held(f"fetch.{digest(one.request)}"))
        lock.write(store.root, one.request, [])

    monkeypatch.setattr(fetch, "run", run)
    client: Any = None
    walk = _Walk(planned, store, lambda event: None, load())
    walk._fetch(one.name, client, load())
    assert held == [True] and walk.executed == 1
    assert not store.is_held(f"fetch.{digest(one.request)}")


def test_the_commit_of_a_model_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = r.Model(base="someone/model")
    store = Store(tmp_path)

    def run(*_: object, **__: object) -> None:
        pytest.fail("asked twice")

    monkeypatch.setattr(resolving.process, "run", run)
    real = lock.read
    answers = [None]  # as it was before we waited

    def read(root: Path, request: dict[str, Any]) -> tuple[Item, ...] | None:
        return answers.pop() if answers else real(root, request)

    lock.write(store.folder(), hub_request(model), [Item(COMMIT)])
    monkeypatch.setattr(resolving.lock, "read", read)
    resolving.resolve(model, tmp_path, tmp_path / "log", "log")
