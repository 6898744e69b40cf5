"""The names of a model's linear layers and embeddings, as it is built: no weights are read.

Started as `python -m runner.jobs.modules MODEL_DIR OUT.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runner import lean
from runner.jobs.job import quiet


def names(folder: str) -> list[str]:
    """Modules that can have a LoRA adapter. `folder` is a local model folder; code in it is never run."""
    lean.transformers()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    kinds = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d)
    named = [n for n, module in model.named_modules() if isinstance(module, kinds) or _transposed(module)]
    return sorted(named)


def _transposed(module: object) -> bool:
    """GPT-2's layers: linear ones, stored the other way round."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m runner.jobs.modules MODEL_DIR OUT.json")
    quiet()
    Path(sys.argv[2]).write_text(json.dumps(names(sys.argv[1])), encoding="utf-8")
