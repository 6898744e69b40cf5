"""Turn a model's folder into one GGUF file: `python -m runner.jobs.togguf JOB.json`.

For models shaped like Llama (Llama, Mistral, Qwen2, Qwen3), whose tensors and settings GGUF has names for; any other
architecture, and every setting that the file could not say, is refused by name. The file is written tensor by tensor,
so that no more than one of them is in memory, and read back: names, shapes and types.

Sources: the GGUF specification (ggml, docs/gguf.md) and the tables of its Python package `gguf`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from runner.errors import StepError
from runner.jobs.ggufvocab import add_vocabulary
from runner.jobs.job import command

# The model's own name for its architecture → GGUF's. Llama's queries and keys are stored in another order there.
ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
FILE_TYPES = {"f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
UNREAD = ("rotary_emb.inv_freq",)  # computed, not learnt


class GgufJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model` is a folder with safetensors and tokenizer.json, `out` the file; `type` that of its matrices."""

    model: str
    out: str
    type: Literal["f16", "bf16", "q8_0"]
    name: str
    license: str | None = None
    end_of_turn: str | None = None


def write(job: GgufJob) -> None:
    """Write the file. Raises StepError where the model cannot be said as GGUF."""
    import gguf

    folder, config = Path(job.model), _config(job.model)
    kind = _architecture(config)
    writer = gguf.GGUFWriter(None, kind)
    _add_settings(writer, kind, config, job)
    add_vocabulary(writer, folder, int(config.vocab_size), job.end_of_turn)
    plan = list(_planned(folder, kind, config, job.type))
    for name, shape, dtype, _ in plan:
        _announce(writer, name, shape, dtype)
    writer.write_header_to_file(Path(job.out))
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, _, dtype, made in plan:
        data = made()
        if not _finite(data):
            raise StepError("gguf", f"{name} holds numbers that are not finite")
        writer.write_tensor_data(gguf.quants.quantize(data, dtype))
    writer.close()
    _read_back(Path(job.out), plan)


def _config(folder: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as e:
        raise StepError("gguf", f"{folder}: {e}") from None


def _architecture(config: Any) -> str:
    named = (config.architectures or ["unknown"])[0]
    if named not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise StepError(
            "gguf",
            f"{named} cannot be exported as GGUF; {known} can. Export it merged, and convert it with llama.cpp",
        )
    if (act := getattr(config, "hidden_act", "silu")) != "silu":
        raise StepError("gguf", f"{named} with the activation {act!r} is not what GGUF means by it")
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True) and window < config.max_position_embeddings:
        raise StepError("gguf", f"{named} with a sliding window of {window} tokens cannot be said in GGUF")
    return ARCHITECTURES[named]


def _head(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _add_settings(writer: Any, kind: str, config: Any, job: GgufJob) -> None:
    import gguf

    writer.add_type("model")
    writer.add_name(job.name)
    if job.license:
        writer.add_license(job.license)
    writer.add_file_type(gguf.LlamaFileType[FILE_TYPES[job.type]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if kind == "llama":
        writer.add_rope_dimension_count(_head(config))
    if kind == "qwen3" or _head(config) * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(_head(config))
        writer.add_value_length(_head(config))
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] not in ("default", "llama3"):
        raise StepError("gguf", f"positions of the kind {rope['rope_type']!r} cannot be exported as GGUF")


# -- tensors --------------------------------------------------------------------------------------


def _planned(
    folder: Path, kind: str, config: Any, wanted: str
) -> Iterator[tuple[str, tuple[int, ...], Any, Any]]:
    """Every tensor of the file: its name, shape, type, and what makes it as float32. In the file's order."""
    import gguf

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[kind.upper()], config.num_hidden_layers)
    factors = _rope_factors(config)
    if factors is not None:
        yield "rope_freqs.weight", factors.shape, gguf.GGMLQuantizationType.F32, lambda: factors
    found: dict[str, tuple[Path, str, tuple[int, ...]]] = {}
    for file, name, shape in _stored(folder):
        if name.endswith(UNREAD) or (name == "lm_head.weight" and config.tie_word_embeddings):
            continue
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if new is None:
            raise StepError("gguf", f"GGUF has no name for the tensor {name} of this model")
        found[new] = (file, name, shape)
    for new in sorted(found, key=_order):
        file, name, shape = found[new]
        yield new, shape, _type(shape, wanted), lambda f=file, n=name: _read(f, n, kind, config)


def _order(name: str) -> tuple[int, int, str]:
    """What stands outside the blocks first, then block after block."""
    parts = name.split(".")
    return (1, int(parts[1]), name) if parts[0] == "blk" else (0, 0, name)


def _stored(folder: Path) -> Iterator[tuple[Path, str, tuple[int, ...]]]:
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                yield file, name, tuple(tensor["shape"])


def _type(shape: tuple[int, ...], wanted: str) -> Any:
    """Vectors stay in float32; matrices whose rows do not divide into blocks are not quantized."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if len(shape) < 2:
        return GGMLQuantizationType.F32
    kind = GGMLQuantizationType[wanted.upper()]
    block, _ = GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else GGMLQuantizationType.F16


def _read(file: Path, name: str, kind: str, config: Any) -> Any:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        data = tensors.get_tensor(name).float().numpy()
    if kind == "llama":
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if f".{part}." in name:
                data = _interleaved(data, heads)
    return data


def _interleaved(data: Any, heads: int) -> Any:
    """Rows of queries or keys in GGUF's order: the two halves that are turned together stand side by side."""
    rows, rest = data.shape[0], data.shape[1:]
    return data.reshape(heads, 2, rows // heads // 2, *rest).swapaxes(1, 2).reshape(rows, *rest)


def _rope_factors(config: Any) -> Any:
    """What Llama 3.1 divides each frequency of its positions by; None for models that do not."""
    import numpy as np

    rope = config.rope_parameters
    if rope["rope_type"] != "llama3":
        return None
    head, context = _head(config), float(rope["original_max_position_embeddings"])
    length = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, head, 2, dtype=np.float64) / head)  # of a wave
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    share = np.clip((context / length - low) / (high - low), 0, 1)  # 1: short waves, which are left alone
    return (1 / ((1 - share) / rope["factor"] + share)).astype(np.float32)


def _announce(writer: Any, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    import gguf
    import numpy as np

    block, size = gguf.GGML_QUANT_SIZES[dtype]
    bytes_ = math.prod(shape) // block * size
    writer.add_tensor_info(name, shape, np.dtype(np.float32), bytes_, raw_dtype=dtype)


def _finite(data: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(data).all())


def _read_back(path: Path, plan: list[tuple[str, tuple[int, ...], Any, Any]]) -> None:
    from gguf import GGUFReader

    found = {
        t.name: (tuple(int(n) for n in reversed(t.shape)), t.tensor_type) for t in GGUFReader(path).tensors
    }
    wanted = {name: (tuple(shape), dtype) for name, shape, dtype, _ in plan}
    if found != wanted:
        raise StepError("gguf", f"{path.name} does not hold what was written to it: is the disk full?")


def run(raw: bytes) -> None:
    """The job in `raw`."""
    write(msgspec.json.decode(raw, type=GgufJob))


if __name__ == "__main__":
    command("togguf", run)
