"""Inputs of the benchmark, made on the machine: a Llama-shaped model with random weights, and seeded records.

`python inputs.py FOLDER SIZE DEVICE SEED` makes the model; nothing is fetched from anywhere. The tokenizer has a token
a byte, so that a record has the very length that it is meant to have; the model's vocabulary has its real size.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

SIZES = {
    "8b": {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192, "rope_theta": 500000.0,
    },
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 1024, "max_position_embeddings": 8192,
    },
}  # fmt: skip
SPECIAL = ("<|im_start|>", "<|im_end|>")
WORDS = (
    "river boat pilot town mule rain lantern fiddle whisker preacher biscuit steam gulch widow ferry".split()
)


def model(folder: Path, size: str, device: str, seed: int) -> None:
    """An ordinary Hugging Face folder: bf16 weights in safetensors, config and tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate([*SPECIAL, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=SPECIAL[1], pad_token=SPECIAL[1])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        **SIZES[size],
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        made = LlamaForCausalLM(config)
    made = made.to_empty(device=device)
    for name, weight in made.named_parameters():
        weight.data.fill_(1.0) if "norm" in name else weight.data.normal_(0.0, 0.02)
    for module in made.modules():  # buffers are not weights: they are made anew
        if hasattr(module, "inv_freq"):
            module.__init__(config=config, device=device)  # type: ignore[misc]
    made.save_pretrained(folder, max_shard_size="4GB")


def records(path: Path, many: int, tokens: int, seed: int) -> None:
    """Records that have exactly so many tokens as the template `chatml-tools` renders them."""
    drawn = random.Random(seed)
    with path.open("w", encoding="utf-8") as out:
        for n in range(many):
            question = f"Tell me of number {n}."
            # Two turns: <|im_start|>ROLE\n…<|im_end|>\n, a token for each mark and each byte.
            frame = sum(len(f"{role}\n") + 3 for role in ("user", "assistant"))
            text = ""
            while len(text) < tokens:
                text += drawn.choice(WORDS) + " "
            answer = text[: tokens - frame - len(question) - 1] + "."
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            out.write(json.dumps({"messages": turns}) + "\n")


if __name__ == "__main__":
    model(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
