"""The forecast's arithmetic against the libraries whose arithmetic it is: Axolotl, Transformers, PEFT, PyTorch."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from runner.forecast import memory, parameters, schedule, shapes
from runner.forecast.torchrandom import orders

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

DRAWN = 137
SMALL = {
    "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 80, "vocab_size": 97, "head_dim": 12, "tie_word_embeddings": False,
}  # fmt: skip


def _lengths(rows: int, most: int, seed: int) -> list[int]:
    drawn = random.Random(seed)
    return [min(most, max(3, int(drawn.lognormvariate(3.5, 0.9)))) for _ in range(rows)]


def _step_cases() -> list[dict[str, Any]]:
    out = []
    kinds = (("flash_attention_2", False), ("sdpa", False), ("sdpa", True), ("flash_attention_2", True))
    for (attention, in_order), epochs, (micro, accumulate), rows in itertools.product(
        kinds, (1.0, 1.5, 3.0, 0.4), ((1, 1), (2, 1), (2, 3), (4, 2)), (23, 300)
    ):
        config = {
            "micro_batch_size": micro, "gradient_accumulation_steps": accumulate, "num_epochs": epochs,
            "sample_packing": True, "sequence_len": 256, "attn_implementation": attention,
            "curriculum_sampling": in_order, "pad_to_sequence_len": True, "sample_packing_group_size": 130,
            "sample_packing_bin_size": 6, "seed": rows + micro, "plugins": [schedule.SEEDING],
        }  # fmt: skip
        out.append({"config": config, "lengths": _lengths(rows, 256, rows + micro)})
    for epochs, (micro, accumulate), rows, most in itertools.product(
        (1.0, 1.5, 3.0, 0.3), ((1, 1), (2, 1), (2, 3), (3, 2)), (1, 7, 24), (None, 5)
    ):
        config = {
            "micro_batch_size": micro, "gradient_accumulation_steps": accumulate, "num_epochs": epochs,
            "sample_packing": False, "sequence_len": 256, "attn_implementation": "sdpa", "pad_to_sequence_len": False, "seed": 17,
        }  # fmt: skip
        out.append(
            {"config": config | ({"max_steps": most} if most else {}), "lengths": _lengths(rows, 256, rows)}
        )
    return out


def _parameter_cases() -> list[dict[str, Any]]:
    each = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    out = []
    for family in shapes.FAMILIES:
        targets = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"] if family == "phi3" else each
        more = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
        for tied in (False, True):
            lora = {"r": 4, "target_modules": targets}
            out.append(
                {"shape": SMALL | more | {"model_type": family, "tie_word_embeddings": tied}, "lora": lora}
            )
    llama = SMALL | {"model_type": "llama"}
    some: list[dict[str, Any]] = [
        {"r": 16, "target_modules": ["q_proj", "v_proj"]},
        {"r": 2, "target_modules": each, "use_dora": True},
        {"r": 3, "target_modules": ["self_attn.q_proj", "down_proj", "nothing"]},
        {"r": 3, "target_modules": each, "layers_to_transform": [0, 2]},
        {"r": 3, "target_modules": [*each, "lm_head"]},
        {"r": 3, "target_modules": each, "modules_to_save": ["lm_head", "embed_tokens"]},
        {"r": 3, "target_modules": "all-linear"},
    ]
    out += [{"shape": llama, "lora": lora} for lora in some]
    out.append({"shape": llama | {"attention_bias": True, "mlp_bias": True}, "lora": some[0]})
    out.append({"shape": SMALL | {"model_type": "qwen2"}, "lora": some[0]})
    return out


def _kept_cases() -> list[dict[str, Any]]:
    large = SMALL | {
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 896, "num_attention_heads": 8, "head_dim": 32
    }  # fmt: skip
    each = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = {"r": 16, "target_modules": each}
    kinds = [(lora, "sdpa"), (lora | {"lora_dropout": 0.05}, "sdpa"), (None, "sdpa"), (lora, "eager")]
    return [
        {"shape": large, "tokens": 512, "lora": lora, "attention": attention} for lora, attention in kinds
    ]


STEPS, PARAMETERS, KEPT = _step_cases(), _parameter_cases(), _kept_cases()


@pytest.fixture(scope="module")
def answers(forks: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    asked = json.dumps({"rows": DRAWN, "steps": STEPS, "parameters": PARAMETERS, "kept": KEPT})
    file = tmp_path_factory.mktemp("asked") / "asked.json"
    file.write_text(asked)
    done = forks.python([str(Path(__file__).with_name("forecast_oracle.py")), str(file)]).done()
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_orders_are_those_of_torch(answers: dict[str, Any]) -> None:
    assert answers["draws"] == list(itertools.islice(orders(DRAWN, 2**33 + 17), 6))


def test_steps_are_those_of_axolotl_and_the_trainer(answers: dict[str, Any]) -> None:
    wrong = []
    for case, (counted, trained) in zip(STEPS, answers["steps"], strict=True):
        epoch = schedule.passes(case["lengths"], case["config"])
        mine = schedule.steps(epoch, case["config"])
        assert epoch.exact and epoch.tokens == sum(case["lengths"])
        expected = trained or [
            counted or mine.steps,
            mine.passes,
        ]  # where Axolotl counts 0, the trainer decides
        if [mine.steps, mine.passes] != expected:
            wrong.append((case["config"], len(case["lengths"]), mine, counted, trained))
    assert not wrong, (len(wrong), wrong[:3])


def test_parameters_are_those_of_peft(answers: dict[str, Any]) -> None:
    names = {
        "r": "lora_r", "target_modules": "lora_target_modules", "use_dora": "peft_use_dora",
        "layers_to_transform": "peft_layers_to_transform", "modules_to_save": "lora_modules_to_save",
    }  # fmt: skip
    for case, (total, trainable) in zip(PARAMETERS, answers["parameters"], strict=True):
        shape = shapes.shape(case["shape"])
        assert shape is not None
        assert shape.parameters == total, case["shape"]
        config = {names[k]: v for k, v in case["lora"].items()} | {"adapter": "lora"}
        assert parameters.trained(shape, config).parameters == trainable, case


def test_what_a_block_keeps_is_what_autograd_saves(answers: dict[str, Any]) -> None:
    for case, kept in zip(KEPT, answers["kept"], strict=True):
        shape, lora = shapes.shape(case["shape"]), case["lora"] or {}
        assert shape is not None
        config = {
            "adapter": "lora" if lora else None, "lora_r": lora.get("r"), "lora_dropout": lora.get("lora_dropout", 0),
            "lora_target_modules": lora.get("target_modules"), "bf16": True, "attn_implementation": case["attention"],
        }  # fmt: skip
        tokens, what = case["tokens"], parameters.trained(shape, config)
        mine = tokens * memory.kept_by_block(shape, what, config, cpu=True)
        mine += memory.scores(shape, tokens, tokens, config)
        assert mine == pytest.approx(kept, rel=0.05), case
