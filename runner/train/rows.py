"""Steps `rows` and `preprocess`: the records as Axolotl reads them, and what it makes of them."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from runner import basemodel, chat, lean, mix
from runner.making import Making, read_rows, write_json, write_rows
from runner.record import Record
from runner.store import digest, file_digest
from runner.train.jobs import axolotl_config, run_axolotl


def rows(m: Making) -> None:
    """The records in the shape and order in which Axolotl reads them."""
    recipe = m.plan.loaded.recipe
    for name in ("train", "validation"):
        records = list(read_rows(m.inputs["split"].file("data") / f"{name}.jsonl", Record))
        if name == "train" and recipe.train.group_by_length:
            records = mix.by_length(records, recipe.train.micro_batch, recipe.seed)
        learnt = basemodel.learnt(m.plan)
        write_rows(m.out / f"{name}.jsonl", (chat.for_trainer(record, learnt) for record in records))


def preprocess(m: Making) -> None:
    """`axolotl preprocess`: rows → token ids and labels, as the training will read them."""
    m.progress(0, 0, "axolotl preprocess")
    shutil.rmtree(m.work / "prepared", ignore_errors=True)  # one cut short fails every later run
    threading.Thread(target=_ready, daemon=True).start()
    run_axolotl(m, "preprocess", axolotl_config(m, m.work / "prepared", m.work / "out"))
    if not any((m.work / "prepared").rglob("*.arrow")):
        raise m.fail("axolotl preprocess left no prepared rows", log=True)
    name_by_rows(m.work / "prepared")
    shutil.move(m.work / "prepared", m.out / "prepared")


def name_by_rows(prepared: Path) -> None:
    """Name each set of rows by its bytes: `datasets` draws a name where it cannot tell how a set was made, and no two
    makings of the same rows would be the same files."""
    for path in sorted(prepared.rglob("state.json")):
        state = json.loads(path.read_bytes())
        state["_fingerprint"] = digest(
            [file_digest(path.parent / f["filename"]) for f in state["_data_files"]]
        )[:16]
        write_json(path, state)


def _ready() -> None:
    """Load what the proof needs while Axolotl works: it takes seconds. What is not there, the proof says."""
    with suppress(ImportError):
        lean.transformers()
        import transformers

        import datasets

        assert datasets.load_from_disk and transformers.AutoTokenizer
