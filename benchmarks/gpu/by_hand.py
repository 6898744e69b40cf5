"""The same training with Transformers and PEFT alone: `python by_hand.py SETTINGS.json`.

What a user would write from the libraries' own pages: NF4 with double quantization, LoRA on all linear layers, the
plain trainer. Prints one line of JSON: seconds of the training, and the memory that PyTorch allocated and reserved.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        BitsAndBytesConfig,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
    )

    asked: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    cpu = asked["device"] == "cpu"
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    tokenizer.chat_template = Path(asked["template"]).read_text(encoding="utf-8")
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        asked["model"],
        quantization_config=quantized,
        dtype=torch.bfloat16,
        attn_implementation=asked["attention"],
        device_map={"": "cpu" if cpu else 0},
    )
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=asked["gradient_checkpointing"])
    adapter = LoraConfig(
        r=asked["r"],
        lora_alpha=asked["alpha"],
        lora_dropout=0.0,
        target_modules=asked["targets"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, adapter)
    rows = []
    for line in Path(asked["data"]).read_text(encoding="utf-8").splitlines():
        text = tokenizer.apply_chat_template(json.loads(line)["messages"], tokenize=False)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        rows.append({"input_ids": ids, "labels": list(ids), "attention_mask": [1] * len(ids)})
    arguments = TrainingArguments(
        output_dir=asked["output"],
        max_steps=asked["steps"],
        per_device_train_batch_size=asked["micro_batch"],
        gradient_accumulation_steps=asked["accumulation"],
        learning_rate=2e-4,
        bf16=not cpu,
        use_cpu=cpu,
        optim="adamw_torch",
        gradient_checkpointing=asked["gradient_checkpointing"],
        gradient_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    collator = DataCollatorForSeq2Seq(tokenizer, padding=True, label_pad_token_id=-100)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    said = trainer.train()
    out = {"seconds": said.metrics["train_runtime"], "tokens": len(rows[0]["input_ids"])}
    if not cpu:
        out |= {
            "allocated": torch.cuda.max_memory_allocated() / 2**30,
            "reserved": torch.cuda.max_memory_reserved() / 2**30,
        }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
