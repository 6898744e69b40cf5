"""The shape of a base model: its linear layers and all its parameters, from a config.json or the committed table.

The families here are those whose modules are known by name. Of any other, parameters and memory are not forecast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SPLIT = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite", "gemma", "gemma2", "olmo2")
FAMILIES = (*_SPLIT, "phi3")
_TIED = ("gemma", "gemma2")  # where config.json says nothing


@dataclass(frozen=True)
class Shape:
    """`linears` are the linear layers of one block, as name → (inputs, outputs); the head is not among them."""

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    """Size of one attention head."""
    ffn: int
    vocabulary: int
    tied: bool
    linears: Mapping[str, tuple[int, int]]
    biases: int
    """Bias parameters of one block."""
    norms: int
    """Parameters of norms in one block."""

    @property
    def block(self) -> int:
        """Parameters of the linear layers of one block, without biases."""
        return sum(i * o for i, o in self.linears.values())

    @property
    def linear(self) -> int:
        """Parameters of all linear layers but the head: those that 4 bits apply to."""
        return self.layers * self.block

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All of the model, tied ones once."""
        rest = self.layers * (self.biases + self.norms) + self.hidden
        return self.linear + self.embedding * (1 if self.tied else 2) + rest


def shape(config: Mapping[str, Any]) -> Shape | None:
    """The shape that a config.json tells; None for a family that is not known, or where a number is missing."""
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        return None
    try:
        hidden, layers, heads = (
            int(config[k]) for k in ("hidden_size", "num_hidden_layers", "num_attention_heads")
        )
        ffn, vocabulary = int(config["intermediate_size"]), int(config["vocab_size"])
        kv = int(config.get("num_key_value_heads") or heads)
        head = int(config.get("head_dim") or hidden // heads)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    wide, narrow = heads * head, kv * head
    if family == "phi3":
        linears = {
            "self_attn.qkv_proj": (hidden, wide + 2 * narrow),
            "self_attn.o_proj": (wide, hidden),
            "mlp.gate_up_proj": (hidden, 2 * ffn),
            "mlp.down_proj": (ffn, hidden),
        }
    else:
        linears = {
            "self_attn.q_proj": (hidden, wide),
            "self_attn.k_proj": (hidden, narrow),
            "self_attn.v_proj": (hidden, narrow),
            "self_attn.o_proj": (wide, hidden),
            "mlp.gate_proj": (hidden, ffn),
            "mlp.up_proj": (hidden, ffn),
            "mlp.down_proj": (ffn, hidden),
        }
    biases = wide + 2 * narrow if family == "qwen2" else 0
    if config.get("attention_bias"):
        biases = wide + 2 * narrow + hidden
    if config.get("mlp_bias"):
        biases += 2 * ffn + hidden
    norms = {"gemma2": 4 * hidden, "qwen3": 2 * hidden + 2 * head, "olmo2": 2 * hidden + wide + narrow}
    tied = config.get("tie_word_embeddings")
    return Shape(
        family,
        layers,
        hidden,
        heads,
        kv,
        head,
        ffn,
        vocabulary,
        family in _TIED if tied is None else bool(tied),
        linears,
        biases,
        norms.get(family, 2 * hidden),
    )


def read(folder: Path) -> Shape | None:
    """The shape of a model in a folder; None where there is no config.json that tells it."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return shape(config) if isinstance(config, dict) else None


def known(base: str) -> Shape | None:
    """The shape of a base model in the committed table (shapes.json), by hub id or `embedded/…`."""
    table = json.loads(Path(__file__).with_name("shapes.json").read_bytes())
    found = table.get(base) or table.get(_PLAIN.get(base, ""))
    return shape(found) if found else None


_PLAIN = {"meta-llama/Meta-Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct"}
