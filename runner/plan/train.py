"""The steps of stage train: rows, preprocess, proof, train."""

from __future__ import annotations

import msgspec

from runner import axolotl, hardware
from runner import recipe as r
from runner.plan.planner import Planner, versions
from runner.steps import RENDERING, TRAINING


def train(p: Planner, model: r.Model, data: str) -> str:
    base = ["model"] if "model" in p.steps else []
    batch = p.recipe.train.micro_batch if p.recipe.train.group_by_length else None
    order = {"batch": batch, "seed": p.recipe.seed, "learnt": p.learnt()}
    rows = p.add("rows", "rows", "train", [data], order)
    config = axolotl.config(
        # Who is told decides nothing, nor who starts the processes.
        msgspec.structs.replace(
            p.recipe, track=r.Track(), compute=msgspec.structs.replace(p.recipe.compute, engine="local")
        ),
        p.profile,
        axolotl.Paths("MODEL", "TRAIN", "VALIDATION", "PREPARED", "OUTPUT"),
        p.template,
        bf16=hardware.bf16(p.profile),
    )
    of_data = ("base_model", "revision_of_model", "chat_template", "chat_template_jinja", "eot_tokens",
               "datasets", "test_datasets", "sequence_len", "sample_packing", "eval_sample_packing",
               "seed")  # fmt: skip
    common = {"model": p.base_model(model), "libraries": versions(TRAINING)}
    data_config = {k: v for k, v in config.items() if k in of_data}
    needs = [rows, *base]
    last = p.add("preprocess", "preprocess", "train", needs, {"config": data_config} | common)
    proven = {"libraries": versions(RENDERING), "learnt": p.learnt()}
    last = p.add("proof", "proof", "train", [last, data, *base], proven)
    return p.add("train", "train", "train", [last, "preprocess", *needs], {"config": config} | common)
