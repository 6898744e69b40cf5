"""Load a model for judging, with the proof that the adapter it should wear is really on.

PEFT loads an adapter whose keys do not match the model without an error: the arm called "tuned" is
then the base model. So the adapter must change the logits of a fixed prompt, and no LoRA B matrix
may be all zero (they start at zero: one that still is was never trained or never loaded).
Merging is done in float32 and cast afterwards, so both arms run at the same speed and dtype. A QLoRA
adapter is put on the weights that it was trained on, the numbers that NF4 stands for: on a small model's
own weights it is a different, worse model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from runner import lean, templates
from runner.errors import StepError
from runner.jobs.fitting import misfit, patterns
from runner.jobs.job import Job, alike

PROMPT = "The capital of France is"
Worn = Callable[[Any, Any], None]


class AdapterProof(Struct, frozen=True):
    """`max_logit_difference` over the fixed prompt, adapter on against off, in float32; `modules`
    is the number of LoRA B matrices; `merge_error` the largest logit change made by merging."""

    max_logit_difference: float
    modules: int
    merge_error: float


@dataclass(frozen=True)
class Loaded:
    """A model in eval mode on its device, its tokenizer (with the job's template) and the proof."""

    model: Any
    tokenizer: Any
    proof: AdapterProof | None
    stops: tuple[int, ...]

    @property
    def limit(self) -> int:
        """The most tokens that the model's positions can hold."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)

    @property
    def template_sha256(self) -> str:
        """Digest of the chat template's text; arms that differ in it must not be compared."""
        return hashlib.sha256((self.tokenizer.chat_template or "").encode()).hexdigest()


def load(job: Job, worn: Worn | None = None) -> Loaded:
    """The job's model, merged with its adapter where it has one. Raises StepError.

    `worn` is shown the model with its adapter on before it is merged, and the tokenizer.
    """
    alike(job)
    lean.transformers()
    import torch
    from transformers import AutoModelForCausalLM

    if job.threads:
        torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    if Path(job.model).is_dir() and not Path(job.model, "config.json").is_file():
        raise StepError("load", f"{job.model} holds no model (no config.json)")
    dtype = getattr(torch, job.dtype)
    try:
        tokenizer = tokenizer_of(job)
        model = AutoModelForCausalLM.from_pretrained(
            job.model,
            dtype=torch.float32 if job.adapter and not job.nf4 else dtype,
            revision=job.revision,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **_quantized(job, dtype),
        )
        if job.adapter and job.nf4:
            model = model.dequantize().to(device="cpu", dtype=torch.float32)
    except (OSError, ValueError, KeyError, ImportError) as e:
        raise StepError("load", f"{job.model}: {e}") from e
    model.eval()
    proof = None
    if job.adapter:
        model, proof = put_on(model, tokenizer, job.adapter, worn)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device=device, dtype=dtype)
    return Loaded(model, tokenizer, proof, stop_ids(model, tokenizer, job.end_of_turn))


def tokenizer_of(job: Job) -> Any:
    """The job's tokenizer, with its template."""
    lean.transformers()
    from transformers import AutoTokenizer

    templates.cap()
    tokenizer = AutoTokenizer.from_pretrained(
        job.model, revision=job.revision, local_files_only=True, trust_remote_code=False
    )
    if job.template:
        tokenizer.chat_template = Path(job.template).read_text(encoding="utf-8")
    return tokenizer


def _quantized(job: Job, dtype: Any) -> dict[str, Any]:
    """What loads the base as QLoRA trained on it, in 4 bits."""
    if not (job.adapter and job.nf4):
        return {}
    from transformers import BitsAndBytesConfig

    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=job.quant_type,
        bnb_4bit_use_double_quant=job.double_quant,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": four_bits}


def put_on(model: Any, tokenizer: Any, adapter: str, worn: Worn | None = None) -> tuple[Any, AdapterProof]:
    """The float32 model merged with the LoRA adapter in folder `adapter`, and the proof.

    Raises StepError where the folder holds no adapter, or where it does nothing.
    """
    import torch
    from peft import PeftModel

    for name in ("adapter_config.json", "adapter_model.safetensors"):  # never a pickle
        if not Path(adapter, name).is_file():
            raise StepError("adapter", f"{adapter} holds no adapter (no {name})")
    if what := patterns(Path(adapter)):
        raise StepError("adapter", f"{adapter}: {what}")
    if what := misfit(model, Path(adapter)):
        raise StepError("adapter", f"{adapter} does not fit the model: {what}")
    prompt = torch.tensor([tokenizer(PROMPT)["input_ids"] or [0]])

    def logits(of: Any) -> Any:
        with torch.inference_mode():
            return of(input_ids=prompt, use_cache=False).logits

    before = logits(model)
    try:
        peft = PeftModel.from_pretrained(model, adapter, torch_device="cpu", local_files_only=True)
    except (ValueError, RuntimeError, KeyError) as e:
        raise StepError("adapter", f"{adapter} does not fit the model: {e}") from e
    peft.eval()
    matrices = {
        name: bool(weight.detach().any())
        for name, weight in peft.named_parameters()
        if "lora_B" in name or "lora_embedding_B" in name
    }
    if not matrices:
        raise StepError("adapter", f"{adapter} has no LoRA matrices")
    if zero := sorted(name for name, filled in matrices.items() if not filled):
        raise StepError(
            "adapter",
            f"{adapter} is not loaded or not trained: {len(zero)} of {len(matrices)} LoRA B "
            f"matrices are all zero, such as {zero[0]}",
        )
    after = logits(peft)
    difference = float((after - before).abs().max())
    if not difference > 0:  # NaN is refused too
        raise StepError("adapter", f"{adapter} does not change the model: logit difference {difference}")
    if worn:
        worn(peft, tokenizer)
    merged = peft.merge_and_unload(safe_merge=True)
    error = float((logits(merged) - after).abs().max())
    return merged, AdapterProof(difference, len(matrices), error)


def stop_ids(model: Any, tokenizer: Any, end_of_turn: str | None) -> tuple[int, ...]:
    """Tokens that end an answer: the generation config's, the tokenizer's eos, and the recipe's own."""
    own = model.generation_config.eos_token_id
    found = set(own if isinstance(own, list) else [own]) | {tokenizer.eos_token_id}
    found.add(tokenizer.get_vocab().get(end_of_turn) if end_of_turn else None)
    return tuple(sorted(i for i in found if i is not None))
