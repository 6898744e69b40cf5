"""Step `train`: the training itself, and what is kept of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from runner.making import Making, write_json
from runner.store import digest, fsync
from runner.train.jobs import axolotl_config, run_axolotl
from runner.yaml12 import dump

_LOGGED = re.compile(rb"\{'loss': '?([-0-9.e]+)'?.*?'epoch': '?([0-9.e]+)'?\}")


def train(m: Making) -> None:
    """`axolotl train`; killed, it goes on from the newest whole checkpoint of this very fingerprint."""
    prepared, output = m.work / "prepared", m.work / "out"
    shutil.rmtree(prepared, ignore_errors=True)
    shutil.copytree(m.inputs["preprocess"].file("prepared"), prepared)
    _drop_torn(output)
    config = axolotl_config(m, prepared, output)
    epochs = float(config["num_epochs"])
    seen = 0

    def watch() -> None:
        nonlocal seen
        if not m.log.exists():
            return
        with m.log.open("rb") as f:
            f.seek(seen)
            new = f.read()
        found = list(_LOGGED.finditer(new))
        if found:
            seen += found[-1].end()
            loss, epoch = (float(x) for x in found[-1].groups())
            m.progress(round(1000 * epoch / epochs), 1000, f"loss {loss:.3f}")

    seen = m.log.stat().st_size if m.log.exists() else 0
    m.progress(0, 1000, "starting axolotl train")
    run_axolotl(m, "train", config, watch)
    _collect(m, output)


def _drop_torn(output: Path) -> None:
    """Remove checkpoints that a kill cut short: the trainer's state is the last file of each."""
    for checkpoint in output.glob("checkpoint-*"):
        try:
            json.loads((checkpoint / "trainer_state.json").read_bytes())
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)


def _history(output: Path) -> dict[str, Any]:
    """The trainer's own log, out of the last checkpoint."""
    states = sorted(
        output.glob("checkpoint-*/trainer_state.json"), key=lambda p: int(p.parent.name.split("-")[1])
    )
    state: dict[str, Any] = json.loads(states[-1].read_bytes()) if states else {"log_history": []}
    return state


def _collect(m: Making, output: Path) -> None:
    weights = output / "adapter_model.safetensors"
    if not weights.is_file():
        raise m.fail("axolotl train left no adapter", log=True)
    state = _history(output)
    logged = state["log_history"]
    steps = [{k: x.get(k) for k in ("step", "loss", "learning_rate", "epoch")} for x in logged if "loss" in x]
    validation = [{"step": x["step"], "loss": x["eval_loss"]} for x in logged if "eval_loss" in x]
    if not steps:
        raise m.fail("axolotl train logged no loss", log=True)
    adapter = m.out / "adapter"
    adapter.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copyfile(output / name, adapter / name)
        fsync(adapter / name)
    if m.plan.template is not None:
        (adapter / "chat_template.jinja").write_text(m.plan.template, encoding="utf-8")
    write_json(
        adapter / "mirepoix.json",
        {
            "recipe": m.plan.loaded.recipe.name,
            "step": m.step.fingerprint,
            "template": digest(m.plan.template),
            # An adapter trained on four bits belongs on a base in four bits; on its own weights it does worse.
            "base_weights": "nf4" if m.plan.loaded.recipe.adapter.type == "qlora" else "as they are",
        },
    )
    config = axolotl_config(m, m.work / "prepared", output)
    (m.out / "axolotl.yml").write_text(dump(config), encoding="utf-8")
    write_json(
        m.out / "training.json",
        {
            "steps": steps,
            "validation": validation,
            "adapter_bytes": weights.stat().st_size,
            "trainable_parameters": _parameters(weights),
        },
    )


def _parameters(weights: Path) -> int:
    """How many numbers a safetensors file holds, from its header."""
    with weights.open("rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            n = 1
            for size in tensor["shape"]:
                n *= size
            total += n
    return total
