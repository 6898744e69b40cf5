"""How well a model foresees plain texts: mean loss a token, for held-out passages.

Started through `runner.jobs.generate` with `"kind": "perplexity"`. Texts go in raw, without a chat
template, behind the beginning-of-text token where the tokenizer adds one; the first token has
nothing before it and is not counted. Perplexity is exp(nats); compare arms by pairing ids. Token
counts are the tokenizer's, so models with different tokenizers cannot be compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from runner.jobs.generate import batches, facts_of, made_by, work_digest
from runner.jobs.job import Job, progress, read_rows
from runner.jobs.journal import Journal
from runner.jobs.loading import Loaded, load
from runner.jobs.share import Share, tell


class PerplexityJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`texts` is a JSONL file of {"id", "text"}; `batch` is in texts."""

    dtype: Literal["bfloat16", "float32"] = "float32"
    texts: str
    out: str
    arm: str = ""
    progress: str | None = None
    batch: Annotated[int, Meta(ge=1)] = 8


class Text(Struct, frozen=True):
    id: str
    text: str


class Loss(Struct, frozen=True):
    """Mean loss in `nats` over the `tokens` foreseen; None where the text has no second token."""

    id: str
    nats: float | None
    tokens: int


def measure(job: PerplexityJob) -> None:
    """Write one Loss a line to `out`, in the order of the texts. Raises StepError."""
    texts = read_rows(job.texts, Text)
    loaded = load(job)
    work = work_digest(job, job.texts, made_by(loaded))
    journal = Journal(Path(job.out), work)
    ids = {t.id: list(loaded.tokenizer(t.text)["input_ids"])[: loaded.limit] for t in texts}
    for keys in batches({key: len(row) for key, row in ids.items()}, job.batch):
        if all(key in journal.done for key in keys):
            continue
        found = losses(loaded, {key: ids[key] for key in keys})
        journal.append({loss.id: msgspec.json.encode(loss) for loss in found})
        progress(job.progress, len(journal.done), len(texts))
    tell(Path(job.out), facts_of(job.arm, loaded), Share(), work, {})
    journal.finish([t.id for t in texts])


def losses(loaded: Loaded, rows: dict[str, list[int]]) -> list[Loss]:
    """The losses of one batch of token ids; texts longer than the model are cut at its end."""
    import torch
    from torch.nn.functional import cross_entropy

    width = max(2, *map(len, rows.values()))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows.values()])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows.values()])
    device = loaded.model.device
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        found = []
        for i, (key, row) in enumerate(rows.items()):
            n = len(row) - 1
            if n < 1:
                found.append(Loss(key, None, 0))
                continue
            # Row by row: the float32 copy of a whole batch would be gigabytes.
            nats = cross_entropy(logits[i, :n].float(), ids[i, 1 : n + 1].to(device))
            found.append(Loss(key, float(nats), n))
    return found
