"""Rows and tokens as prepare left them: read from the artifacts, never counted anew.

Plain Python reads them, since `recipe plan` loads no numpy.
"""

from __future__ import annotations

import ast
import json
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.store import Artifact, Store

if TYPE_CHECKING:
    from runner.steps import Plan

_CODES = {
    "<u4": "I",
    "<i4": "i",
    "<u2": "H",
    "<i2": "h",
    "<i8": "q",
    "<u8": "Q",
    "|u1": "B",
    "|b1": "B",
    "|i1": "b",
}


def numbers(path: Path) -> array[int]:
    """A one-dimensional .npy file of whole numbers or truth values. Raises ValueError for any other.

    Format: numpy.lib.format.
    """
    raw = path.read_bytes()
    if raw[:6] != b"\x93NUMPY":
        raise ValueError(f"{path.name} is no .npy file")
    start = 10 if raw[6] == 1 else 12
    length = struct.unpack("<H" if raw[6] == 1 else "<I", raw[8:start])[0]
    header = ast.literal_eval(raw[start : start + length].decode("latin1"))
    if header["descr"] not in _CODES or len(header["shape"]) != 1 or sys.byteorder != "little":
        raise ValueError(f"{path.name}: {header['descr']} of shape {header['shape']} is not read here")
    out = array(_CODES[header["descr"]])
    out.frombytes(raw[start + length :])
    if len(out) != header["shape"][0]:
        raise ValueError(f"{path.name} is cut short")
    return out


@dataclass(frozen=True)
class Lengths:
    """Tokens of each row, in the order in which they stand in the data."""

    train: Sequence[int]
    validation: Sequence[int]
    labelled: float | None = None
    """Share of the tokens that are trained: of these rows where the proof has counted them, else of all that could be
    rendered."""


def counted(plan: Plan) -> Lengths | None:
    """What the plan's own artifacts say; None where prepare has not run on this recipe as it is now."""
    store, recipe = Store(plan.workspace.root), plan.loaded.recipe

    def made(name: str) -> Artifact | None:
        return next((store.get(s.fingerprint, verify=False) for s in plan.steps if s.name == name), None)

    mixed, split = made("mix"), made("split")
    if recipe.model is None or mixed is None or split is None:
        return None
    try:
        if recipe.model.over_length == "split":  # a row may have become several records
            train, validation = (_written(split.file(f"data/{n}.jsonl")) for n in ("train", "validation"))
        else:
            tokens, order, held = (numbers(mixed.file(f"{n}.npy")) for n in ("tokens", "order", "held"))
            train = [tokens[i] for i in order if not held[i]]
            validation = [tokens[i] for i in order if held[i]]
    except (OSError, ValueError, SyntaxError, KeyError, IndexError):
        return None
    if recipe.train.group_by_length:
        train.sort()  # as the step `rows` does: its batches hold the same rows, in another order of batches
    proof, rendered = made("proof"), made("render")
    of_all = _labelled(rendered.file("counts.json")) if rendered else None
    return Lengths(train, validation, _labelled(proof.file("proof.json")) if proof else of_all)


def _written(path: Path) -> list[int]:
    """The tokens that each record says it has: `split` writes them into its last field, `meta`."""
    mark, out = b'"tokens":"', []
    with path.open("rb") as lines:
        for line in lines:
            _, found, rest = line.rpartition(mark)
            if not found:
                raise ValueError(f"{path.name}: a record that does not say its tokens")
            out.append(int(rest.partition(b'"')[0]))
    return out


def _labelled(path: Path) -> float | None:
    try:
        said = json.loads(path.read_bytes())
        return float(said["trained_tokens"]) / float(said["tokens"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None
