"""Turn a GGUF file into an ordinary Hugging Face folder: bf16 weights, tokenizer, generation config.

    python -m runner.jobs.convert GGUF OUT_DIR CHAT_TEMPLATE

The same file gives the same bytes under the same library versions. The special tokens follow the GGUF
header, which Transformers' own reading of it gets wrong (it makes the *start* of a turn the end of text,
so that no stop token is ever trained). Padding never shares the stop token's id. Only byte-level BPE
("gpt2") vocabularies are known; other GGUF files are refused. What was lost by the GGUF's own
quantization stays lost.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner import lean

SPECIAL = ("bos", "eos", "unknown", "padding")


def convert(gguf: Path, out: Path, chat_template: Path) -> None:
    """Write the folder. `out` may exist already; files of the same name are replaced."""
    lean.transformers()
    import gguf as library
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    # Config, tokenizer and weights each parse the header anew, and every layer the table of names, in plain
    # Python, for seconds: once will do.
    library.GGUFReader = lru_cache(library.GGUFReader)
    library.get_tensor_name_map = lru_cache(library.get_tensor_name_map)
    ids = special_ids(gguf)
    tokenizer = load_tokenizer(gguf, ids)
    tokenizer.chat_template = chat_template.read_text(encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16)
    stops = {"bos_token_id": ids["bos"], "eos_token_id": ids["eos"], "pad_token_id": ids["padding"]}
    model.config.update(stops)
    model.generation_config = GenerationConfig(do_sample=False, **stops)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def special_ids(gguf: Path) -> dict[str, int]:
    """The special token ids of the header, with a padding token that is not the stop token."""
    from gguf import GGUFReader

    fields = GGUFReader(str(gguf)).fields
    if (kind := fields["tokenizer.ggml.model"].contents()) != "gpt2":
        raise SystemExit(f"{gguf.name}: the vocabulary is {kind!r}; only 'gpt2' (byte-level BPE) is known")
    keys = {name: f"tokenizer.ggml.{name}_token_id" for name in SPECIAL}
    ids = {name: int(fields[key].contents()) for name, key in keys.items() if key in fields}
    if "eos" not in ids:
        raise SystemExit(f"{gguf.name}: the header names no end-of-text token")
    ids.setdefault("bos", ids["eos"])
    ids.setdefault("unknown", ids["bos"])
    if ids.get("padding", ids["eos"]) == ids["eos"]:
        ids["padding"] = ids["unknown"]
    return ids


def load_tokenizer(gguf: Path, ids: dict[str, int]) -> Any:
    """The tokenizer, with the header's special tokens and plain byte-level BPE around its merges."""
    from tokenizers import decoders, pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    for name, attribute in zip(SPECIAL, ("bos_token", "eos_token", "unk_token", "pad_token"), strict=True):
        setattr(tokenizer, attribute, tokenizer.convert_ids_to_tokens(ids[name]))
    tokenizer.padding_side = "right"
    tokenizer.clean_up_tokenization_spaces = False  # else decoding eats spaces before punctuation
    for key in ("clean_up_tokenization_spaces", "is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    backend = tokenizer.backend_tokenizer
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), byte_level]
    )
    backend.decoder = decoders.ByteLevel()
    return tokenizer


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("usage: python -m runner.jobs.convert GGUF OUT_DIR CHAT_TEMPLATE")
    convert(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
