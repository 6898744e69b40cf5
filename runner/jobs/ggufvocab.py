"""A tokenizer as GGUF says it: byte-level BPE by the name of its pre-tokenizer, or BPE with bytes to fall back on.

GGUF holds a vocabulary and its merges, but how text is cut up before that only as a *name* that readers know. So a
tokenizer.json is compared, part by part, with what each name means; one that is none of them is refused, since any
other name would give other tokens without a word.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from runner import lean
from runner.errors import StepError

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# The pattern that a Split cuts at → the name, and whether words that are in the vocabulary are taken whole.
PATTERNS = {
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}": ("llama-bpe", True),
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}": ("qwen2", False),
}
_BYTE = re.compile(r"^<0x[0-9A-F]{2}>$")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # GGUF's kinds of tokens


def add_vocabulary(writer: Any, folder: Path, size: int, end_of_turn: str | None) -> None:
    """Write the tokenizer of a model's folder, with its template. `size` is the number of rows of its embeddings.

    Raises StepError for a tokenizer that GGUF has no name for.
    """
    try:
        data = json.loads((folder / "tokenizer.json").read_bytes())
    except FileNotFoundError:
        raise StepError(
            "gguf", "the model has no tokenizer.json; no other form of tokenizer is exported"
        ) from None
    model = data["model"]
    if model.get("type") != "BPE":
        raise StepError("gguf", f"a tokenizer of the kind {model.get('type')!r} cannot be exported as GGUF")
    merges = [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    falls_back = (
        bool(model.get("byte_fallback")) and "<0x00>" in model["vocab"]
    )  # said of some that have none
    tokens, kinds = _tokens(data, size, falls_back)
    if falls_back:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores(_scores(tokens, kinds, merges))
        writer.add_token_types(kinds)
        writer.add_add_space_prefix(_space_before(data))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_name(data))
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        writer.add_token_merges([" ".join(m) for m in merges])
    _add_special(writer, folder, end_of_turn)


def _tokens(data: dict[str, Any], size: int, falls_back: bool) -> tuple[list[str], list[int]]:
    """Text and kind of every id; rows of the embeddings that no token has are filled with unused ones."""
    tokens, kinds = [f"[PAD{n}]" for n in range(size)], [UNUSED] * size
    for text, id in data["model"]["vocab"].items():
        if id >= size:
            raise StepError("gguf", f"the token {text!r} has the id {id}; the model has {size} rows for them")
        tokens[id], kinds[id] = text, BYTE if falls_back and _BYTE.match(text) else NORMAL
    for token in data.get("added_tokens", ()):
        if (id := token["id"]) >= size:
            raise StepError(
                "gguf", f"the token {token['content']!r} has the id {id}; the model has {size} rows for them"
            )
        tokens[id], kinds[id] = token["content"], CONTROL if token.get("special") else USER_DEFINED
        if falls_back and token["content"] == data["model"].get("unk_token"):
            kinds[id] = UNKNOWN
    return tokens, kinds


def _scores(tokens: list[str], kinds: list[int], merges: list[tuple[str, ...]]) -> list[float]:
    """What is merged first scores highest, as in the vocabularies that this form is made for."""
    rank = dict[str, int]()
    for n, pair in enumerate(merges):
        rank.setdefault("".join(pair), n)
    last = float(-len(merges))
    return [
        0.0 if kind != NORMAL else float(-rank[t]) if t in rank else last
        for t, kind in zip(tokens, kinds, strict=True)
    ]


def _space_before(data: dict[str, Any]) -> bool:
    """Whether a text is read as if it began with a space."""
    for part in _parts(data.get("normalizer"), "normalizers"):
        if part["type"] == "Prepend":
            return True
    for part in _parts(data.get("pre_tokenizer"), "pretokenizers"):
        if part["type"] == "Metaspace":
            return bool(part.get("prepend_scheme", "always") != "never")
    return False


def _parts(what: Any, inside: str) -> list[dict[str, Any]]:
    if what is None:
        return []
    return list(what[inside]) if what["type"] == "Sequence" else [what]


def _name(data: dict[str, Any]) -> str:
    """GGUF's name of how text is cut up before the merges."""
    model, found = data["model"], None
    parts = _parts(data.get("pre_tokenizer"), "pretokenizers")
    normal = [p["type"] for p in _parts(data.get("normalizer"), "normalizers")]
    cuts, last = parts[:-1], parts[-1] if parts else {}
    if last.get("type") == "ByteLevel" and not last.get("add_prefix_space", True) and set(normal) <= {"NFC"}:
        own = last.get("use_regex", True)
        if not cuts and own:
            found = ("gpt-2", False)
        elif own and cuts == [{"type": "Digits", "individual_digits": True}]:
            found = ("smollm", False)
        elif (
            not own
            and len(cuts) == 1
            and cuts[0]["type"] == "Split"
            and cuts[0].get("behavior") == "Isolated"
        ):
            found = PATTERNS.get(cuts[0]["pattern"].get("Regex", ""))
    if found is None or bool(model.get("ignore_merges")) is not found[1]:
        kinds = ", ".join(p["type"] for p in parts) or "none"
        raise StepError(
            "gguf",
            f"how this tokenizer cuts up text ({kinds}) is none of the ways that are known by a name in GGUF; "
            "export the model merged, and convert it with llama.cpp",
        )
    return found[0]


def _add_special(writer: Any, folder: Path, end_of_turn: str | None) -> None:
    """Ids of tokens with a meaning, whether texts begin or end with one, and the chat template."""
    lean.transformers()
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for name in ("bos", "eos", "unk", "pad"):
        id = getattr(tokenizer, f"{name}_token_id")
        if id is not None:
            getattr(writer, f"add_{name}_token_id")(id)
    if end_of_turn:
        if (id := tokenizer.get_vocab().get(end_of_turn)) is None:
            raise StepError("gguf", f"the tokenizer has no token {end_of_turn!r}, which ends a turn")
        writer.add_eot_token_id(id)
    ids = tokenizer("x")["input_ids"]
    writer.add_add_bos_token(bool(ids) and ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(len(ids) > 1 and ids[-1] == tokenizer.eos_token_id)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
