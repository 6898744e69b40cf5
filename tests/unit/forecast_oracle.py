"""What Axolotl, Transformers and PEFT themselves make of some cases; a job of test_forecast_against.py.

Reads cases as JSON from the file that it is given and prints answers as JSON on the last line of stdout.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

SEED = 2**33 + 17


def draws(many: int, rows: int) -> list[list[int]]:
    """Random orders, from a generator that our plug-in has seeded."""
    from axolotl.utils.dict import DictDefault
    from torch.utils.data import RandomSampler

    from runner.jobs.axolotl_seeding import SeedingPlugin

    SeedingPlugin().load_datasets(DictDefault({"seed": SEED}))
    return [list(RandomSampler(range(rows))) for _ in range(many)]


def counted(case: dict[str, Any]) -> int:
    """Axolotl's own number of steps."""
    import torch
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.trainer import calculate_total_num_steps

    from datasets import Dataset

    config, lengths = case["config"], case["lengths"]
    torch.manual_seed(config["seed"])
    ids = [[1] * n for n in lengths]
    columns = {"input_ids": ids, "labels": ids, "length": lengths}
    cfg = DictDefault(config)
    cfg.batch_size = cfg.micro_batch_size * cfg.gradient_accumulation_steps
    cfg.attn_supports_packing = config["attn_implementation"].startswith("flash")
    cfg.sample_packing_group_size = config.get("sample_packing_group_size", 100_000)
    cfg.sample_packing_bin_size = config.get("sample_packing_bin_size", 200)
    cfg.dataset_num_proc = 1
    return int(calculate_total_num_steps(cfg, Dataset.from_dict(columns)))


def trained(case: dict[str, Any], most: int) -> list[int]:
    """[steps, passes] of the Transformers trainer, handed `most` as Axolotl does."""
    import torch
    from transformers import Trainer, TrainingArguments

    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.passes = 0

        def forward(self, x: Any, labels: Any = None) -> dict[str, Any]:
            self.passes += 1
            return {"loss": (self.weight * x.float()).sum()}

    model, config = Counter(), case["config"]
    rows = [{"x": [1.0], "labels": 0} for _ in case["lengths"]]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=config["micro_batch_size"],
            gradient_accumulation_steps=config["gradient_accumulation_steps"],
            num_train_epochs=config["num_epochs"],
            max_steps=config.get("max_steps") or most or -1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
    return [trainer.state.global_step, model.passes]


def parameters(case: dict[str, Any]) -> list[int]:
    """[all, trainable] parameters of a model made from a config, with an adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = dict(case["shape"])
    config = AutoConfig.for_model(shape.pop("model_type"), **shape)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        total = sum(p.numel() for p in model.parameters())
        made = get_peft_model(model, LoraConfig(**case["lora"]))
    return [total, sum(p.numel() for p in made.parameters() if p.requires_grad)]


def kept(case: dict[str, Any]) -> float:
    """Bytes that one block of a model keeps for its backward pass: those of three layers less those of two."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    def saved(layers: int) -> int:
        shape = dict(case["shape"], num_hidden_layers=layers)
        config = AutoConfig.for_model(shape.pop("model_type"), **shape, attn_implementation=case["attention"])
        model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
        if case["lora"]:
            model = get_peft_model(model, LoraConfig(**case["lora"]))
            model.enable_input_require_grads()
        model.train()
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        seen: dict[int, tuple[int, Any]] = {}

        def pack(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                seen[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with hooks, torch.autocast("cpu", dtype=torch.bfloat16):
            model(torch.zeros(1, case["tokens"], dtype=torch.long))
        return sum(size for size, _ in seen.values())

    return saved(3) - saved(2)


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_bytes())
    out: dict[str, Any] = {"draws": draws(6, asked["rows"])}
    out["steps"] = []
    counted(asked["steps"][0])
    gc.freeze()  # Axolotl collects garbage at each packing; what is loaded by now need not be looked at
    for case in asked["steps"]:
        most = counted(case)
        packed = case["config"]["sample_packing"]
        out["steps"].append([most, None if packed else trained(case, most)])
    out["kept"] = [kept(case) for case in asked["kept"]]
    out["parameters"] = [parameters(case) for case in asked["parameters"]]
    sys.stdout.write("\n" + json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
