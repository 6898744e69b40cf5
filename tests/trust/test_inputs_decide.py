"""One bit of an input changed: nothing that was made of it before is taken. Changed back: all of it is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runner.load import load_recipe
from runner.plan import plan
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
filters:
  - words: {min: 1}
dedup: {exact: true}
split: {validation: 0.1}
"""


def test_random_bits_of_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    file = Path("talk.jsonl")
    whole = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 50
    file.write_bytes(whole)
    workspace = Workspace(tmp_path)

    def prints() -> dict[str, str]:
        made = plan(load_recipe(Path("r.yaml"), workspace), workspace, None)
        return {step.name: step.fingerprint for step in made.steps}

    before = prints()
    assert before.keys() >= {"source.talk", "filter", "dedup", "mix", "split"}
    dice = random.Random(7)
    for _ in range(60):
        data = bytearray(whole)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        file.write_bytes(data)
        after = prints()
        assert not [name for name in before if after[name] == before[name]]
        file.write_bytes(whole)
    assert prints() == before
