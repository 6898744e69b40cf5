"""What a job that answers is told of one set of probes, whoever answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ProbeSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`probes` is a JSONL file of Probe; `out` the file of their answers, each set's in a folder of its own; `arm` is
    written into every answer. With a `temperature`, answers are drawn, `repeats` of them to each probe. A probe's world
    answers calls `rounds` times at most."""

    arm: str
    probes: str
    out: str
    max_new_tokens: Annotated[int, Meta(ge=1)] = 256
    temperature: Annotated[float, Meta(ge=0)] = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    repeats: Annotated[int, Meta(ge=1)] = 1
    rounds: Annotated[int, Meta(ge=1)] = 4
