"""What a training leaves: an adapter, or a whole model, and what was logged on the way."""

from __future__ import annotations

import json
import math
from math import prod
from pathlib import Path
from typing import Any

from runner import axolotl
from runner import recipe as r
from runner.making import Making, write_json
from runner.store import digest, fsync, place
from runner.train import checkpoints
from runner.train.jobs import axolotl_config
from runner.yaml12 import dump

ADAPTER, MODEL, INDEX = "adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json"
# Nothing else goes with a model: no optimizer's state, no pickle, no code.
BESIDE = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja",
)  # fmt: skip
LOGGED = ("step", "loss", "learning_rate", "grad_norm", "epoch")


def weights(output: Path, adapter: r.Adapter) -> list[Path]:
    """The files of weights that a training left in a folder; none where one is missing."""
    if adapter.type != "full":
        found = [output / ADAPTER]
    elif (output / INDEX).is_file():
        shards = json.loads((output / INDEX).read_bytes())["weight_map"].values()
        found = [output / name for name in sorted(set(shards))]
    else:
        found = [output / MODEL]
    return found if all(p.is_file() for p in found) else []


def forget(output: Path) -> None:
    """Remove what an earlier try left as its result: it must not pass for this one's."""
    for file in [output / ADAPTER, output / INDEX, *output.glob("model*.safetensors")]:
        file.unlink(missing_ok=True)


def base_weights(adapter: r.Adapter) -> str:
    """What an adapter stands on: one trained on four bits does worse on the base's own weights."""
    if adapter.type != "qlora":
        return "as they are"
    return adapter.quant_type + ("" if adapter.double_quant else "-single")


def about(m: Making) -> dict[str, Any]:
    """mirepoix.json: what was trained, with which template, on which weights; of a hub's model on which commit."""
    recipe = m.plan.loaded.recipe
    known = {"step": m.step.fingerprint, "template": digest(m.plan.template)}
    commit = (m.step.ingredients.get("model") or {}).get("revision")
    return known | {"base_weights": base_weights(recipe.adapter)} | ({"revision": commit} if commit else {})


def collect(m: Making, output: Path, state: dict[str, Any]) -> None:
    """The step's artifact, out of the folder that holds the result and the trainer's last state."""
    recipe = m.plan.loaded.recipe
    name = recipe.adapter.folder
    files = weights(output, recipe.adapter)
    if not files:
        raise m.fail(f"axolotl train left no {name}", log=True)
    logged = state["log_history"]
    steps = [{k: x.get(k) for k in LOGGED} for x in logged if "loss" in x]
    if not steps:
        raise m.fail("axolotl train logged no loss", log=True)
    kept = m.out / name
    also = ["adapter_config.json"] if name == "adapter" else [*BESIDE, INDEX]
    for file in files + [output / n for n in also if (output / n).is_file()]:
        place(file, kept / file.name)
        fsync(kept / file.name)
    if m.plan.template is not None:
        (kept / "chat_template.jinja").unlink(missing_ok=True)
        (kept / "chat_template.jinja").write_text(m.plan.template, encoding="utf-8")
    write_json(kept / "mirepoix.json", about(m))
    config = axolotl_config(m, m.work / "prepared", m.work / "out")
    (m.out / "axolotl.yml").write_text(dump(axolotl.untold(config)), encoding="utf-8")
    size, numbers = sum(p.stat().st_size for p in files), sum(map(_parameters, files))
    training: dict[str, Any] = {
        "steps": steps,
        "validation": _validation(logged, config.get("eval_steps")),
        "trainable_parameters": numbers,
    }
    training |= {f"{name}_bytes": size}
    if config.get("load_best_model_at_end"):
        training["best"] = _best(m, state)
    write_json(m.out / "training.json", training)


def _validation(logged: list[dict[str, Any]], every: int | None) -> list[dict[str, Any]]:
    """Losses on the validation split, each step's once.

    Axolotl evaluates before the first step, and so again wherever a training is gone on with: at a step that is not
    due, which a training that was never stopped would not have.
    """
    last = max((x["step"] for x in logged), default=0)
    found = {x["step"]: x["eval_loss"] for x in logged if "eval_loss" in x}
    due = [s for s in sorted(found) if not every or s % every == 0 or s == last]
    return [{"step": step, "loss": found[step]} for step in due]


def _best(m: Making, state: dict[str, Any]) -> dict[str, Any]:
    """Which checkpoint the result is. Transformers leaves the last one where it finds no best, and goes on."""
    loss, step = state.get("best_metric"), state.get("best_global_step")
    if not state.get("best_model_checkpoint") or not isinstance(loss, int | float) or not math.isfinite(loss):
        raise m.fail("no checkpoint had a finite loss on the validation split, so none is the best", log=True)
    return {"step": step, "loss": loss}


def _parameters(file: Path) -> int:
    """How many numbers a safetensors file holds, from its header."""
    return sum(prod(tensor["shape"]) for tensor in checkpoints.safetensors_header(file).values())
