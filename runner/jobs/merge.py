"""Merge an adapter into the base that it was trained on: `python -m runner.jobs.merge JOB.json`.

Merging is done in float32, on the very numbers that the adapter was trained on (see `loading`), and saved in bfloat16
as safetensors. The proof is part of it: base with adapter, merged, and saved model read back, on one prompt and its
greedy answer. A merge that changes what the model says is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner.errors import StepError
from runner.jobs.job import Job, command
from runner.jobs.loading import PROMPT, Loaded, load, tokenizer_of

QUESTION = "What is the capital of France, and what is it known for?"
NEW = 24  # greedy tokens
MERGE_ERROR = 1e-3  # of a logit, as a share of the largest: what float32 may lose
SAVED_ERROR = 0.05  # of the logits' spread, as a root mean square: what rounding to bfloat16 may
SHARD = "5GB"
KEPT = (".json", ".jinja", ".safetensors", ".txt", ".md")


class MergeJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tokenizer` writes only the tokenizer's files to the folder `out`, with the template; `merge` the whole model,
    and its proof to the file `proof`."""

    kind: Literal["tokenizer", "merge"]
    out: str
    proof: str = ""


@dataclass
class _Shown:
    """What base and adapter say, not merged: prompt and answer as token ids, and the logits over both."""

    ids: list[int] = field(default_factory=list)
    prompt: int = 0
    logits: Any = None


def merge(job: MergeJob) -> None:
    """Write the merged model. Raises StepError where the merge is not what adapter and base are."""
    import torch

    shown = _Shown()

    def worn(model: Any, tokenizer: Any) -> None:
        prompt = _prompt(tokenizer)
        shown.ids, shown.prompt = prompt + _greedy(model, prompt), len(prompt)
        shown.logits = _logits(model, shown.ids)

    loaded = load(job, worn)
    adapter = loaded.proof
    if adapter is None:  # no adapter: a whole model, which is only saved in another type
        worn(loaded.model, loaded.tokenizer)
    merged = _logits(loaded.model, shown.ids)
    error = float((merged - shown.logits).abs().max())
    agreed, new = _agreed(merged, shown), len(shown.ids) - shown.prompt
    if not error <= MERGE_ERROR * max(1.0, float(shown.logits.abs().max())) or agreed < new:
        what = f"a logit differs by {error:.3g}, and {agreed} of {new} greedy tokens are the same"
        raise StepError("merge", f"the merged model is not base and adapter: {what}")
    _save(loaded, Path(job.out))
    del loaded  # two models in float32 would be one too many
    saved = _logits(_read_back(job.out, torch.float32), shown.ids)
    spread = float((saved - shown.logits).square().mean().sqrt() / shown.logits.std())
    if not spread <= SAVED_ERROR:
        raise StepError(
            "merge", f"the saved model says something else: its logits differ by {spread:.1%} of their spread"
        )
    proof = {
        "prompt_tokens": shown.prompt,
        "greedy_tokens": new,
        "saved_greedy_tokens": _agreed(saved, shown),
        "merge_error": error,
        "saved_error": float((saved - shown.logits).abs().max()),
        "saved_spread": spread,
        "max_logit_difference": adapter.max_logit_difference if adapter else None,
        "modules": adapter.modules if adapter else 0,
    }
    Path(job.proof).write_bytes(msgspec.json.encode(proof) + b"\n")


def _prompt(tokenizer: Any) -> list[int]:
    """A question as the template asks it; where it refuses, plain text."""
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": QUESTION}], tokenize=False, add_generation_prompt=True
        )
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    except (TemplateError, TypeError, ValueError):
        return list(tokenizer(PROMPT)["input_ids"]) or [0]


def _greedy(model: Any, prompt: list[int]) -> list[int]:
    """The likeliest tokens after the prompt, one after the other; stop tokens stop nothing here."""
    import torch

    ids, past, found = torch.tensor([prompt]), None, list[int]()
    with torch.inference_mode():
        for _ in range(NEW):
            out = model(input_ids=ids, past_key_values=past, use_cache=True)
            past, token = out.past_key_values, int(out.logits[0, -1].argmax())
            found.append(token)
            ids = torch.tensor([[token]])
    return found


def _logits(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def _agreed(logits: Any, shown: _Shown) -> int:
    """How many tokens of the answer are the likeliest ones by these logits, up to the first that is not."""
    likeliest = logits[shown.prompt - 1 : -1].argmax(-1).tolist()
    wanted = shown.ids[shown.prompt :]
    return next((n for n, (a, b) in enumerate(zip(likeliest, wanted, strict=True)) if a != b), len(wanted))


def _save(loaded: Loaded, out: Path) -> None:
    """The model in bfloat16, and what goes with it. Every token that ends an answer is in its generation config."""
    import torch

    model, stops = loaded.model.to(torch.bfloat16), list(loaded.stops)
    if stops:
        model.generation_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out, max_shard_size=SHARD)
    _save_tokenizer(loaded.tokenizer, out)


def _save_tokenizer(tokenizer: Any, out: Path) -> None:
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        if path.suffix not in KEPT and (out / "tokenizer.json").is_file():
            path.unlink()  # a vocabulary in another form: tokenizer.json is the whole of it


def _read_back(folder: str, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    return model.eval()


def run(raw: bytes) -> None:
    """The job in `raw`, of either kind."""
    job = msgspec.json.decode(raw, type=MergeJob)
    if job.kind == "merge":
        merge(job)
    else:
        _save_tokenizer(tokenizer_of(job), Path(job.out))


if __name__ == "__main__":
    command("merge", run)
