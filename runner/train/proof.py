"""Step `proof`: Axolotl's prepared rows are the records, trained where they should be and nowhere else."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from runner import basemodel, chat, templates
from runner.making import Making, read_rows, write_json
from runner.record import Record
from runner.store import digest


class _Row(NamedTuple):
    """A row that Axolotl prepared."""

    ids: list[int]
    labels: list[int]
    positions: list[int] | None


def _prepared(folder: Path) -> Iterator[_Row]:
    """Each row that Axolotl prepared, in no order that matters."""
    from datasets import load_from_disk

    for info in sorted(folder.rglob("dataset_info.json")):
        for row in load_from_disk(str(info.parent)):
            yield _Row(row["input_ids"], row["labels"], row.get("position_ids"))


def _records(m: Making) -> Iterator[Record]:
    data = m.inputs["split"].file("data")
    for name in ("train", "validation"):
        yield from read_rows(data / f"{name}.jsonl", Record)


def proof(m: Making) -> None:
    """The prepared rows are the records; labels stand on what is to be learnt and its stop tokens, no more.

    Held in memory is a digest of each record's tokens, with its id and which of them are trained, eight to a byte.
    """
    render = basemodel.renderer(m)
    _embedded(m, render)
    expected: dict[bytes, list[tuple[str, bytes]]] = {}
    counts = {"records": 0, "tokens": 0, "trained_tokens": 0}
    for record in _records(m):
        try:
            done = render.render(record)
        except templates.TooMuch as e:
            raise m.fail(f"the chat template {e}, in record {record.id}") from None
        expected.setdefault(_key(done.ids), []).append((record.id, _bits(done.trained)))
        counts["records"] += 1
        counts["tokens"] += len(done.ids)
        counts["trained_tokens"] += sum(done.trained)
    for row in _prepared(m.inputs["preprocess"].file("prepared")):
        _check(m, render, row, expected)
    missing = [id for rows in expected.values() for id, _ in rows]
    if missing:
        raise m.fail(f"axolotl dropped {len(missing)} of {counts['records']} records, such as {missing[0]}")
    write_json(m.out / "proof.json", counts | {"template": digest(m.plan.template)})


def _embedded(m: Making, render: chat.Renderer) -> None:
    """Each token of the tokenizer has its row in the embedding. Axolotl adds those that are missing, and trains
    all of them: an adapter of many times the size, which fits no base."""
    from transformers import AutoConfig

    model = m.plan.loaded.recipe.model
    assert model is not None
    place = render.tokenizer.name_or_path
    config = AutoConfig.from_pretrained(
        place, revision=model.revision, local_files_only=True, trust_remote_code=False
    )
    rows = getattr(config.get_text_config(), "vocab_size", None)
    if rows and len(render.tokenizer) > rows:
        raise m.fail(
            f"model.base: the tokenizer of {model.base!r} has {len(render.tokenizer)} tokens and its embedding {rows} "
            "rows, so that Axolotl would add the others and train them all; choose a base whose tokenizer fits it"
        )


def _check(
    m: Making, render: chat.Renderer, row: _Row, expected: dict[bytes, list[tuple[str, bytes]]]
) -> None:
    """One prepared row against the record that it is; that one is then done with."""
    rows = expected.get(_key(row.ids))
    if not rows:
        text = render.tokenizer.decode(row.ids)[:120]
        raise m.fail(f"axolotl prepared a row that is no record as rendered: {text!r}")
    trained = [x != -100 for x in row.labels]
    # Records of the same words may differ in what of them is trained.
    at = next((n for n, (_, wanted) in enumerate(rows) if wanted == _bits(trained)), None)
    id, _ = rows.pop(at or 0)
    if not rows:
        del expected[_key(row.ids)]
    if at is None:
        record = next(r for r in _records(m) if r.id == id)
        raise m.fail(_wrong(render, id, row.ids, render.render(record).trained, trained))
    if any(label not in (-100, id_) for label, id_ in zip(row.labels, row.ids, strict=True)):
        raise m.fail(f"record {id}: a label is not the token that it stands on")
    # Packed rows are told apart by where their positions begin again.
    if row.positions is not None and list(row.positions) != list(range(len(row.ids))):
        raise m.fail(f"record {id}: its positions do not count from 0, so packing would not keep it apart")


def _key(ids: list[int]) -> bytes:
    return blake2b(array("q", ids).tobytes(), digest_size=16).digest()


def _bits(trained: list[bool]) -> bytes:
    import numpy as np

    return np.packbits(np.array(trained, dtype=bool)).tobytes()


def _wrong(render: chat.Renderer, id: str, ids: list[int], wanted: list[bool], got: list[bool]) -> str:
    at = next(i for i, (a, b) in enumerate(zip(wanted, got, strict=True)) if a != b)
    what = "is not trained but should be" if wanted[at] else "is trained but should not be"
    token = render.tokenizer.decode(ids[at : at + 1])
    around = render.tokenizer.decode(ids[max(0, at - 6) : at + 6])
    wrong = sum(a != b for a, b in zip(wanted, got, strict=True))
    return f"record {id}: token {at} {token!r} {what}, near {around!r} ({wrong} tokens differ)"
