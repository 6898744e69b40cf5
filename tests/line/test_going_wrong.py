"""Trainings that go wrong for real: one sentence with the next step, exit code 3, and what was made before unharmed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

RECIPE = """
recipe: 1
name: trouble
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
split: {validation: 0.0}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 256}
adapter: {type: lora, r: 4, alpha: 8, dropout: 0.1, targets: [q_proj, v_proj]}
train:
  {max_steps: 12, micro_batch: 1, effective_batch: 1, packing: false, attention: sdpa, gradient_checkpointing: false,
   save_every: 3, learning_rate: 2e-3}
compute: {profile: cpu}
"""


class Place:
    """A workspace with the recipe, its rows and the tiny model."""

    def __init__(self, root: Path, forks: Any, tiny: Path) -> None:
        self.root, self.forks = root, forks
        shutil.copytree(tiny, root / "tiny")
        talk = [
            {
                "messages": [
                    {"role": "user", "content": f"Say {n}."},
                    {"role": "assistant", "content": f"{n}, then."},
                ]
            }
            for n in ("one", "two", "three", "four", "five", "six", "seven", "eight")
        ]
        (root / "talk.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talk))

    def start(self, recipe: str = RECIPE) -> Any:
        (self.root / "trouble.yaml").write_text(recipe)
        argv = ["run", self.root / "trouble.yaml", "--workspace", self.root, "--json", "--to", "train"]
        return self.forks.start(*argv)

    def run(self, recipe: str = RECIPE) -> tuple[int, str]:
        """Exit code, and the one error that it ended with."""
        code, data, said = self.start(recipe).end()
        assert "Traceback" not in said
        errors = data.get("errors", [{"what": ""}])
        assert len(errors) == 1
        return code, str(errors[0]["what"])

    def artifacts(self) -> dict[str, bytes]:
        """Every file of every artifact."""
        root = self.root / ".mirepoix/artifacts"
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def training(self) -> dict[str, Any]:
        (made,) = (self.root / ".mirepoix/artifacts").glob("*/*/training.json")
        data: dict[str, Any] = json.loads(made.read_bytes())
        return data

    def jobs(self) -> int:
        """How many times Axolotl was started."""
        logs = [p.read_text(errors="replace") for p in (self.root / "runs/trouble/logs").glob("*.log")]
        return sum(
            line.startswith("$ ") and "axolotl.cli.main" in line for log in logs for line in log.splitlines()
        )


@pytest.fixture
def place(forks: Any, tiny: Path, tmp_path: Path) -> Place:
    return Place(tmp_path, forks, tiny)


def test_a_model_that_is_not_here_and_a_hub_out_of_reach(place: Place) -> None:
    code, said = place.run(RECIPE.replace("base: tiny", "base: nobody/has-this-model"))
    assert code == 3
    assert "'nobody/has-this-model'" in said and "not on this machine" in said and "model.base" in said


def test_an_architecture_that_nobody_knows(place: Place) -> None:
    config = place.root / "tiny/config.json"
    config.write_text(
        json.dumps(json.loads(config.read_bytes()) | {"model_type": "nosuch", "architectures": ["NoSuch"]})
    )
    code, said = place.run()
    assert code == 3 and "'tiny'" in said and "'nosuch'" in said and "choose another base" in said


def test_a_schedule_that_is_longer_than_the_training(place: Place) -> None:
    """Eight rows, one epoch: known only once Axolotl has counted. The rate would stay a millionth of what was asked."""
    recipe = RECIPE.replace("max_steps: 12", "epochs: 1, schedule: warmup_stable_decay, decay_steps: 5000")
    code, said = place.run(recipe)
    assert code == 3 and "5000 steps, more than the whole training, 8" in said and "train.decay_steps" in said


def test_layers_that_the_base_lacks(place: Place) -> None:
    code, said = place.run(f"{RECIPE}axolotl: {{peft_layers_to_transform: [99]}}\n")
    assert code == 3 and "peft_layers_to_transform" in said and "'tiny'" in said


def test_a_tokenizer_with_more_tokens_than_the_base_has_rows(place: Place) -> None:
    """Axolotl would add rows to the embedding, train them all, and leave an adapter that fits no base."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(place.root / "tiny")
    tokenizer.add_tokens(["<extra_1>", "<extra_2>"])
    tokenizer.save_pretrained(place.root / "tiny")
    code, said = place.run()
    assert code == 3 and "has 292 tokens and its embedding 290 rows" in said and "model.base" in said


def test_a_template_that_raises(place: Place) -> None:
    (place.root / "own.jinja").write_text("{{ raise_exception('this template takes no users') }}")
    code, said = place.run(RECIPE.replace("chatml-tools", "own.jinja"))
    assert code == 3 and "this template takes no users" in said and place.jobs() == 0


def test_a_tokenizer_without_a_stop_token(place: Place) -> None:
    config = place.root / "tiny/tokenizer_config.json"
    about = json.loads(config.read_bytes())
    del about["eos_token"]
    config.write_text(json.dumps(about))
    code, said = place.run(RECIPE.replace("end_of_turn: <|im_end|>, ", ""))
    assert code == 3 and "model.end_of_turn" in said and place.jobs() == 0


@pytest.mark.parametrize("in_files", [True, False])
def test_a_target_that_the_base_lacks(place: Place, in_files: bool) -> None:
    """PEFT is content with one target that it finds; so is it found out before Axolotl starts."""
    if not in_files:  # so the model itself is asked
        for file in (place.root / "tiny").glob("*.safetensors"):
            file.write_bytes(b"")
    code, said = place.run(RECIPE.replace("[q_proj, v_proj]", "[q_proj, gate_prj]"))
    assert code == 3 and place.jobs() == 0
    assert "has no module 'gate_prj' (did you mean gate_proj?)" in said and "adapter.targets" in said


def test_weights_that_give_no_number(place: Place) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    file = place.root / "tiny/model.safetensors"
    weights = load_file(file)
    weights["model.layers.1.mlp.down_proj.weight"] = torch.full_like(
        weights["model.layers.1.mlp.down_proj.weight"], torch.inf
    )
    save_file(weights, file, metadata={"format": "pt"})
    code, said = place.run(RECIPE.replace("max_steps: 12", "max_steps: 500"))
    assert code == 3
    assert (
        "since step 1;" in said
        and "weights may be damaged" in said
        and "train.learning_rate (now 0.002)" in said
    )
    log = (place.root / "runs/trouble/logs/train.log").read_text()
    assert log.count("{'loss': ") < 400, "it was stopped, not waited for"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full(forks: Any, tiny: Path, small_disk: Path, tmp_path: Path) -> None:
    """Full while checkpoints are saved; with space again, it is the training that never was without."""
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other", forks, tiny)
    assert other.run() == (0, "")
    place = Place(small_disk, forks, tiny)
    started, filler = place.start(), small_disk / "filler"
    store = small_disk / ".mirepoix"
    while not list(store.glob("work/*/out/checkpoint-3/trainer_state.json")):
        assert started.running
    free = os.statvfs(small_disk)
    with suppress(OSError):  # the training may have taken some of it meanwhile: then it is full all the same
        filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 40_000)))
    code, data, said = started.end()
    assert code == 3 and "Traceback" not in said
    (error,) = data["errors"]
    assert "no space left" in error["what"] and "--workspace" in error["what"]
    before = place.artifacts()
    assert place.run()[0] == 3 and place.artifacts() == before  # still full
    filler.unlink()
    assert place.run() == (0, "")
    assert {n: b for n, b in place.artifacts().items() if n in before} == before
    assert place.training() == other.training()
