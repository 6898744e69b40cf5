"""Step `proof`: Axolotl's prepared rows are the records, trained where they should be and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner import basemodel, chat
from runner.making import Making, read_rows, write_json
from runner.record import Record
from runner.store import digest


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
