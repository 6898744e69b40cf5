"""The forecast of a plan: what it reads, what it says, and what it advises. No library but our own."""

from __future__ import annotations

import json
import random
import struct
from array import array
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import cli
from runner.forecast import fitting, lengths, machines, memory, packing, parameters, schedule, shapes, timing

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ROW = '{"messages":[{"role":"user","content":"Say red."},{"role":"assistant","content":"Red."}]}\n'
CONFIG: dict[str, Any] = {
    "adapter": "lora", "lora_r": 64, "lora_dropout": 0.05, "bf16": True, "gradient_checkpointing": True,
    "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "attn_implementation": "flash_attention_2", "micro_batch_size": 1, "gradient_accumulation_steps": 8,
    "sample_packing": False, "sequence_len": 8192, "num_epochs": 1, "pad_to_sequence_len": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "talk.jsonl").write_text(ROW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


def write(base: str, more: str = "") -> None:
    sources = "sources:\n  - jsonl: {files: [talk.jsonl]}\n    name: talk\n"
    Path("r.yaml").write_text(f"recipe: 1\nname: r\nextends: base/{base}.yaml\n{sources}{more}")


def plan(*arguments: str) -> Any:
    done = CliRunner().invoke(cli.main, ["plan", "r.yaml", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.mark.parametrize("base", ["llama-3.1-8b", "smollm2-135m"])
def test_golden_text(base: str, golden_write: bool) -> None:
    write(base)
    said = "forecast\n" + plan("--profile", "gpu").partition("forecast\n")[2]
    path = GOLDEN / f"forecast-{base}.txt"
    if golden_write:
        path.write_text(said)
    assert said == path.read_text()


def test_a_recipe_that_does_not_fit_names_the_setting_that_makes_it_fit() -> None:
    write("llama-3.1-8b", "train: {micro_batch: 4, effective_batch: 16, gradient_checkpointing: false}\n")
    (on,) = plan("--gpu", "4090", "--json")["forecast"]["machines"]
    assert on["fits"] is False
    said = {c["setting"]: (c["before"], c["after"]) for c in on["remedy"]["changes"]}
    assert said == {"train.gradient_checkpointing": (False, True), "train.micro_batch": (4, 1)}
    # The recipe changed so is itself forecast to fit, to the byte.
    write("llama-3.1-8b", "train: {micro_batch: 1, effective_batch: 16, gradient_checkpointing: true}\n")
    again = plan("--gpu", "4090", "--json")["forecast"]
    assert again["machines"][0]["fits"] is True and again["machines"][0]["remedy"] is None
    assert again["memory"]["bytes"] == on["remedy"]["bytes"]
    # One step less of it would not do.
    write("llama-3.1-8b", "train: {micro_batch: 2, effective_batch: 16, gradient_checkpointing: true}\n")
    assert plan("--gpu", "4090", "--json")["forecast"]["machines"][0]["fits"] is False


def test_full_training_is_told_to_take_an_adapter() -> None:
    write("llama-3.1-8b", "adapter: {type: full}\n")
    said = plan("--gpu", "a100-40")
    assert "does not fit" in said and "adapter.type: lora would make it fit" in said
    assert plan("--gpu", "a100-40", "--json")["forecast"]["trainable_parameters"] == 8_030_261_248


def test_what_nothing_makes_fit_says_so() -> None:
    def needs(_: Any) -> int:
        return 10**15

    from runner.load import load_recipe
    from runner.workspace import Workspace

    write("llama-3.1-8b")
    recipe = load_recipe(Path("r.yaml"), Workspace(Path())).recipe
    assert fitting.remedy(recipe, needs, 10**10) is None


def test_a_recipe_without_a_model_has_no_forecast() -> None:
    Path("r.yaml").write_text("recipe: 1\nname: r\nsources:\n  - jsonl: {files: [talk.jsonl]}\n")
    assert "forecast" not in plan()
    assert plan("--json")["forecast"] is None


def test_a_model_that_is_not_known_is_said_to_be() -> None:
    write("llama-3.1-8b", "model: {base: somebody/something, end_of_turn: null}\n")
    assert "the shape of this base model is not known" in plan()
    found = plan("--json")["forecast"]
    assert found["parameters"] is None and found["memory"] is None


def test_a_model_folder_tells_its_own_shape() -> None:
    Path("mine").mkdir()
    config = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_key_value_heads": 2, "intermediate_size": 64, "vocab_size": 300}  # fmt: skip
    Path("mine/config.json").write_text(json.dumps(config))
    Path("mine/model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    write("smollm2-135m", "model: {base: mine}\nadapter: {r: 4, targets: [q_proj, nothing]}\n")
    found = plan("--json")["forecast"]
    assert found["trainable_parameters"] == 2 * 4 * (32 + 32)
    assert "the model has no module named nothing" in found["notes"]
    for broken in ("{", "[]", '{"model_type": "llama"}', '{"model_type": "llama", "hidden_size": "x"}'):
        Path("mine/config.json").write_text(broken)
        assert shapes.read(Path("mine")) is None


def test_every_base_recipe_has_a_known_shape() -> None:
    from runner import library
    from runner.yaml12 import parse

    for path in sorted((library.shelf("recipes") / "base").glob("*.yaml")):
        base = parse(path.read_text(encoding="utf-8"), path.name).data["model"]["base"]
        assert shapes.known(base) is not None, f"{path.name}: {base} is not in runner/forecast/shapes.json"


# Parameters that the models' own pages say.
@pytest.mark.parametrize(
    ("base", "parameters"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("mistralai/Mistral-7B-Instruct-v0.3", 7_248_023_552),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("google/gemma-2-9b-it", 9_241_705_984),
        ("embedded/smollm2-135m-instruct", 134_515_008),
    ],
)
def test_parameters_of_known_models(base: str, parameters: int) -> None:
    shape = shapes.known(base)
    assert shape is not None and shape.parameters == parameters


# -- packing ----------------------------------------------------------------------------------


def naive(sizes: list[int], capacity: int, most: int) -> list[int]:
    bins: list[list[int]] = []
    for size in sizes:
        for one in bins:
            if sum(one) + size <= capacity and len(one) < most:
                one.append(size)
                break
        else:
            bins.append([size])
    return [sum(one) for one in bins]


@pytest.mark.parametrize("seed", range(40))
def test_first_fit_is_first_fit(seed: int) -> None:
    drawn = random.Random(seed)
    capacity, most = drawn.choice([7, 64, 200]), drawn.choice([1, 2, 5, 200])
    sizes = [drawn.randint(1, capacity) for _ in range(drawn.randint(0, 150))]
    if seed % 4 == 0:
        sizes = [min(s, 3) for s in sizes]
    assert packing.first_fit(sizes, capacity, most) == naive(sizes, capacity, most)


def test_groups_are_packed_apart() -> None:
    assert packing.packed([5, 5, 5, 5], 10, group=3) == [10, 5, 5]
    assert packing.packed([5, 5, 5, 5], 10) == [10, 10]


def test_packing_of_very_many_rows_is_drawn_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "EXACT_ROWS", 100)
    config = CONFIG | {"sample_packing": True, "sequence_len": 64, "pad_to_sequence_len": True}
    epoch = schedule.passes([30] * 1000, config)
    assert (epoch.exact, epoch.batches, epoch.padded_tokens) == (False, 500, 500 * 64)


def test_padding_is_to_the_longest_of_a_batch() -> None:
    config = CONFIG | {"micro_batch_size": 2, "curriculum_sampling": True}
    epoch = schedule.passes([3, 10, 4, 4, 9], config)
    assert (epoch.batches, epoch.padded_tokens, epoch.largest, epoch.longest) == (3, 20 + 8 + 9, 20, 10)
    assert schedule.passes([3, 10], config | {"pad_to_sequence_len": None}).padded_tokens == 128


# -- what prepare left ------------------------------------------------------------------------


def npy(values: array[int], descr: str) -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({len(values)},), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values.tobytes()


def test_numbers_of_npy_files(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(npy(array("I", [1, 70_000]), "<u4"))
    assert list(lengths.numbers(path)) == [1, 70_000]
    path.write_bytes(npy(array("B", [0, 1]), "|b1"))
    assert list(lengths.numbers(path)) == [0, 1]
    for broken in (b"", b"nothing", npy(array("d", [1.0]), "<f8"), npy(array("I", [1, 2]), "<u4")[:-1]):
        path.write_bytes(broken)
        with pytest.raises(ValueError):
            lengths.numbers(path)


# -- memory and time --------------------------------------------------------------------------

# QwenLM/Qwen, README, "Profiling of Memory and Speed": one A100 80 GB, LoRA r 64 on all linear layers, flash
# attention 2, gradient checkpointing, batch 1, 8 accumulated: GiB and seconds a step at 2048, 4096 and 8192 tokens.
PUBLISHED = {
    7: ((4096, 32, 32, 11008, 151_936), ((23.8, 5.2), (29.7, 10.1), (36.6, 21.3))),
    14: ((5120, 40, 40, 13696, 152_064), ((37.4, 8.4), (42.5, 17.0), (55.2, 36.0))),
}


@pytest.mark.parametrize("billions", PUBLISHED)
def test_memory_and_time_are_near_published_ones(billions: int) -> None:
    (hidden, layers, heads, ffn, vocabulary), rows = PUBLISHED[billions]
    shape = shapes.shape(
        {"model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
         "intermediate_size": ffn, "vocab_size": vocabulary}
    )  # fmt: skip
    assert shape is not None
    what = parameters.trained(shape, CONFIG)
    for tokens, (gib, seconds) in zip((2048, 4096, 8192), rows, strict=True):
        found = memory.peak(shape, what, CONFIG, tokens, tokens, memory.Setting(cpu=False)).total / memory.GIB
        assert found == pytest.approx(gib, rel=0.15)
        epoch = schedule.passes([tokens] * 8, CONFIG)
        took = timing.on_gpu(
            shape, what, CONFIG, epoch, schedule.steps(epoch, CONFIG), machines.gpu("a100-80")
        )
        assert took.training == pytest.approx(seconds, rel=0.15)


def test_settings_do_to_memory_what_they_are_for() -> None:
    shape = shapes.known("meta-llama/Llama-3.1-8B-Instruct")
    assert shape is not None

    alone = memory.Setting(cpu=False)

    def peak(more: dict[str, Any], tokens: int = 4096, setting: memory.Setting = alone) -> int:
        config = CONFIG | more
        return memory.peak(shape, parameters.trained(shape, config), config, tokens, tokens, setting).total

    qlora = {"adapter": "qlora", "load_in_4bit": True}
    assert peak(qlora) < peak({}) < peak({"adapter": None})
    assert peak(qlora) < peak(qlora | {"gradient_checkpointing": False})
    assert peak(qlora) < peak(qlora | {"bnb_config_kwargs": {"bnb_4bit_use_double_quant": False}})
    assert peak(qlora, 2048) < peak(qlora)
    without = {"gradient_checkpointing": False}
    assert peak(without | {"attn_implementation": "eager"}) > peak(without)
    assert peak({"optimizer": "adamw_8bit"}) < peak({})
    assert peak({"chunked_cross_entropy": True}) < peak({})
    halves = peak({"adapter": None}, setting=memory.Setting(cpu=False, gpus=2, strategy="fsdp2"))
    assert halves < peak({"adapter": None}) * 0.7
    assert peak({}, setting=memory.Setting(cpu=False, gpus=2)) == peak({})


@pytest.mark.parametrize(
    ("said", "name", "gib"),
    [
        ("NVIDIA H100 80GB HBM3, 81559\n", "h100", 79.6),
        ("NVIDIA A100-SXM4-80GB, 81920\n", "a100-80", 80.0),
        ("NVIDIA A100-SXM4-40GB, 40960\nNVIDIA A100-SXM4-40GB, 40960\n", "a100-40", 40.0),
        ("NVIDIA GeForce RTX 4090, 24564\n", "4090", 24.0),
        ("Tesla T4, 15360\n", None, 0),
        ("", None, 0),
    ],
)
def test_the_gpu_that_is_here(said: str, name: str | None, gib: float) -> None:
    found = machines.recognised(said)
    assert (found.name if found else None) == name
    if found:
        assert found.memory == pytest.approx(gib, abs=0.1)


def test_the_command_names_every_gpu_of_the_table() -> None:
    option = next(p for p in cli.main.commands["plan"].params if p.name == "gpu")  # type: ignore[attr-defined]
    assert tuple(option.type.choices) == machines.NAMES


def test_a_broken_cache_is_measured_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.forecast import cpu

    shape = shapes.known("embedded/smollm2-135m-instruct")
    assert shape is not None
    what, one = parameters.trained(shape, CONFIG), dict.fromkeys(timing.Measured.__dataclass_fields__, 1.0)
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(cpu, "version", lambda _: "2.0")
    monkeypatch.setattr(cpu, "_busy", lambda: False)
    monkeypatch.setattr(cpu, "_measure", lambda wanted: asked.append(wanted) or one)
    for text in ("{", "[]", '{"a": {"pass_": 1}}'):
        asked.clear()
        cpu.cache_file().parent.mkdir(parents=True, exist_ok=True)
        cpu.cache_file().write_text(text)
        for _ in range(2):  # the second time it is kept
            assert cpu.measured(shape, what, CONFIG) == timing.Measured(**one)
        assert len(asked) == 1
    cpu.measured(shape, what, CONFIG | {"bf16": False})
    assert len(asked) == 2
    # What is measured on a busy machine is used, and forgotten.
    monkeypatch.setattr(cpu, "_busy", lambda: True)
    cpu.cache_file().unlink()
    said: list[str] = []
    for _ in range(2):
        assert cpu.measured(shape, what, CONFIG, said.append) is not None
    assert len(asked) == 4 and "not kept" in said[-1]
