"""Passes and optimizer steps: the arithmetic of Axolotl and of the Transformers trainer under it.

Axolotl hands the trainer `max_steps`, either the recipe's or its own count, so the trainer's own count from epochs
matters only where that is 0. Sources, in Axolotl 0.19 and Transformers 5.16: `axolotl/utils/trainer.py`
(`calculate_total_num_steps`), `axolotl/core/builders/base.py` (`max_steps`), `transformers/trainer.py`
(`set_initial_training_values`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.forecast import packing

VARLEN = ("flash_attention", "flex_attention", "xformers", "sage", "ring")
"""Kinds of attention that keep packed records apart by themselves: Axolotl then packs a batch into one long row."""
SEEDING = "runner.jobs.axolotl_seeding.SeedingPlugin"
"""With this plug-in, the orders in which Axolotl packs are those of the recipe's seed."""
EXACT_ROWS = 300_000
"""Packing is counted exactly up to so many rows, and beyond it drawn up from the first so many."""


@dataclass(frozen=True)
class Passes:
    """One epoch as the trainer reads it."""

    rows: int
    tokens: int
    """Of the records, each once."""
    batches: int
    padded_tokens: int
    """What is computed: tokens with their padding."""
    largest: int
    """Tokens in the largest batch, padding included."""
    longest: int
    """Tokens in the longest record."""
    mean_square: float
    """Mean of (length of the record that a token stands in): what attention costs."""
    sequences: int | None
    """With packing: sequences made."""
    exact: bool = True
    """Whether `batches` is certain, not only close."""
    spread: int = 0
    """Batches more that the least lucky of the orders tried makes."""


def varlen(config: Mapping[str, Any]) -> bool:
    return str(config.get("attn_implementation") or "").startswith(VARLEN)


def passes(lengths: Sequence[int], config: Mapping[str, Any], seed: int = 0) -> Passes:
    """One epoch of records of these lengths, in the order of the file, under an Axolotl config."""
    micro, longest = int(config["micro_batch_size"]), max(lengths, default=0)
    tokens = sum(lengths)
    square = sum(n * n for n in lengths) / tokens if tokens else 0.0
    if config.get("sample_packing"):
        return _packed(lengths, config, square)
    rows = list(lengths)
    if not config.get("curriculum_sampling"):
        random.Random(seed).shuffle(rows)  # the trainer's order is another one, its padding much the same
    found = packing.padded(rows, micro, _multiple(config))
    sizes = [many * long for many, long in found]
    return Passes(len(rows), tokens, len(sizes), sum(sizes), max(sizes, default=0), longest, square, None)


def _multiple(config: Mapping[str, Any]) -> int:
    """Rows are padded to a multiple of this."""
    of = int(config.get("pad_to_multiple_of") or 64)
    wanted = config.get("pad_to_sequence_len")
    if wanted:
        return packing.round_up(int(config["sequence_len"]), of)
    return of if wanted is None else 1


def _packed(lengths: Sequence[int], config: Mapping[str, Any], square: float) -> Passes:
    micro, longest = int(config["micro_batch_size"]), int(config["sequence_len"])
    one_row = varlen(config) and not config.get("multipack_real_batches")
    capacity = longest * micro if one_row else longest
    most = int(config.get("sample_packing_bin_size") or packing.MOST_IN_BIN)
    group = int(config.get("sample_packing_group_size") or packing.GROUP)
    some = lengths[:EXACT_ROWS]
    scale, few = len(lengths) / len(some) if some else 1, len(some) == len(lengths)
    in_order = bool(config.get("curriculum_sampling"))
    seeded = SEEDING in (config.get("plugins") or [])
    if in_order or not few:
        draws = [packing.packed(some, capacity, most, group)]
    else:  # without a seed the orders are others each time: these only show how much they differ
        draws = list(packing.drawn(some, capacity, int(config.get("seed") or 0), most, group))
    # With one long row a bin is a batch; else `micro` bins are, and what does not fill a batch is left out.
    counts = [round(len(bins) * scale) // (1 if one_row else micro) for bins in draws]
    batches, bins = min(zip(counts, draws, strict=True), key=lambda pair: pair[0])
    multiple = _multiple(config)
    if one_row:
        sizes = [packing.round_up(n, multiple) for n in bins]
        padded, largest = round(sum(sizes) * scale), max(sizes, default=0)
    else:
        largest = packing.round_up(longest, multiple) * micro
        padded = batches * largest
    return Passes(
        rows=len(lengths),
        tokens=sum(lengths),
        batches=batches,
        padded_tokens=padded,
        largest=largest,
        longest=max(lengths, default=0),
        mean_square=square,
        sequences=round(len(bins) * scale),
        exact=few and (in_order or seeded),
        spread=max(counts) - batches,
    )


@dataclass(frozen=True)
class Steps:
    steps: int
    passes: int
    """Batches read in all, over the epochs."""
    epochs: float
    """Passes over the data that this really is."""


def steps(epoch: Passes, config: Mapping[str, Any], processes: int = 1) -> Steps:
    """How many optimizer steps a training takes; early stopping may end it sooner."""
    micro, accumulate = int(config["micro_batch_size"]), int(config["gradient_accumulation_steps"])
    epochs, batch = float(config["num_epochs"]), micro * accumulate * processes
    if config.get("sample_packing"):
        counted = math.floor(max(1, epoch.batches * micro // batch) * epochs)
    else:
        counted = math.ceil(epoch.rows * epochs / batch)
    mine = (
        epoch.batches
        if config.get("sample_packing") and processes == 1
        else math.ceil(epoch.batches / processes)
    )
    updates = max(math.ceil(mine / accumulate), 1)  # in an epoch
    total = int(config.get("max_steps") or 0) or counted or math.ceil(epochs * updates)
    whole, rest = divmod(total, updates)
    read = whole * mine + rest * accumulate
    return Steps(total, read, read / mine if mine else 0.0)
