"""What recipes compile to is known to Axolotl's own model, and its validation accepts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import axolotl, library
from runner.load import load_recipe
from runner.plan import template_text
from runner.workspace import Workspace

PATHS = axolotl.Paths("MODEL", "data/train.jsonl", "data/validation.jsonl", "prepared", "output")
BASES = ("smollm2-135m", "llama-3.1-8b", "mistral-7b-v0.3")

# Axolotl looks into the base model's folder while it validates, so the test makes one of the right family.
FAMILY = {
    "smollm2-135m": ("llama", "LlamaForCausalLM"),
    "llama-3.1-8b": ("llama", "LlamaForCausalLM"),
    "mistral-7b-v0.3": ("mistral", "MistralForCausalLM"),
}

JUDGE = """
import json, sys, yaml
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.config import AxolotlInputConfig
from axolotl.utils.schemas.datasets import SFTDataset
from axolotl.integrations.base import PluginManager
known, rows = set(AxolotlInputConfig.model_fields), set(SFTDataset.model_fields)
out = []
for path in sys.argv[1:]:
    config = yaml.safe_load(open(path, encoding="utf-8"))
    unknown = sorted(set(config) - known)
    for dataset in config["datasets"] + config.get("test_datasets", []):
        unknown += sorted(set(dataset) - rows)
    profile = {"bf16": True, "n_gpu": 1, "n_node": 1, "compute_capability": "sm_90"}
    if not config.get("tf32"):
        profile |= {"n_gpu": 0, "compute_capability": ""}
    try:
        done = validate_config(DictDefault(config), capabilities=profile, env_capabilities={"torch_version": "2.13.0"})
        changed = {k: [v, done.get(k)] for k, v in config.items() if k not in ("datasets", "test_datasets") and done.get(k) != v}
        out.append([unknown, "", changed])
    except Exception as e:
        out.append([unknown, f"{type(e).__name__}: {e}", {}])
print("\\n" + json.dumps(out))
"""


def compiled(base: str, tmp_path: Path, extra: str = "") -> dict[str, Any]:
    (tmp_path / "rows.jsonl").write_text('{"messages":[]}\n')
    recipe = tmp_path / f"{base}.yaml"
    recipe.write_text(
        f"recipe: 1\nname: t\nextends: base/{base}.yaml\nsources:\n  - jsonl: {{files: [rows.jsonl]}}\n{extra}"
    )
    workspace = Workspace(tmp_path)
    loaded = load_recipe(recipe, workspace).recipe
    assert loaded.model is not None
    profile = "gpu" if loaded.compute.profile == "gpu" else "cpu"
    return axolotl.config(loaded, profile, PATHS, template_text(loaded.model, workspace))


def test_axolotl_knows_and_accepts_every_key(tmp_path: Path) -> None:
    pytest.importorskip("axolotl.common", reason="axolotl is not installed")
    paths, configs = [], []
    for base in BASES:
        for n, extra in enumerate(("", "adapter: {type: lora}\ntrain: {max_steps: 3, evaluate_every: 5}\n")):
            config = compiled(base, tmp_path, extra)
            kind, architecture = FAMILY[base]
            model = tmp_path / kind
            model.mkdir(exist_ok=True)
            shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
            about = {"model_type": kind, "architectures": [architecture], **shape, "intermediate_size": 64}
            (model / "config.json").write_text(json.dumps(about))
            config["base_model"] = str(model)
            path = tmp_path / f"{base}-{n}.yml"
            path.write_text(yaml.safe_dump(config))
            paths.append(str(path))
            configs.append(config)
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, *paths], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    for path, (unknown, error, changed) in zip(paths, results, strict=True):
        assert unknown == [], path
        assert error == "", path
        # What Axolotl makes of a value must still be what the recipe meant.
        assert set(changed) <= {"bf16", "base_model", "dataset_num_proc"}, (path, changed)


@pytest.mark.parametrize("base", BASES)
def test_yaml_means_the_same_to_pyyaml(base: str, tmp_path: Path) -> None:
    from runner.yaml12 import dump, parse

    config = compiled(base, tmp_path)
    assert yaml.safe_load(dump(config)) == config
    assert parse(dump(config), "x").data == config


def test_settings_of_the_large_bases(tmp_path: Path) -> None:
    for base in BASES[1:]:
        config = compiled(base, tmp_path)
        wanted = {
            "adapter": "qlora", "load_in_4bit": True, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05,
            "learning_rate": 2e-4, "lr_scheduler": "cosine", "warmup_ratio": 0.03, "sequence_len": 4096,
            "attn_implementation": "flash_attention_2", "gradient_checkpointing": True, "sample_packing": True,
        }  # fmt: skip
        assert {k: config[k] for k in wanted} == wanted
        assert len(config["lora_target_modules"]) == 7
        assert config["bnb_config_kwargs"] == {
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
        }
        assert "plugins" not in config


def test_a_recipe_cannot_name_axolotl_plugins_or_code() -> None:
    from runner.schema import recipe_schema, text

    assert "plugins" not in text(recipe_schema())
    assert library.shelf("recipes").is_dir()
