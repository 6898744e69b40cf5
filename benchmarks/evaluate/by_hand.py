"""Answers as one would make them by hand, with Transformers and PEFT: the same prompts in batches of the same size.

    python benchmarks/evaluate/by_hand.py MODEL ADAPTER TEMPLATE BATCH OUT PROBES:TOKENS…

The adapter is merged before (the quicker way), in float32 and onto the numbers that its NF4 base stands for, as it
should be; answers are greedy. Batches are of prompts of like length, as everybody does who has looked at padding once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    folder, adapter, template, batch, out, *sets = sys.argv[1:]
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, quantization_config=nf4, dtype=torch.bfloat16)
    model = model.dequantize().to(torch.float32)
    model = PeftModel.from_pretrained(model, adapter).merge_and_unload().to(torch.bfloat16).eval()
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokens = 0
    said: dict[str, str] = {}
    for one in sets:
        file, most = one.rsplit(":", 1)
        probes = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
        texts = {
            p["id"]: tokenizer.apply_chat_template(
                p["messages"], tools=p.get("tools") or None, add_generation_prompt=True, tokenize=False
            )
            for p in probes
        }
        order = sorted(texts, key=lambda key: len(texts[key]))
        for at in range(0, len(order), int(batch)):
            keys = order[at : at + int(batch)]
            inputs = tokenizer(
                [texts[k] for k in keys], return_tensors="pt", padding=True, add_special_tokens=False
            )
            with torch.inference_mode():
                ids = model.generate(
                    **inputs,
                    do_sample=False,
                    max_new_tokens=int(most),
                    eos_token_id=stop,
                    pad_token_id=tokenizer.pad_token_id,
                )
            for key, row in zip(keys, ids[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                end = row.index(stop) + 1 if stop in row else len(row)
                tokens += end
                said[key] = tokenizer.decode(row[:end], skip_special_tokens=True)
    Path(out).write_text(json.dumps({"tokens": tokens, "said": said}))


if __name__ == "__main__":
    main()
