"""A model's folder may bring Python and pickles along; neither is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.errors import StepError

pytest.importorskip("transformers", reason="transformers is not installed")

PWN = "open({!r}, 'w').write('run')\nraise RuntimeError('run')\n"


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A tokenizer's folder that names a class of its own."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    made: Any = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="a")
    made.chat_template = "{{ messages[0].content }}"
    folder = tmp_path / "strange"
    made.save_pretrained(folder)
    (folder / "own.py").write_text(PWN.format(str(tmp_path / "PWNED")))
    about = json.loads((folder / "tokenizer_config.json").read_bytes())
    about |= {
        "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]},
        "tokenizer_class": "Own",
        "trust_remote_code": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    (folder / "config.json").write_text(
        json.dumps({"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}, "model_type": "own"})
    )  # fmt: skip
    return folder


def test_a_tokenizer_of_its_own_is_not_run(strange: Path, tmp_path: Path) -> None:
    from runner.basemodel import Tokenizer

    wanted = Tokenizer(str(strange), None, None, None, "strange", "render")
    with pytest.raises(StepError, match="brings Python code of its own, which a recipe never runs"):
        wanted.load()
    assert not (tmp_path / "PWNED").exists()


def test_a_model_of_its_own_is_not_run(strange: Path, tmp_path: Path) -> None:
    from runner.jobs.modules import names

    with pytest.raises(ValueError, match="trust_remote_code"):
        names(str(strange))
    assert not (tmp_path / "PWNED").exists()


def test_an_adapter_that_is_a_pickle_is_none(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    from runner.jobs.loading import put_on

    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'touch PWNED'\ntR.")
    with pytest.raises(StepError, match=r"holds no adapter \(no adapter_model.safetensors\)"):
        put_on(None, None, str(tmp_path))
