"""What recipes compile to is known to Axolotl's own model, and its validation accepts it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import axolotl, library
from runner import recipe as r
from runner.axolotlkeys import OPEN, OWN, REFUSED, why_not
from runner.errors import RecipeError
from runner.load import load_recipe
from runner.plan import template_text
from runner.recipe.overrides import BESIDE
from runner.workspace import Workspace

PATHS = axolotl.Paths("MODEL", "data/train.jsonl", "data/validation.jsonl", "prepared", "output")
BASES = (
    "smollm2-135m", "llama-3.1-8b", "mistral-7b-v0.3", "qwen2.5-7b", "qwen3-8b", "granite-3.3-8b", "gemma-2-9b",
    "smollm2-1.7b",
)  # fmt: skip

# Axolotl looks into the base model's folder while it validates, so the test makes one of the right family.
FAMILY = {
    "smollm2-135m": ("llama", "LlamaForCausalLM"),
    "llama-3.1-8b": ("llama", "LlamaForCausalLM"),
    "mistral-7b-v0.3": ("mistral", "MistralForCausalLM"),
    "qwen2.5-7b": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3-8b": ("qwen3", "Qwen3ForCausalLM"),
    "granite-3.3-8b": ("granite", "GraniteForCausalLM"),
    "gemma-2-9b": ("gemma2", "Gemma2ForCausalLM"),
    "smollm2-1.7b": ("llama", "LlamaForCausalLM"),
}

JUDGE = """
import json, sys, yaml
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.config import AxolotlInputConfig
from axolotl.utils.schemas.datasets import SFTDataset
from axolotl.utils.schemas.enums import CustomSupportedOptimizers
from pydantic import TypeAdapter
from transformers.optimization import get_scheduler
from transformers.training_args import OptimizerNames
import torch

def schema(field):
    try:
        return TypeAdapter(field.annotation).json_schema()
    except Exception as e:
        return {"error": repr(e)}

fields = AxolotlInputConfig.model_fields
known, rows = set(fields) | {f.alias for f in fields.values() if f.alias}, set(SFTDataset.model_fields)
optimizers = {o.value for o in OptimizerNames} | {o.value for o in CustomSupportedOptimizers}
out = []
for path, gpus, nodes in json.load(open(sys.argv[1])):
    config = yaml.safe_load(open(path, encoding="utf-8"))
    unknown = sorted(set(config) - known)
    for dataset in config["datasets"] + config.get("test_datasets", []):
        unknown += sorted(set(dataset) - rows)
    profile = {"bf16": True, "n_gpu": gpus, "n_node": nodes, "compute_capability": "sm_90" if gpus else ""}
    try:
        if config["optimizer"] not in optimizers:
            raise ValueError("no such optimizer: " + config["optimizer"])
        get_scheduler(config["lr_scheduler"], torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 5, 100,
                      config.get("lr_scheduler_kwargs"))
        given = DictDefault(config)
        if config.get("use_ray"):  # looked at where it is launched, and again by each process that trains
            given = DictDefault(validate_config(given, capabilities=None, env_capabilities=None).to_dict())
        done = validate_config(given, capabilities=profile, env_capabilities={"torch_version": "2.13.0"})
        done = json.loads(json.dumps(done.to_dict(), default=str))
        changed = {k: [v, done.get(k)] for k, v in config.items() if k not in ("datasets", "test_datasets") and done.get(k) != v}
        out.append([unknown, "", changed])
    except Exception as e:
        out.append([unknown, f"{type(e).__name__}: {e}", {}])
print("\\n" + json.dumps({"known": sorted(known), "types": {k: schema(f) for k, f in fields.items()}, "configs": out}))
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
    return axolotl.config(loaded, profile, PATHS, template_text(loaded.model, workspace), bf16=True)


Case = tuple[str, dict[str, Any], int]
"""A name, a config, and how many GPUs there are: eight a node."""


def model_folder(tmp_path: Path, base: str) -> str:
    kind, architecture = FAMILY[base]
    model = tmp_path / kind
    model.mkdir(exist_ok=True)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
    about = {"model_type": kind, "architectures": [architecture], **shape, "intermediate_size": 64}
    (model / "config.json").write_text(json.dumps(about))
    return str(model)


def judged(forks: Any, tmp_path: Path, cases: list[Case]) -> dict[str, Any]:
    """What Axolotl says of each config: unknown keys, error, values that it changed."""
    paths = []
    for n, (_, config, gpus) in enumerate(cases):
        path = tmp_path / f"case-{n}.yml"
        path.write_text(yaml.safe_dump(config))
        paths.append([str(path), gpus, max(1, gpus // 8)])
    (tmp_path / "cases.json").write_text(json.dumps(paths))
    done = forks.python(["-c", JUDGE, str(tmp_path / "cases.json")]).done()
    assert done.returncode == 0, done.stderr[-2000:]
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


# Each option's values; a recipe of the matrix takes one of each, where the check allows it.
OPTIONS: dict[str, list[Any]] = {
    "adapter.type": ["qlora", "lora", "full"],
    "adapter.dora": [False, True],
    "adapter.rslora": [False, True],
    "adapter.quant_type": ["nf4", "fp4"],
    "adapter.double_quant": [True, False],
    "adapter.modules_to_save": [[], ["embed_tokens", "lm_head"]],
    "train.schedule": ["cosine", "linear", "constant", "cosine_with_restarts", "inverse_sqrt", "warmup_stable_decay"],
    "train.warmup_steps": [None, 0, 7],
    "train.min_lr": [None, 0.1],
    "train.neftune_alpha": [None, 5],
    "train.packing": [True, False],
    "train.evaluation_packing": [False, True],
    "train.group_by_length": [False, True],
    "train.attention": ["flash_attention_2", "flash_attention_3", "flex_attention", "sdpa", "eager"],
    "train.gradient_checkpointing": [True, False],
    "train.precision": ["auto", "bf16", "fp16", "fp32"],
    "train.optimizer": [
        "adamw_torch", "adamw_torch_fused", "adamw_torch_8bit", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit",
        "lion_32bit", "lion_8bit", "paged_lion_8bit", "adafactor", "sgd",
    ],
    "train.best": ["none", "keep", "early"],
    "train.max_steps": [None, 100],
    "compute.profile": ["cpu", "gpu"],
    "compute.engine": ["local", "ray"],
    "compute.resources": [None, {"CPU": 4}],
    "compute.gpus": [1, 4],
    "compute.strategy": ["ddp", "zero2", "zero3", "fsdp2"],
    "track.wandb": [None, {"project": "p", "mode": "offline", "entity": "e"}],
    "track.tensorboard": [False, True],
    "track.trackio": [None, {"project": "p"}],
}  # fmt: skip


def tidied(choice: dict[str, Any]) -> dict[str, Any]:
    """The choice without what the check refuses most, so that most choices pass it."""
    out = dict(choice)
    if out["adapter.type"] == "full":
        out |= {"adapter.dora": False, "adapter.rslora": False, "adapter.modules_to_save": []}
    if out["adapter.type"] != "qlora":
        out |= {"adapter.quant_type": "nf4", "adapter.double_quant": True}
    if out["train.schedule"] not in ("cosine", "warmup_stable_decay"):
        out["train.min_lr"] = None
    if out["train.packing"]:
        out["train.group_by_length"] = False
    else:
        out["train.evaluation_packing"] = False
    if out["train.attention"] == "eager":
        out |= {"train.packing": False, "train.evaluation_packing": False}
    if out["compute.profile"] == "cpu":
        out["compute.gpus"] = 1
    if out["compute.gpus"] == 1:
        out["compute.strategy"] = "ddp"
    return out


def parts_of(choice: dict[str, Any]) -> str:
    """A choice of options as the parts of a recipe."""
    parts: dict[str, dict[str, Any]] = {"train": {"micro_batch": 2, "effective_batch": 16}}
    for name, value in choice.items():
        part, _, key = name.partition(".")
        if name == "train.best":
            if value != "none":
                parts["train"] |= {"save_every": 10, "evaluate_every": 10}
                parts["train"] |= {"keep_best": True} if value == "keep" else {"early_stopping": 3}
        elif value is not None:
            parts.setdefault(part, {})[key] = value
    if choice.get("train.schedule") == "warmup_stable_decay":
        parts["train"]["decay_steps"] = 20
    if choice.get("train.schedule") == "cosine_with_restarts":
        parts["train"]["cycles"] = 3
    return yaml.safe_dump(parts)


def clusters() -> Iterator[tuple[dict[str, Any], int]]:
    """Every way to train on a Ray cluster that the check allows: of one GPU, of one node, of two."""
    for strategy, kind, gpus in product(
        ("ddp", "zero2", "zero3", "fsdp2"), ("qlora", "lora", "full"), (1, 2, 8, 16)
    ):
        if not (strategy != "ddp" and gpus == 1) and (strategy, kind) != ("zero3", "qlora"):
            compute = {
                "profile": "gpu",
                "engine": "ray",
                "gpus": gpus,
                "strategy": strategy,
                "resources": {"CPU": 4},
            }
            train = {"optimizer": "adamw_torch", "micro_batch": 2, "effective_batch": 32, "attention": "sdpa"}
            yield {"adapter": {"type": kind}, "train": train, "compute": compute}, gpus


def matrix(tmp_path: Path, tries: int = 1500, most: int = 60) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Choices that pass the check, until every pair of values that goes together at all has been seen (or `most`)."""
    dice = random.Random(5)
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
    seen: set[tuple[tuple[str, str], tuple[str, str]]] = set()
    for _ in range(tries):
        choice = tidied({k: dice.choice(v) for k, v in OPTIONS.items()})
        values = [(k, str(v)) for k, v in choice.items()]
        pairs = {(a, b) for i, a in enumerate(values) for b in values[i + 1 :]}
        if not pairs - seen or len(kept) >= most:
            continue
        try:
            config = compiled("smollm2-135m", tmp_path, parts_of(choice))
        except RecipeError:
            continue
        if len(pairs - seen) >= (1 if len(kept) < most // 2 else 10):
            kept.append((choice, config))
            seen |= pairs
    return kept


SAMPLES: dict[str, Any] = {
    "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6, "loraplus_lr_ratio": 16.0,
    "loraplus_lr_embedding": 1e-5, "embedding_lr": 1e-5, "embedding_lr_scale": 0.5, "cosine_constant_lr_ratio": 0.8,
    "peft_layers_to_transform": [0, 1], "peft_autocast_adapter_dtype": False, "embeddings_skip_upcast": True,
    "eval_batch_size": 3, "sample_packing_group_size": 1000, "sample_packing_bin_size": 50, "pad_to_multiple_of": 8,
    "dataloader_num_workers": 2, "dataloader_prefetch_factor": 4, "dataloader_pin_memory": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": True}, "activation_offloading": "hidden_states",
    "selective_checkpointing": True, "layer_offloading": True, "torch_empty_cache_steps": 5, "gc_collect_steps": 5,
    "lora_on_cpu": True, "tf32": False, "torch_compile": True, "torch_compile_mode": "max-autotune",
    "sdpa_varlen": True, "fused_attn_kernel": True, "lora_mlp_kernel": False, "lora_qkv_kernel": True,
    "lora_o_kernel": True, "lora_embedding_kernel": True, "chunked_cross_entropy": True,
    "chunked_cross_entropy_num_chunks": 4, "tiled_mlp": True, "tiled_mlp_num_shards": 2, "include_tkps": False,
    "include_tokens_per_second": True, "ddp_timeout": 60, "ddp_bucket_cap_mb": 25, "ddp_broadcast_buffers": False,
}  # fmt: skip


def types(schema: dict[str, Any], root: dict[str, Any]) -> set[str]:
    """The JSON types that a schema lets in; a text that it names stands as `=text`."""
    if "$ref" in schema:
        return types(root[schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return set().union(*(types(one, root) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return {"null" if v is None else f"={v}" for v in schema.get("enum", [schema.get("const")])}
    named = schema.get("type")
    found = set(named) if isinstance(named, list) else {named or "any"}
    if "array" in found:
        found = found - {"array"} | {f"array of {t}" for t in types(schema.get("items", {}), root)}
    return found


Chosen = list[tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Chosen:
    return matrix(tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="module")
def verdicts(
    forks: Any, chosen: Chosen, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Case], dict[str, Any]]:
    """Axolotl's word on every case of this file: its import takes longer than all else, and is done already."""
    pytest.importorskip("axolotl.common", reason="axolotl is not installed")
    tmp_path = tmp_path_factory.mktemp("configs")
    cases: list[Case] = []
    for base in BASES:
        for extra in ("", "adapter: {type: lora}\ntrain: {max_steps: 3, evaluate_every: 5}\n"):
            config = compiled(base, tmp_path, extra)
            config["base_model"] = model_folder(tmp_path, base)
            cases.append((f"{base} {extra}", config, 1 if config.get("tf32") else 0))
    for choice, config in chosen:
        config["base_model"] = model_folder(tmp_path, "smollm2-135m")
        gpus = choice["compute.gpus"] if choice["compute.profile"] == "gpu" else 0
        cases.append((f"matrix {choice}", config, gpus))
    for parts, gpus in clusters():
        config = compiled("smollm2-135m", tmp_path, yaml.safe_dump(parts))
        assert config["ray_num_workers"] == gpus and config["gradient_accumulation_steps"] == 16 // gpus
        config["base_model"] = model_folder(tmp_path, "smollm2-135m")
        cases.append((f"cluster {parts}", config, gpus))
    for key, value in SAMPLES.items():
        beside = {BESIDE[key]: SAMPLES[BESIDE[key]]} if key in BESIDE else {}
        extra = {"axolotl": beside | {key: value}, "compute": {"profile": "gpu", "gpus": 2}}
        extra["train"] = {
            "schedule": "cosine", "min_lr": 0.1, "attention": "sdpa", "packing": True, "group_by_length": False,
            "gradient_checkpointing": True, "micro_batch": 2, "effective_batch": 16,
        }  # fmt: skip
        config = compiled("smollm2-135m", tmp_path, yaml.safe_dump(extra))
        config["base_model"] = model_folder(tmp_path, "smollm2-135m")
        assert config[key] == value
        cases.append((f"key {key}", config, 2))
    return cases, judged(forks, tmp_path, cases)


def test_axolotl_knows_and_accepts_every_key(verdicts: tuple[list[Case], dict[str, Any]]) -> None:
    cases, said = verdicts
    assert len(said["configs"]) == len(cases)
    for (name, _, _), (unknown, error, changed) in zip(cases, said["configs"], strict=True):
        assert unknown == [], name
        assert error == "", name
        # What Axolotl makes of a value must still be what the recipe meant.
        changed.pop("selective_checkpointing", None)  # true is the name of its settings
        assert set(changed) <= {"bf16", "base_model", "dataset_num_proc"}, (name, changed)


def test_the_matrix_has_every_value(chosen: Chosen) -> None:
    for name, values in OPTIONS.items():
        for value in values:
            assert any(choice[name] == value for choice, _ in chosen), (name, value)
    assert len(chosen) >= 40


def test_every_key_of_axolotl_is_open_or_ours_or_refused(verdicts: tuple[list[Case], dict[str, Any]]) -> None:
    known = set(verdicts[1]["known"])
    ours = set(OPEN) | set(OWN) | set(REFUSED)
    assert known - ours == set(), "new in Axolotl: review them"
    assert ours - known == set(), "no longer in Axolotl"
    assert not set(OPEN) & set(OWN) and not set(OPEN) & set(REFUSED) and not set(OWN) & set(REFUSED)
    assert set(SAMPLES) == set(OPEN)


def test_open_keys_are_typed_as_axolotl_types_them(verdicts: tuple[list[Case], dict[str, Any]]) -> None:
    (own,), definitions = msgspec.json.schema_components([r.Overrides], ref_template="#/$defs/{name}")
    definitions = {k: dict(v) for k, v in definitions.items()}
    for key, mine in definitions[own["$ref"].rpartition("/")[2]]["properties"].items():
        whole = verdicts[1]["types"][key]
        theirs = types(whole, whole.get("$defs", {}))
        assert "any" not in theirs, key
        for kind in types(mine, definitions):
            plain = kind.removeprefix("array of ")
            allowed = theirs | {t.replace("number", "integer") for t in theirs}
            allowed |= {kind} if kind.startswith("=") and "string" in theirs else set()
            assert kind in allowed or plain == "null", (key, kind, theirs)


def test_each_reason_of_a_refusal_names_its_kind() -> None:
    assert why_not("lora_r") == "the recipe has a key of its own for it: adapter.r"
    assert "data" in why_not("plugins") and "code" in why_not("plugins")
    assert why_not("sampel_packing").endswith("(did you mean sample_packing?)")
    from runner.schema import recipe_schema

    for key, own in OWN.items():
        node: Any = recipe_schema()
        root = node["$defs"]
        for part in own.split("."):
            for _ in range(5):
                if "$ref" in node:
                    node = root[node["$ref"].rpartition("/")[2]]
                node = next((x for x in node.get("anyOf", ()) if x.get("type") != "null"), node)
            node = node["properties"][part]
        assert node, key


@pytest.mark.parametrize("base", BASES)
def test_yaml_means_the_same_to_pyyaml(base: str, tmp_path: Path) -> None:
    from runner.yaml12 import dump, parse

    config = compiled(base, tmp_path)
    assert yaml.safe_load(dump(config)) == config
    assert parse(dump(config), "x").data == config


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in OPTIONS.items()}))
def test_any_recipe_that_passes_the_check_means_the_same_to_pyyaml(
    tmp_path: Path, choice: dict[str, Any]
) -> None:
    from runner.yaml12 import dump, parse

    choice = tidied(choice)
    try:
        config = compiled("smollm2-135m", tmp_path, parts_of(choice))
    except RecipeError:
        return
    assert yaml.safe_load(dump(config)) == config
    assert parse(dump(config), "x").data == config
    gpus = choice["compute.gpus"] if choice["compute.profile"] == "gpu" else 1
    assert config["micro_batch_size"] * config["gradient_accumulation_steps"] * gpus == 16
    assert not ("deepspeed" in config and "fsdp_config" in config)
    assert ("adapter" in config) == (choice["adapter.type"] != "full")
    assert set(config.get("plugins", [])) <= {
        *(*axolotl.CPU_PLUGINS, axolotl.SEEDING, axolotl.STOPPING, axolotl.TRACKIO)
    }


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
        assert config["plugins"] == [axolotl.SEEDING]


def test_a_recipe_cannot_name_axolotl_plugins_or_code() -> None:
    from runner.schema import recipe_schema, text

    assert "plugins" not in text(recipe_schema())
    assert library.shelf("recipes").is_dir()
