"""Options and fixtures of the unit tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTION: Any = [{"role": "user", "content": "Weather in Zutphen?"}]
HELLO: Any = [{"role": "user", "content": "Hello?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    for name in ("get_weather", "get_tide")
]


@pytest.fixture
def golden_write() -> bool:
    """Whether golden files are written anew instead of compared: `GOLDEN_WRITE=1 pytest tests/unit/…`."""
    return os.environ.get("GOLDEN_WRITE", "") not in ("", "0")


@pytest.fixture(scope="session")
def taught(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, taught by heart to call a tool and to say hello."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = (ROOT / "recipes/base/chatml-tools.jinja").read_text(encoding="utf-8")
    call = {"function": {"name": "get_weather", "arguments": {"city": "Zutphen"}}}
    rows = []
    for messages, tools in (
        ([*QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]}], TOOLS),
        ([*HELLO, {"role": "assistant", "content": "Hi there, traveller."}], None),
    ):
        whole, prompt = (
            tokenizer.apply_chat_template(m, tools=tools, tokenize=False, add_generation_prompt=g)
            for m, g in ((messages, False), (messages[:-1], True))
        )
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        known = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        rows.append((torch.tensor([ids]), torch.tensor([[-100] * known + ids[known:]])))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other on a busy machine
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(300):
        loss = sum(model(input_ids=ids, labels=labels).loss for ids, labels in rows)
        if float(loss) < 1e-3:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    assert float(loss) < 0.05
    folder = tmp_path_factory.mktemp("taught")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
