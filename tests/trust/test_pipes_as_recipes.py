"""A pipe that nobody writes to is refused, wherever a YAML file is named; waiting for it would never end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import RecipeError, UsageError
from runner.load import load_recipe
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [a.jsonl]}
model: {base: embedded/smollm2-135m-instruct}
evaluate: {suites: [mine]}
"""


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    def over(number: int, frame: object) -> None:
        pytest.fail("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["pipe.yaml", "link.yaml", "/dev/zero"])
def test_a_recipe_that_is_a_pipe_or_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.yaml")
    Path("link.yaml").symlink_to("pipe.yaml")
    with pytest.raises(UsageError, match=r"cannot be read: it is a pipe or a device, and no file"):
        load_recipe(Path(name), Workspace(tmp_path))


def test_a_suite_that_is_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evals/suites").mkdir(parents=True)
    os.mkfifo("evals/suites/mine.yaml")
    Path("a.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    Path("r.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=r"r.yaml:6:21: .*mine.yaml: cannot be read: it is a pipe"):
        load_recipe(Path("r.yaml"), Workspace(tmp_path))
