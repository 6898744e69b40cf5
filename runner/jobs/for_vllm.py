"""What vLLM needs of a run beside its adapter: `python -m runner.jobs.for_vllm JOB.json`.

Written into `out`: `chat_template.jinja`, the template in force; `generation/generation_config.json`, the tokens that
end a turn; for an adapter that was trained on four bits `model/`, the base with the numbers that NF4 stands for; and
last `about.json`, so that a folder without it is not whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec

from runner import lean
from runner.errors import StepError
from runner.jobs.job import Job, command


class ForVllmJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`adapter` is read only for its rank; where `nf4` holds, model/ is wanted."""

    out: str


def prepare(job: ForVllmJob) -> None:
    """Write `out`. Raises StepError where the model cannot be read."""
    lean.transformers()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    from runner.jobs.loading import _quantized, stop_ids, tokenizer_of

    out = Path(job.out)
    where = {"revision": job.revision, "local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = tokenizer_of(job)
        config = AutoConfig.from_pretrained(job.model, **where)
        try:
            own = GenerationConfig.from_pretrained(job.model, revision=job.revision, local_files_only=True)
        except OSError:
            own = GenerationConfig.from_model_config(config)
        if job.nf4:
            model = AutoModelForCausalLM.from_pretrained(
                job.model,
                dtype=torch.bfloat16,
                use_safetensors=True,
                **_quantized(job, torch.bfloat16),
                **where,
            )
            model = model.dequantize().to(device="cpu", dtype=torch.bfloat16)
            model.save_pretrained(out / "model")
            tokenizer.save_pretrained(out / "model")
    except (OSError, ValueError, KeyError, ImportError) as e:
        raise StepError("for_vllm", f"{job.model}: {e}") from e
    if not (template := tokenizer.chat_template):
        raise StepError("for_vllm", f"{job.model}: its tokenizer has no chat template")
    stops = stop_ids(SimpleNamespace(generation_config=own), tokenizer, job.end_of_turn)
    (out / "chat_template.jinja").write_text(template, encoding="utf-8")
    # Nothing else of the model's own generation config: penalties and temperatures are the client's to say.
    GenerationConfig(eos_token_id=list(stops)).save_pretrained(out / "generation")
    about = {
        "positions": getattr(config, "max_position_embeddings", None),
        "rank": _rank(Path(job.adapter)) if job.adapter else 0,
        "stops": stops,
    }
    (out / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _rank(adapter: Path) -> int:
    """The largest rank in it."""
    config = json.loads((adapter / "adapter_config.json").read_bytes())
    return max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])


def run(raw: bytes) -> None:
    prepare(msgspec.json.decode(raw, type=ForVllmJob))


if __name__ == "__main__":
    command("for_vllm", run)
