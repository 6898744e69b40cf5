"""How vLLM is started for a run: its command line and environment. Pure, but for the folder that `needs` describes.

vLLM applies an adapter to the base weights as it reads them. An adapter that was trained on four bits belongs on the
numbers that NF4 stands for, so these are written out once (runner/jobs/for_vllm.py) and are what vLLM reads; the base
arm is then on them too. That job also writes which tokens end a turn, since vLLM knows only the model's own.
"""

from __future__ import annotations

import json
from pathlib import Path

from runner import library
from runner.calls import OPEN, Form, form_of
from runner.serving.engines import Engine
from runner.serving.found import Served

# What vLLM calls the parser of each form of calls.
# https://docs.vllm.ai/en/stable/features/tool_calling.html
PARSERS: dict[Form, str] = {
    "hermes": "hermes", "mistral": "mistral", "granite": "granite", "llama": "llama3_json",
}  # fmt: skip
SERVER = Path(__file__).parent.parent / "jobs" / "vllm_server.py"
"""vLLM with the work of chat templates capped; its Python need not know of us."""
KV_GIB = 2  # on a CPU; vLLM's own default is a large part of the memory
MOST_RANK = (8, 16, 32, 64, 128, 256, 320, 512)  # the ranks that vLLM can be told of


def parser(name: str, text: str) -> str | None:
    """vLLM's parser for the tool calls of a template: of a shipped one by its `name`, else by the form of the calls in
    its `text`; None where it writes none that are known."""
    table = library.find("recipes/base/templates.json")
    shipped = json.loads(table.read_bytes()).get(name, {}) if table else {}
    if "tool_parser" in shipped:
        return str(shipped["tool_parser"])
    form = form_of(text)
    return PARSERS[form] if form != "hermes" or OPEN in text else None


def rank(r: int) -> int:
    """The least rank that vLLM can be told of and that holds this one."""
    return next((most for most in MOST_RANK if most >= r), MOST_RANK[-1])


def argv(
    engine: Engine,
    served: Served,
    *,
    ready: Path,
    port: int,
    arms: tuple[str, ...],
    r: int,
    limit: int,
    tool_parser: str | None,
    dtype: str,
) -> list[str]:
    """The command. `ready` is the folder that runner/jobs/for_vllm.py made; `limit` is in tokens."""
    own = ready / "model"
    model = str(served.whole or (own if own.is_dir() else served.model))
    base = ["base"] if served.whole is None else ["tuned", served.name]
    out = [engine.python, str(SERVER), "--model", model,
           "--host", "127.0.0.1", "--port", str(port), "--served-model-name", *base,
           "--dtype", dtype, "--max-model-len", str(limit),
           "--chat-template", str(ready / "chat_template.jinja"),
           "--generation-config", str(ready / "generation")]  # fmt: skip
    if not own.is_dir() and served.whole is None and served.base.revision:
        out += ["--revision", served.base.revision, "--tokenizer-revision", served.base.revision]
    if served.adapter is not None and "tuned" in arms:
        names = [f"{name}={served.adapter}" for name in dict.fromkeys(["tuned", served.name])]
        out += ["--enable-lora", "--max-lora-rank", str(rank(r)), "--lora-modules", *names]
    if tool_parser is not None:
        out += ["--enable-auto-tool-choice", "--tool-call-parser", tool_parser]
    if not engine.gpu:
        out += ["--enforce-eager"]  # compiling takes minutes
    return out


def environment(engine: Engine) -> dict[str, str]:
    """What vLLM is told by variables."""
    common = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CONFIGURE_LOGGING": "1"}
    cpu = {"VLLM_CPU_KVCACHE_SPACE": str(KV_GIB), "VLLM_CPU_OMP_THREADS_BIND": "auto"}
    return common | ({} if engine.gpu else cpu)
