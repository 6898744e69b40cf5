"""Targets that a base lacks, and adapters that belong on another base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.train.targets import lacking, layers

torch = pytest.importorskip("torch", reason="torch is not installed")


def test_modules_by_the_files_of_weights(tiny: Path) -> None:
    found = layers(tiny)
    assert "model.layers.0.self_attn.q_proj" in found and "model.embed_tokens" in found
    assert not any("norm" in n for n in found)
    assert lacking(["q_proj", "self_attn.v_proj", "model.layers.1.mlp.up_proj"], found) == []
    # PEFT fits a whole name or its end after a dot, and no other part of it.
    assert lacking(["proj", "q_pro", "layers.1", "qkv_proj"], found) == [
        "proj",
        "q_pro",
        "layers.1",
        "qkv_proj",
    ]


def test_a_tied_output_layer_has_no_tensor(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "m")
    config = json.loads((tmp_path / "m/config.json").read_bytes())
    (tmp_path / "m/config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    assert "lm_head" in layers(tmp_path / "m")


def test_damaged_weights_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    assert layers(tmp_path) == []


def test_names_of_a_model_as_it_is_built(tiny: Path) -> None:
    from runner.jobs.modules import names

    assert set(layers(tiny)) <= set(names(str(tiny)))


def model(hidden: int = 32, layers: int = 2) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300}
    return LlamaForCausalLM(LlamaConfig(hidden_size=hidden, num_hidden_layers=layers, **sizes))


def adapter(folder: Path, of: Any, **how: Any) -> Path:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], **how)
    of.name_or_path = of.config._name_or_path = "some/base"
    get_peft_model(of, config).save_pretrained(folder)
    return folder


def test_an_adapter_of_this_base_fits(tmp_path: Path) -> None:
    from runner.jobs.fitting import misfit

    assert misfit(model(), adapter(tmp_path / "a", model())) is None
    assert misfit(model(), adapter(tmp_path / "b", model(), use_dora=True)) is None


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"hidden": 64}, "gives 64 numbers where this model's has 32"),
        ({"layers": 3}, "model.layers.2.mlp.down_proj, which this model does not have"),
    ],
)
def test_an_adapter_of_another_base_is_refused(tmp_path: Path, of: dict[str, int], said: str) -> None:
    """PEFT itself puts the one with more layers on, and says nothing of the third."""
    from runner.errors import StepError
    from runner.jobs.loading import put_on

    folder = adapter(tmp_path / "a", model(**of))
    with pytest.raises(StepError) as caught:
        put_on(model(), None, str(folder))
    assert (
        said in caught.value.message
        and "trained on another base (some/base): use that one" in caught.value.message
    )


def test_a_damaged_adapter_is_named(tmp_path: Path) -> None:
    from runner.jobs.fitting import misfit

    weights = adapter(tmp_path / "a", model()) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "damaged or cut short" in (misfit(model(), tmp_path / "a") or "")
