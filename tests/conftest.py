"""What more than one kind of test needs: a tiny model of our own making."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import canaries as birds
import pytest

sys.path.append(str(Path(__file__).parent / "line"))
from forks import forked_jobs, forks

__all__ = ("forked_jobs", "forks")

# Threads of several tests at once would wait for each other, which costs as much as work. Libraries read it when loaded.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
# Tests talk to loopback only, whoever runs them. Libraries read this once, when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
# What is remembered of the stores that tests make is theirs, and goes with them; a fork of ours leaves it there.
_STATE, _OURS = tempfile.mkdtemp(prefix="mirepoix-state-"), os.getpid()
os.environ["XDG_STATE_HOME"] = _STATE
os.environ.pop("MIREPOIX_STATE", None)
HERE = Path(__file__).resolve().parent
NAMED = birds.named()


@atexit.register
def _forget() -> None:
    if os.getpid() == _OURS:
        shutil.rmtree(_STATE, ignore_errors=True)


# Knows no tools: what a template loses must be found out.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def ends() -> Iterator[None]:
    """For tests of what must not grow out of all bounds: that takes hours, and this gives it a minute of the processor.

    No measure of speed: those are under benchmarks/.
    """

    def too_long(*_: object) -> None:
        raise AssertionError("a minute of the processor, and no end")

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, 60)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.fixture(scope="session")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Path, birds.Trap]]:
    """Where tests may write, a home with secrets, room for temporary files, and a listener that nothing may ask."""
    home = tmp_path_factory.mktemp("home")
    birds.plant(home)
    with tempfile.TemporaryDirectory(prefix="t-") as scratch:  # a short name: a browser puts a socket there
        yield tmp_path_factory.getbasetemp().resolve(), home, Path(scratch).resolve(), birds.Trap()


@pytest.fixture(autouse=True)
def canaries(request: pytest.FixtureRequest) -> Iterator[birds.Watch | None]:
    """In each test of trust/, or that docs/security.md names: no secret told, no address asked, no file made elsewhere, nothing run."""
    place = request.path.relative_to(HERE).as_posix() if request.path.is_relative_to(HERE) else ""
    if place not in NAMED and not place.startswith("trust/"):
        yield None
        return
    patch, folders = request.getfixturevalue("monkeypatch"), request.getfixturevalue("aviary")
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    with birds.watched(patch, *folders) as watch:
        watch.strict = place.startswith("trust/")
        yield watch
    watch.check(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights and a byte-level tokenizer of 300 tokens."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer: Any = trainers.BpeTrainer(  # type: ignore[no-untyped-call]
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet
    )
    backend.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    tokenizer.chat_template = CHATML
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def lora() -> Callable[[Path, Path], Path]:
    """Makes a LoRA adapter of a model that moves its answers: (model folder, adapter folder) → adapter folder."""

    def make(model: Path, out: Path) -> Path:
        torch = pytest.importorskip("torch")
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        peft = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, weight in peft.named_parameters():
                if "lora_B" in name:
                    weight.copy_(0.5 * torch.randn_like(weight))
        peft.save_pretrained(out)
        return out

    return make
