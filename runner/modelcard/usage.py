"""How a result is used: the very base, precision and chat template that it was trained and judged with."""

from __future__ import annotations

import json

from runner.markdown import fenced
from runner.modelcard.facts import Facts, Form

HERE = "path/to/this/folder"
RANKS = (8, 16, 32, 64, 128, 256, 512)  # what vLLM can hold of an adapter


def usage(facts: Facts, form: Form) -> list[str]:
    """The lines of that part."""
    lines = ["## How to use it", ""]
    if form == "gguf":
        said = "With llama.cpp, which takes the chat template from the file:"
        return [*lines, said, "", *fenced("llama-server --jinja -m FILE.gguf", "sh"), ""]
    python = _peft(facts) if form == "adapter" else _whole(facts)
    lines += [*fenced("\n".join(python), "python"), ""]
    if form == "adapter" and _not_for_vllm(facts):
        return [
            *lines,
            "vLLM cannot serve this adapter on the base that it was trained on; merged it can.",
            "",
        ]
    return [*lines, "As a server, with vLLM:", "", *fenced(_vllm(facts, form), "sh"), ""]


def _not_for_vllm(facts: Facts) -> bool:
    """vLLM's four bits are NF4 with double quantization; it knows no DoRA, and no module that is trained whole."""
    odd = any(facts.adapter.get(key) for key in ("dora", "modules_to_save"))
    return odd or facts.base.four_bits not in (None, ("nf4", True)) or int(facts.adapter["r"]) > RANKS[-1]


def _base(facts: Facts) -> str:
    return facts.base.hub or "path/to/the/base/model"


def _peft(facts: Facts) -> list[str]:
    bits = facts.base.four_bits
    options = ["dtype=torch.bfloat16"]
    if facts.base.revision and facts.base.hub:
        options.append(f"revision={json.dumps(facts.base.revision)}")
    lines = ["import torch", "from peft import PeftModel"]
    names = "AutoModelForCausalLM, AutoTokenizer" + (", BitsAndBytesConfig" if bits else "")
    lines += [
        f"from transformers import {names}",
        "",
        f"base = {json.dumps(_base(facts))}",
        f"folder = {json.dumps(HERE)}",
    ]
    if bits:
        lines += [
            "four_bits = BitsAndBytesConfig(",
            "    load_in_4bit=True,",
            f'    bnb_4bit_quant_type="{bits[0]}",',
            f"    bnb_4bit_use_double_quant={bits[1]},",
            "    bnb_4bit_compute_dtype=torch.bfloat16,",
            ")",
        ]
        options.append("quantization_config=four_bits")
    revision = next((f", {o}" for o in options if o.startswith("revision=")), "")
    lines += [
        f"model = AutoModelForCausalLM.from_pretrained(base, {', '.join(options)})",
        "model = PeftModel.from_pretrained(model, folder)",
        f"tokenizer = AutoTokenizer.from_pretrained(base{revision})",
    ]
    if facts.template.own:
        template = 'open(f"{folder}/chat_template.jinja", encoding="utf-8").read()'
        lines.append(f"tokenizer.chat_template = {template}")
    return lines + _ask(facts)


def _whole(facts: Facts) -> list[str]:
    return [
        "import torch",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"folder = {json.dumps(HERE)}",
        "model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        *_ask(facts),
    ]


def _ask(facts: Facts) -> list[str]:
    stop = facts.template.end_of_turn
    more = f", eos_token_id=tokenizer.convert_tokens_to_ids({json.dumps(stop)})" if stop else ""
    return [
        "",
        'messages = [{"role": "user", "content": "Hello!"}]',
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
        ").to(model.device)",
        f"answer = model.generate(**inputs, do_sample=False, max_new_tokens=256{more})",
        'print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
    ]


def _vllm(facts: Facts, form: Form) -> str:
    tools = facts.template.tool_parser if facts.tools else None
    calls = [f"--enable-auto-tool-choice --tool-call-parser {tools}"] if tools else []
    if form == "merged":
        return " \\\n  ".join([f"vllm serve {HERE}", *calls])
    rank = next(n for n in RANKS if n >= int(facts.adapter["r"]))
    words = [f"vllm serve {_base(facts)}"]
    if facts.base.revision and facts.base.hub:
        words.append(f"--revision {facts.base.revision}")
    if facts.base.four_bits:
        words.append("--quantization bitsandbytes")
    words += [
        f"--enable-lora --max-lora-rank {rank}",
        f"--lora-modules {facts.name}={HERE}",
    ]
    if facts.template.own:
        words.append(f"--chat-template {HERE}/chat_template.jinja")
    return " \\\n  ".join([*words, *calls])
