"""Step `train`: the training itself, and what is kept of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from runner.making import Making
from runner.train import checkpoints
from runner.train.collecting import collect, forget, weights
from runner.train.jobs import axolotl_config, run_axolotl
from runner.train.watching import Watch


def train(m: Making) -> None:
    """`axolotl train`; killed, it goes on from the newest whole checkpoint of this very fingerprint.

    Checkpoints lie in the step's work folder, which is named by the fingerprint: no other recipe finds them. Their
    optimizer and random states are torch's pickles, which only this training reads (as plain data, `weights_only`);
    the artifact has none.
    """
    prepared, output = m.work / "prepared", m.work / "out"
    config = axolotl_config(m, prepared, output)
    last = checkpoints.settle(output)
    before = checkpoints.state(last) if last else {}
    if last and checkpoints.ended(before) and (done := _final(m, last, before, config)):
        collect(m, done, before)  # killed when all was trained and little was left to do
        return
    shutil.rmtree(prepared, ignore_errors=True)
    shutil.copytree(m.inputs["preprocess"].file("prepared"), prepared)
    rows = _sets(prepared)
    forget(output)
    m.progress(0, 1000, "starting axolotl train")
    watch = Watch(m, before.get("global_step", 0), float(config["num_epochs"]), config.get("max_steps"))
    run_axolotl(m, "train", config, watch)
    if _sets(prepared) != rows:
        raise m.fail("axolotl train prepared rows of its own, which the proof has not seen", log=True)
    after = checkpoints.history(output)
    if not (
        watch.over or checkpoints.ended(after)
    ):  # on SIGINT, Axolotl saves what it has and says all is well
        what = f"the training stopped at step {after['global_step']} of {after.get('max_steps', '?')}"
        raise m.fail(f"{what}; run it again to go on", log=True)
    collect(m, output, after)


def _sets(prepared: Path) -> list[Path]:
    """Axolotl's sets of prepared rows. One whose name, a hash of its config, it does not find it makes anew."""
    return sorted(prepared.rglob("dataset_info.json"))


def _final(m: Making, last: Path, state: dict[str, Any], config: dict[str, Any]) -> Path | None:
    """The checkpoint that a training which is over would have kept; None where it does not hold what was trained."""
    best = state.get("best_model_checkpoint")
    folder = last.with_name(Path(best).name) if best and config.get("load_best_model_at_end") else last
    whole = weights(folder, m.plan.loaded.recipe.adapter) and checkpoints.wrong(folder) is None
    return folder if whole else None
