"""A model's folder may bring Python and pickles along; neither is run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import cli
from runner.errors import StepError

pytest.importorskip("transformers", reason="transformers is not installed")

PWN = "open({!r}, 'w').write('run')\nraise RuntimeError('run')\n"


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A tokenizer's folder that names a class of its own."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    made: Any = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="a")
    made.chat_template = "{{ messages[0].content }}"
    folder = tmp_path / "strange"
    made.save_pretrained(folder)
    (folder / "own.py").write_text(PWN.format(str(tmp_path / "PWNED")))
    about = json.loads((folder / "tokenizer_config.json").read_bytes())
    about |= {
        "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]},
        "tokenizer_class": "Own",
        "trust_remote_code": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    (folder / "config.json").write_text(
        json.dumps({"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}, "model_type": "own"})
    )  # fmt: skip
    return folder


def test_a_tokenizer_of_its_own_is_not_run(strange: Path, tmp_path: Path) -> None:
    from runner.basemodel import Tokenizer

    wanted = Tokenizer(str(strange), None, None, None, "strange", "render")
    with pytest.raises(StepError, match="brings Python code of its own, which a recipe never runs"):
        wanted.load()
    assert not (tmp_path / "PWNED").exists()


def test_a_model_of_its_own_is_not_run(strange: Path, tmp_path: Path) -> None:
    from runner.jobs.modules import names

    with pytest.raises(ValueError, match="trust_remote_code"):
        names(str(strange))
    assert not (tmp_path / "PWNED").exists()


def test_an_adapter_that_is_a_pickle_is_none(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    from runner.jobs.loading import put_on

    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'touch PWNED'\ntR.")
    with pytest.raises(StepError, match=r"holds no adapter \(no adapter_model.safetensors\)"):
        put_on(None, None, str(tmp_path))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"target_modules": "((?:[a-z_.0-9]+)+)+X"}, "target_modules: '((?:[a-z"),
        ({"target_modules": ["q_proj"], "exclude_modules": "(a+)+$"}, "exclude_modules: '(a+)+$'"),
        ({"rank_pattern": {"(.*.*)*_": 3}}, "rank_pattern: '(.*.*)*_'"),
        ({"layers_pattern": ["(.*)*"]}, "layers_pattern: '(.*)*'"),
        ({"modules_to_save": ["(.*)*"]}, "modules_to_save: '(.*)*'"),
        ({"target_modules": ["q_proj", "model.layers.0.mlp"], "rank_pattern": {"v_proj": 3}}, None),
        ({"target_modules": "all-linear", "modules_to_save": None}, None),
    ],
)
def test_an_adapter_that_names_modules_by_a_pattern_without_end(
    tmp_path: Path, more: dict[str, Any], said: str | None
) -> None:
    """PEFT hands these to Python's own engine, which would try for ever."""
    from runner.jobs.fitting import patterns
    from runner.jobs.loading import put_on

    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2} | more))
    (tmp_path / "adapter_model.safetensors").touch()
    found = patterns(tmp_path)
    assert (found is None) if said is None else said in str(found)
    if said:
        with pytest.raises(StepError, match="names modules by a pattern"):
            put_on(None, None, str(tmp_path))


KERNEL = "stranger/kernel"


@pytest.mark.parametrize(
    "config", [{"attn_implementation": KERNEL}, {"pad": "x" * (2 << 20), "attn_implementation": KERNEL}, {"_attn_implementation": KERNEL}, {"text_config": {"attn_implementation": {"": KERNEL}}}]
)  # fmt: skip
def test_a_model_that_asks_for_code_of_a_hub_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    from runner.modelchecks import folder_faults

    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    (said,) = folder_faults(tmp_path)
    assert "names code of a hub" in said and KERNEL in said
    (tmp_path / "config.json").write_text(json.dumps({"attn_implementation": "sdpa"}))
    assert not list(folder_faults(tmp_path))


ASKS = """
import json, sys
from kernels import get_kernel
from transformers import AutoModelForCausalLM
from transformers.integrations.hub_kernels import load_and_register_attn_kernel
asked = []
import huggingface_hub
huggingface_hub.constants.HF_HUB_OFFLINE or sys.exit("online")
for ask in (lambda: get_kernel("kernels-community/quantization-bitsandbytes", version=1),
            lambda: load_and_register_attn_kernel("kernels-community/flash-attn2")):
    try:
        ask()
    except ValueError as e:
        asked.append(str(e))
print(json.dumps(asked))
"""


def test_no_job_runs_code_of_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes asks for a kernel when it is imported on some processors; a config.json may ask for any."""
    pytest.importorskip("kernels", reason="kernels is not installed")
    from runner import process

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    process.run([sys.executable, "-c", ASKS], log=tmp_path / "log", cwd=tmp_path)
    said = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert len(said) == 2 and all("code of a hub is never run" in s for s in said), said
    assert process.environment(network=True)["LOCAL_KERNELS"] == process.QUIET["LOCAL_KERNELS"]


def test_a_tokenizer_whose_pattern_has_no_end(tmp_path: Path, tiny: Path) -> None:
    """Its library panics, which is no Exception to Python: exit code 3 and one sentence all the same."""
    from runner import chat

    shutil.copytree(tiny, tmp_path / "m")
    path = tmp_path / "m" / "tokenizer.json"
    said = json.loads(path.read_bytes())
    said["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}
    path.write_text(json.dumps(said))
    renderer = chat.Renderer(
        str(tmp_path / "m"), revision=None, template="{{ messages[0].content }}", end_of_turn="<|im_end|>"
    )
    with pytest.raises(StepError, match=r"the model's tokenizer cannot read a text: .*retry-limit"):
        renderer._tokens("a" * 60 + "!")


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"pytorch_model.bin": "x", "decoy.safetensors": ""},
            "no .safetensors weights: neither model.safetensors nor",
        ),
        (
            {"pytorch_model.bin": "x", INDEX: '{"weight_map": {"a": "pytorch_model.bin"}}'},
            "names 'pytorch_model.bin'",
        ),
        (
            {INDEX: '{"weight_map": {"a": "../x.safetensors"}}'},
            "names '../x.safetensors', and no .safetensors file",
        ),
        ({INDEX: '{"weight_map": {"a": "m1.safetensors"}}'}, "no 'm1.safetensors', which its"),
        ({INDEX: "[1]", "a.safetensors": ""}, f"an {INDEX} that is none"),
        ({"model.safetensors": ""}, ""),
        ({INDEX: '{"weight_map": {"a": "m1.safetensors"}}', "m1.safetensors": ""}, ""),
    ],
)
def test_a_folder_whose_weights_would_be_a_pickle(tmp_path: Path, files: dict[str, str], said: str) -> None:
    from runner.modelchecks import folder_faults

    (tmp_path / "config.json").write_text("{}")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = list(folder_faults(tmp_path))
    assert len(found) == bool(said) and all(said in what for what in found), found


def test_axolotl_takes_safetensors_only(tmp_path: Path) -> None:
    """As Axolotl's loader is called: it hands these options on to Transformers, which then takes no pickle."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    from runner import axolotl
    from runner import recipe as r

    tiny = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8
        )
    )
    tiny.config.save_pretrained(tmp_path)
    torch.save(tiny.state_dict(), tmp_path / "pytorch_model.bin")
    model = r.Model(base=str(tmp_path), template="model")
    recipe = r.Recipe(
        name="t", description="", seed=1, sources=[], filters=[], dedup=r.Dedup(exact=False, near=None), decontaminate=r.Decontaminate(), mix=None,
        split=r.Split(), fail_if=r.FailIf(), model=model, adapter=r.Adapter(), train=r.Train(),
        evaluate=r.Evaluate(), compute=r.Compute(), track=r.Track(), axolotl=r.Overrides(),
    )  # fmt: skip
    config = axolotl.config(recipe, "cpu", axolotl.Paths("m", "t", None, "p", "o"), None, bf16=True)
    AutoModelForCausalLM.from_pretrained(tmp_path)
    with pytest.raises(OSError, match="safetensors"):
        AutoModelForCausalLM.from_pretrained(tmp_path, **config["overrides_of_model_kwargs"])


RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: m, template: own.jinja, end_of_turn: <|im_end|>, max_length: 512}
"""


@pytest.fixture
def home(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a model's folder, and a file outside that no recipe may read."""
    (tmp_path / "secret").write_text("{{ messages[0].content }}")
    home = tmp_path / "home"
    shutil.copytree(tiny, home / "m")
    talk = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}]
    (home / "talk.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    (home / "own.jinja").write_text("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    (home / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(home)
    return home


@pytest.mark.parametrize("name", ["chat_template.jinja", "vocab.txt", "more/merges.txt"])
def test_a_file_of_a_model_that_is_a_link_out_is_not_read(home: Path, name: str) -> None:
    """A tokenizer's files are saved beside the adapter: what they hold would go along with it."""
    link = home / "m" / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to("../../secret" if link.parent.name == "m" else "../../../secret")
    for argv in (["check", "r.yaml"], ["run", "r.yaml", "--to", "prepare"]):
        done = CliRunner().invoke(cli.main, argv)
        assert done.exit_code == 4, done.output
        assert f"'m/{name}' lies outside the workspace; allow it with --trust paths" in done.stderr
    assert CliRunner().invoke(cli.main, ["check", "r.yaml", "--trust", "paths"]).exit_code == 0
    link.unlink()
    link.symlink_to("tokenizer.json" if link.parent.name == "m" else "../tokenizer.json")
    assert CliRunner().invoke(cli.main, ["check", "r.yaml"]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "[1]"), ("config.json", "[" * 100_000), ("config.json", '{"model_type": "llama", "vocab_size": 1e300}'),
        ("tokenizer.json", "[]"), ("tokenizer.json", "[" * 100_000), ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"eos_token": {"content": [1]}}'),
    ],
)  # fmt: skip
def test_files_of_a_model_that_are_none_end_in_one_line(home: Path, name: str, text: str) -> None:
    """Exit code 1 would say that a gate failed."""
    (home / "m" / name).write_text(text)
    assert CliRunner().invoke(cli.main, ["plan", "r.yaml"]).exit_code == 0
    done = CliRunner().invoke(cli.main, ["run", "r.yaml", "--to", "prepare"])
    assert done.exit_code == 3 and isinstance(done.exception, SystemExit), done.exception
    assert "render: no tokenizer for 'm': " in done.stderr or "'m' has no tokenizer" in done.stderr, (
        done.stderr
    )
