"""Write the tuned model in one piece for a server that lm-eval asks: `python -m runner.jobs.lm_weights JOB.json`.

vLLM ends itself when the log-probabilities of many prompts are asked of a model that wears an adapter. So the adapter
is merged first, by the very steps that the Transformers back end takes and in float32 too: both score one model.
`expected.json` says what the merged model and its base make of a fixed prompt, by which is proved later that the server
serves the one and not the other; it is written last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner.errors import StepError
from runner.jobs.job import Job, command
from runner.jobs.loading import PROMPT, AdapterProof, load

EXPECTED = "expected.json"
SHARD = "5GB"


class LmWeightsJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model goes into the folder `out`."""

    out: str


class Expected(Struct, frozen=True):
    """Log-probabilities of each token of `ids` but the first, with the adapter and without."""

    proof: AdapterProof
    ids: list[int]
    tuned: list[float]
    base: list[float]


def write(job: LmWeightsJob) -> None:
    """Raises StepError, also where the adapter does nothing."""
    shown: dict[str, list[Any]] = {}

    def worn(model: Any, tokenizer: Any) -> None:
        ids = _ids(tokenizer)
        shown.update(ids=ids, tuned=_logs(model, ids))
        with model.disable_adapter():
            shown["base"] = _logs(model, ids)

    loaded = load(job, worn)
    if loaded.proof is None:
        raise StepError("lm_weights", "no adapter is named, so there is nothing to merge")
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    loaded.model.save_pretrained(out, max_shard_size=SHARD)
    loaded.tokenizer.save_pretrained(out)
    expected = Expected(loaded.proof, **shown)
    (out / EXPECTED).write_bytes(msgspec.json.encode(expected) + b"\n")


def _ids(tokenizer: Any) -> list[int]:
    """At least two tokens: of the first nothing is foretold."""
    ids = list(tokenizer(PROMPT)["input_ids"])
    return ids if len(ids) > 1 else [0, 1]


def _logs(model: Any, ids: list[int]) -> list[float]:
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
    logs = torch.log_softmax(logits[:-1], -1)
    return [float(logs[n, token]) for n, token in enumerate(ids[1:])]


def run(raw: bytes) -> None:
    write(msgspec.json.decode(raw, type=LmWeightsJob))


if __name__ == "__main__":
    command("lm_weights", run)
