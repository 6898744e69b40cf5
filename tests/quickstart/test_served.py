"""The adapter that `make quickstart` left here is served: the openai package gets a valid tool call from it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

openai = pytest.importorskip("openai", reason="openai is not installed")
ROOT = Path(__file__).parents[2]


def recipe(*argv: str) -> list[str]:
    return [sys.executable, "-c", "from runner.cli import main; main()", *argv]


def asked(url: str, tools: Any) -> Any:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=url, api_key="none", http_client=http, timeout=600) as client:
        return client.chat.completions.create(
            model="quickstart",
            messages=[
                {"role": "system", "content": "You are Captain Tuttle."},
                {"role": "user", "content": "What is the weather in Memphis today?"},
            ],
            tools=tools,
            temperature=0,
            max_tokens=120,
        )


def test_a_quickstart_adapter_calls_the_weather_tool() -> None:
    run = ROOT / "runs/quickstart"
    if not (run / "adapter/adapter_model.safetensors").is_file():
        pytest.skip("there is no quickstart adapter to serve: make quickstart")
    rows = (run / "data/train.jsonl").read_bytes().splitlines()
    tools: Any = next(r["tools"] for r in map(json.loads, rows) if r.get("tools"))
    schemas = {t["function"]["name"]: t["function"]["parameters"] for t in tools}

    engine = ("--port", "0", "--engine", "transformers")
    # Whoever ran the quickstart knows the store; what tests remember is their own.
    argv = recipe("serve", "quickstart", *engine, "--workspace", str(ROOT), "--json", "--trust", "store")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            said = asked(ready["url"], tools)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    assert said.choices[0].finish_reason == "tool_calls", said.choices[0].message.content
    for call in said.choices[0].message.tool_calls:
        arguments = json.loads(call.function.arguments)
        jsonschema.validate(arguments, schemas[call.function.name])
        assert "Memphis" in arguments.values()
