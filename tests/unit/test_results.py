"""Export and push of a run's result, on a tiny model: what is written, what is refused, and that nothing is half done."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from runner.cli import main
from runner.errors import StepError, UsageError
from runner.making import write_json
from runner.modelcard import Base, Facts, Right, Template
from runner.results import Run, export, find, folder, objections, parcel
from runner.results.writing import parameters
from runner.store import Store, digest, file_digest

torch = pytest.importorskip("torch", reason="torch is not installed")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{# of the recipe #}"
)
TOKEN = "hf_secretsecretsecret"


def adapter(tiny: Path, out: Path, **how: Any) -> None:
    """An adapter as training leaves it: its config names a place of this machine."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny)
    targets = ["q_proj", "v_proj", "down_proj"]
    torch.manual_seed(1)
    peft = get_peft_model(model, LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM", **how))
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.3 * torch.randn_like(weight))
            elif "magnitude" in name:
                weight.mul_(1 + 0.1 * torch.rand_like(weight))
    peft.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    (out / "chat_template.jinja").write_text(TEMPLATE)
    assert str(tiny) in (out / "adapter_config.json").read_text()


def whole(tiny: Path, out: Path) -> None:
    """A model that was trained whole: other weights in the same folder."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(tiny, out)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(out)
    (out / "chat_template.jinja").write_text(TEMPLATE)


def facts(step: str, weights: str, **more: Any) -> Facts:
    whole: dict[str, Any] = {
        "name": "small",
        "description": "A small one.",
        "base": Base(name="base", hub=None, revision=None, license="Apache-2.0", weights=weights),
        "template": Template(name="mine.jinja", sha256="0" * 64, own=True, end_of_turn="<|im_end|>"),
        "max_length": 512,
        "adapter": {"type": "qlora", "r": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj"]},
        "train": {"learning_rate": 1e-3, "schedule": "cosine", "warmup": 0.0, "effective_batch": 2, "micro_batch": 2,
                  "packing": False, "optimizer": "adamw_torch", "precision": "auto", "seed": 17},
        "languages": [],
        "datasets": [],
        "tools": False,
        "rights": [Right(licence="CC0-1.0", source="a", attribution="", rows=3)],
        "terms": [],
        "rows": {"in": 3, "trained": 3, "validation": 0, "dropped": 0, "by_reason": []},
        "mix": {"by": "source", "unit": "records", "shares": []},
        "training": {"steps": [{"step": 1, "loss": 2.0, "epoch": 1.0}]},
        "proof": {},
        "suites": [],
        "gates": [],
        "profile": "cpu",
        "versions": {},
        "recipe_yaml": "recipe: 1\n",
        "recipe_sha256": "1" * 64,
        "step": step,
    }  # fmt: skip
    return Facts(**whole | more)


def workspace(
    tiny: Path, root: Path, weights: str = "as they are", *, how: dict[str, Any] | None = None, **more: Any
) -> Path:
    """A workspace in which a run of that name came to its end, as the steps `train` and `report` leave it. `how`: the
    adapter, in PEFT's words; the empty dict for a model that was trained whole."""
    shutil.copytree(tiny, root / "base")
    store, run = Store(root), root / "runs/small"
    files = {p.name: file_digest(p) for p in sorted((root / "base").iterdir())}
    train = {"step": "train", "needs": {}, "model": {"files": files}}
    kept = "model" if how == {} else "adapter"
    with store.making("train", digest(train), train) as out:
        if how == {}:
            whole(root / "base", out / "model")
        else:
            adapter(root / "base", out / "adapter", **how or {})
        write_json(out / kept / "mirepoix.json", {"step": digest(train), "base_weights": weights})
    report = {"step": "report", "needs": {"train": digest(train)}}
    with store.making("report", digest(report), report) as out:
        write_json(out / "model-card.json", facts(digest(train), weights, **more))
    shutil.copytree(store.path(digest(train)) / kept, run / kept)
    (run / "plan.json").write_text(json.dumps({"train": train, "report": report}))
    return root


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tiny, tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def run(made: Path) -> Run:
    return find("small", made)


def called(*words: str, workspace: Path, **more: Any) -> Result:
    return CliRunner().invoke(main, [*words, "--workspace", str(workspace)], **more)


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs in this process: one that starts Python and torch anew takes longer than all else here."""
    if "in_a_process_of_its_own" in request.node.name:
        return
    from runner.jobs import merge, togguf

    def job(run: Run, module: str, asked: dict[str, Any]) -> None:
        {"merge": merge.run, "togguf": togguf.run}[module](msgspec.json.encode(asked))

    monkeypatch.setattr("runner.results.writing._run", job)


def names(of: Path) -> set[str]:
    return {p.relative_to(of).as_posix() for p in of.rglob("*") if p.is_file()}


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(input_ids=torch.arange(2, 40)[None]).logits[0]


def expected(run: Run) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(run.base(), dtype=torch.float32)
    return logits(PeftModel.from_pretrained(base, run.trained.file("adapter")).eval())


# -- the adapter ----------------------------------------------------------------------------------


def test_an_adapters_folder_is_whole(run: Run, tmp_path: Path) -> None:
    done = export(run, tmp_path / "out", "adapter")
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
            "chat_template.jinja", "README.md", "LICENCES.md", "mirepoix.json", "export.json"} == names(done.folder)  # fmt: skip
    assert dict(done.files) == {n: (done.folder / n).stat().st_size for n in names(done.folder)}
    config = json.loads((done.folder / "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] is None and config["r"] == 4
    for file in done.folder.iterdir():  # nothing of this machine
        assert str(run.workspace).encode() not in file.read_bytes(), file
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoTokenizer.from_pretrained(done.folder).chat_template == TEMPLATE
    base = AutoModelForCausalLM.from_pretrained(run.base(), dtype=torch.float32)
    got = logits(PeftModel.from_pretrained(base, done.folder).eval())
    assert torch.equal(got, expected(run))
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_same_run_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(run, tmp_path / name, "adapter")
    digests = [{n: file_digest(tmp_path / f / n) for n in names(tmp_path / f)} for f in ("a", "b")]
    assert digests[0] == digests[1]


# -- merged and GGUF ------------------------------------------------------------------------------


def test_merged_in_a_process_of_its_own_is_base_and_adapter(run: Run, tmp_path: Path) -> None:
    done = export(run, tmp_path / "out", "merged")
    assert done.proof["greedy_tokens"] == 24 and done.proof["merge_error"] < 1e-3
    assert not [
        n for n in names(done.folder) if Path(n).suffix not in (".json", ".safetensors", ".jinja", ".md")
    ]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = json.loads((done.folder / "config.json").read_bytes())
    assert config["dtype"] == "bfloat16" and "quantization_config" not in config
    merged = AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32)
    wanted = expected(run)
    assert float((logits(merged) - wanted).abs().mean()) < 0.02 * float(wanted.std())
    base = AutoModelForCausalLM.from_pretrained(run.base(), dtype=torch.float32)
    assert float((logits(base) - wanted).abs().mean()) > 0.1 * float(wanted.std())
    assert AutoTokenizer.from_pretrained(done.folder).chat_template == TEMPLATE
    stops = json.loads((done.folder / "generation_config.json").read_bytes())["eos_token_id"]
    assert 1 in (stops if isinstance(stops, list) else [stops])
    card = (done.folder / "README.md").read_text()
    assert (
        "Merged in float32 onto the base model's own weights" in card and "the same 24 greedy tokens" in card
    )


def test_gguf_of_the_merged_model(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    done = export(run, tmp_path / "out", "gguf", "f16")
    assert names(done.folder) == {"small-f16.gguf", "README.md", "LICENCES.md", "export.json"}
    from transformers import AutoModelForCausalLM

    got = AutoModelForCausalLM.from_pretrained(done.folder, gguf_file="small-f16.gguf", dtype=torch.float32)
    wanted = expected(run)
    assert float((logits(got) - wanted).abs().mean()) < 0.02 * float(wanted.std())
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_adapter_of_four_bits_is_merged_onto_what_four_bits_stand_for(tiny: Path, tmp_path: Path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    here = find("small", workspace(tiny, tmp_path / "w", "nf4"))
    done = export(here, tmp_path / "out", "merged")
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                             bnb_4bit_compute_dtype=torch.float32)  # fmt: skip
    base = AutoModelForCausalLM.from_pretrained(here.base(), quantization_config=nf4, dtype=torch.float32)
    for module in base.modules():  # a layout of other sizes than these
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
    wanted = logits(PeftModel.from_pretrained(base, here.trained.file("adapter")).eval())
    merged = logits(AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32))
    own = expected(here)
    error, other = ((merged - x).abs().mean() / wanted.std() for x in (wanted, own))
    assert error < 0.03 < other
    assert "onto the numbers that NF4 stands for" in (done.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("weights", "how"),
    [
        ("as they are", {"use_dora": True}),
        ("as they are", {"use_rslora": True, "lora_alpha": 16}),
        ("fp4", {"lora_alpha": 8}),
        ("nf4-single", {"lora_dropout": 0.1}),
        ("nf4", {"use_dora": True}),
    ],
    ids=["dora", "rslora", "fp4", "nf4-single", "nf4-dora"],
)
def test_every_kind_of_adapter_is_merged(
    tiny: Path, tmp_path: Path, weights: str, how: dict[str, Any]
) -> None:
    """What is merged does what base and adapter do; the job itself refuses one that does not."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    here = find("small", workspace(tiny, tmp_path / "w", weights, how=how))
    done = export(here, tmp_path / "out", "merged")
    more: dict[str, Any] = {}
    if here.facts.base.four_bits:
        kind, double = here.facts.base.four_bits
        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
    base = AutoModelForCausalLM.from_pretrained(here.base(), dtype=torch.float32, **more)
    for module in base.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
    plain = logits(base)
    wanted = logits(PeftModel.from_pretrained(base, here.trained.file("adapter")).eval())
    merged = logits(AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32))
    assert (merged - wanted).abs().mean() < 0.03 * wanted.std() < 0.3 * (plain - wanted).abs().mean()


def test_a_model_that_was_trained_whole_is_exported_as_it_is(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    full = {"type": "full", "r": 0, "alpha": 0, "dropout": 0.0, "targets": []}
    here = find("small", workspace(tiny, tmp_path / "w", how={}, adapter=full))
    with pytest.raises(UsageError, match="trained the whole model and has no adapter: --as merged"):
        export(here, tmp_path / "out", "adapter")
    done = export(here, tmp_path / "out", "merged")
    wanted = logits(AutoModelForCausalLM.from_pretrained(here.trained.file("model"), dtype=torch.float32))
    got = logits(AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32))
    assert (got - wanted).abs().mean() < 0.02 * wanted.std()
    assert "PeftModel" not in (done.folder / "README.md").read_text()


def test_a_merge_that_says_something_else_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.jobs import loading, merge

    job = merge.MergeJob(kind="merge", model=str(run.base()), adapter=str(run.trained.file("adapter")), dtype="float32",
                         out=str(tmp_path / "m"), proof=str(tmp_path / "p.json"))  # fmt: skip
    whole = merge._save

    def torn(loaded: loading.Loaded, out: Path) -> None:
        with torch.no_grad():
            loaded.model.model.layers[0].self_attn.q_proj.weight.mul_(1.5)
        whole(loaded, out)

    monkeypatch.setattr(merge, "_save", torn)
    with pytest.raises(StepError, match="the saved model says something else"):
        merge.merge(job)

    honest = loading.put_on

    def wrong(*args: Any) -> Any:
        model, proof = honest(*args)
        with torch.no_grad():
            model.model.layers[0].self_attn.q_proj.weight.mul_(1.01)
        return model, proof

    monkeypatch.setattr(loading, "put_on", wrong)
    with pytest.raises(StepError, match="the merged model is not base and adapter"):
        merge.merge(job)
    assert not (tmp_path / "p.json").exists()


# -- what is refused ------------------------------------------------------------------------------


def test_a_folder_of_others_is_left_alone(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    export(run, mine, "adapter")  # an empty one is nobody's
    export(run, mine, "adapter")  # its own is replaced
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"'notes\.txt' was added or changed"):
        export(run, mine, "adapter")
    (mine / "notes.txt").unlink()
    (mine / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"'README\.md' was added or changed"):
        export(run, mine, "adapter")
    assert (mine / "README.md").read_text() == "mine"
    (mine / "export.json").unlink()
    with pytest.raises(UsageError, match="files that this did not write"):
        export(run, mine, "adapter")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(mine)
    for name in ("file", "link"):
        with pytest.raises(UsageError, match="is no folder"):
            export(run, tmp_path / name, "adapter")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link", "mine"]


def test_an_export_that_breaks_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(run, tmp_path / "out", "adapter")
    before = {n: file_digest(tmp_path / "out" / n) for n in names(tmp_path / "out")}

    def broken(*_: Any) -> None:
        raise StepError("export", "no more")

    monkeypatch.setattr("runner.results.writing._job", broken)
    with pytest.raises(StepError):
        export(run, tmp_path / "out", "adapter")
    with pytest.raises(StepError):
        export(run, tmp_path / "new", "adapter")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert {n: file_digest(tmp_path / "out" / n) for n in names(tmp_path / "out")} == before


def test_disk_is_looked_at_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StepError, match=r"MB are needed .* 1.0 kB are free"):
        export(run, tmp_path / "out", "merged")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("head", [(1 << 60).to_bytes(8, "little"), b"\2\0\0\0\0\0\0\0", b"abc"])
def test_damaged_weights_of_a_base_are_one_sentence(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(head + b"[]")
    with pytest.raises(StepError, match=r"model\.safetensors of the base model is damaged: "):
        parameters(tmp_path)


def test_a_run_without_an_adapter_says_what_to_do(made: Path, tmp_path: Path, tiny: Path) -> None:
    done = called("export", "smal", "--to", str(tmp_path / "out"), workspace=made)
    assert done.exit_code == 2 and "no run 'smal' (did you mean" in done.output
    other = workspace(tiny, tmp_path / "w")
    (other / "runs/small/adapter/mirepoix.json").unlink()
    done = called("export", "small", "--to", str(tmp_path / "out"), workspace=other)
    assert (done.exit_code, done.output) == (
        2,
        "error: the run 'small' has no adapter yet; make it: recipe run runs/small/recipe.yaml\n",
    )
    done = called("export", "../w/runs/small", "--to", str(tmp_path / "out"), workspace=other)
    assert done.exit_code == 2


def test_what_is_damaged_or_changed_is_not_exported(tiny: Path, tmp_path: Path) -> None:
    root = workspace(tiny, tmp_path / "w")
    here = find("small", root)
    (root / "base/config.json").write_text((root / "base/config.json").read_text() + " ")
    with pytest.raises(StepError, match=r"base/config.json is not what the adapter was trained on"):
        here.base()
    weights = here.trained.file("adapter/adapter_model.safetensors")
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StepError, match="is damaged in the store"):
        find("small", root)


# -- push -----------------------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """What a push needs of a hub: is it there, create, validate, preupload, LFS batch, PUT, commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories: dict[str, bool] = {}
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.calls: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _reply(self, status: int, data: Any, **headers: str) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        self.server.calls.append(f"{self.command} {self.path}")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        self._body()
        name = self.path.removeprefix("/api/models/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._reply(401, {"error": "Invalid username or password."})
        if name not in self.server.repositories:
            return self._reply(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        return self._reply(200, {"id": name, "private": self.server.repositories[name], "siblings": []})

    def do_PUT(self) -> None:
        body = self._body()
        self.server.blobs[hashlib.sha256(body).hexdigest()] = body
        self._reply(200, {})

    def do_POST(self) -> None:
        body, hub = self._body(), self.server
        hub.tokens.add(self.headers.get("Authorization"))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            hub.repositories[name] = asked.get("visibility") == "private"
            return self._reply(200, {"url": f"{hub.address}/{name}"})
        if self.path == "/api/validate-yaml":
            return self._reply(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [f["path"] for f in json.loads(body)["files"]]
            modes = [
                {
                    "path": p,
                    "uploadMode": "lfs" if p.endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for p in files
            ]
            return self._reply(200, {"files": modes})
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{hub.address}/blob/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]
            return self._reply(200, {"transfer": "basic", "objects": objects})
        assert "/commit/" in self.path
        for line in body.splitlines():
            said = json.loads(line)
            if said["key"] == "file":
                hub.files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
            elif said["key"] == "lfsFile":
                hub.files[said["value"]["path"]] = hub.blobs[said["value"]["oid"]]
        return self._reply(200, {"commitUrl": f"{hub.address}/me/small/commit/abc", "commitOid": "abc"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    constants: Any = pytest.importorskip("huggingface_hub").constants
    # Read from HF_HUB_OFFLINE once, at import: this hub is to be reached, even where no other is.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("MIREPOIX_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_push_sends_exactly_what_it_showed(made: Path, hub: Hub) -> None:
    done = called("push", "small", "--to", "hub:me/small", "--private", "--yes", workspace=made)
    assert done.exit_code == 0, done.output
    assert {"README.md", "LICENCES.md", "adapter_model.safetensors", "tokenizer.json"} <= set(hub.files)
    shown = {line.split()[0] for line in done.output.splitlines() if line.startswith("  ")}
    assert shown == set(hub.files) and not [n for n in hub.files if "export" in n]
    run = find("small", made)
    sent = hashlib.sha256(hub.files["adapter_model.safetensors"]).hexdigest()
    assert sent == run.trained.manifest.files["adapter/adapter_model.safetensors"]
    assert hub.repositories == {"me/small": True} and hub.tokens == {f"Bearer {TOKEN}"}
    assert "licence: apache-2.0" in done.output and "a new private repository" in done.output
    assert TOKEN not in done.output and f"pushed: {hub.address}/me/small/commit/abc" in done.output
    assert not list((made / ".mirepoix").glob("push-*"))


def test_a_push_needs_a_yes(made: Path, hub: Hub) -> None:
    done = called("push", "small", "--to", "hub:me/small", workspace=made)
    assert done.exit_code == 2 and "needs your yes" in done.output
    assert not hub.calls


def test_a_push_can_be_said_no_to(made: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.cli.results._asks", lambda: True)
    done = called("push", "small", "--to", "hub:me/small", workspace=made, input="n\n")
    assert done.exit_code == 2 and "nothing was pushed" in done.output
    assert not hub.files and not hub.repositories


def test_a_repository_that_is_public_stays_untouched_where_private_is_meant(made: Path, hub: Hub) -> None:
    hub.repositories["me/small"] = False
    done = called("push", "small", "--to", "hub:me/small", "--private", "--yes", workspace=made)
    assert done.exit_code == 2 and "already and public" in done.output and not hub.files


def test_the_hub_says_no(made: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    done = called("push", "small", "--to", "hub:me/small", "--yes", workspace=made)
    assert done.exit_code == 3 and "token" in done.output and "hf_wrong" not in done.output
    assert "Traceback" not in done.output and not hub.files


def test_no_token_and_no_way_for_one(
    made: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    done = called("push", "small", "--to", "hub:me/small", "--yes", workspace=made)
    assert done.exit_code == 2 and "not https" in done.output
    for wrong in ("me/small", "hub:small", "hub:me/../x", "hub:a/b/c", "https://x/y", "hub:-a/b"):
        done = called("push", "small", "--to", wrong, "--yes", workspace=made)
        assert done.exit_code == 2 and "hub:OWNER/NAME" in done.output
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    done = called("push", "small", "--to", "hub:me/small", "--yes", workspace=made)
    assert done.exit_code == 2 and "no token for the hub" in done.output and not hub.calls


@pytest.mark.parametrize(
    "licence,said",
    [
        ("", "the licence is not known of a"),
        ("CC-BY-ND-4.0", "no-derivatives (CC-BY-ND-4.0 of a)"),
        ("All rights reserved", "a: 'All rights reserved' forbids it"),
        ("its users' own, under Reddit's terms; no open licence", 'no open licence" forbids it'),
        ("public domain (USA)", None),
        ("CC0-1.0 AND CC-BY-4.0", None),
        ("CC-BY-NC-4.0", None),
    ],
)
def test_what_licences_say_against_it(licence: str, said: str | None) -> None:
    right = Right(licence=licence, source="a", attribution="", rows=1)
    found = objections(facts("0", "nf4", rights=[right]))
    assert found == [] if said is None else said in found[0]
    base = msgspec.structs.replace(facts("0", "nf4").base, license="")
    assert objections(facts("0", "nf4", base=base)) == ["the licence is not known of the base model base"]


def test_a_licence_that_is_not_known_stops_a_push(tiny: Path, tmp_path: Path, hub: Hub) -> None:
    right = Right(licence="", source="scraped", attribution="", rows=1)
    root = workspace(tiny, tmp_path / "w", rights=[right])
    words = ("push", "small", "--to", "hub:me/small", "--yes")
    done = called(*words, workspace=root)
    assert done.exit_code == 2 and "not known of scraped" in done.output and not hub.calls
    done = called(*words, "--licence-ok", workspace=root)
    assert done.exit_code == 0 and hub.files and "licences: the licence is not known" in done.output


@pytest.mark.parametrize("name", ["pytorch_model.bin", "code.py", "x.pkl", "model.gguf", ".env", "noend"])
def test_only_these_kinds_of_files_are_ever_pushed(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "README.md").write_text("x")
    (tmp_path / name).write_text("x")
    with pytest.raises(StepError, match="nothing is pushed"):
        parcel(tmp_path, run.facts, "adapter")
