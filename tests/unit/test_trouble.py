"""Trouble in words: what libraries write when a training goes wrong → one sentence with the next step to take."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from runner.trouble import About, lower_memory, os_error, words

HUGE = 1 << 40
LLAMA = About("meta-llama/Llama-3.1-8B-Instruct", revision="abc123", micro_batch=4, max_length=4096,
              gradient_checkpointing=False, adapter="lora", gpu=True, free=HUGE)  # fmt: skip

# Ends of logs, after the libraries' own messages (torch, huggingface_hub, transformers, peft, safetensors, accelerate).
LOGS = {
    "gpu memory": (
        """  File "torch/nn/functional.py", line 3464, in cross_entropy
    return torch._C._nn.cross_entropy_loss(
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 4.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.91 GiB is free.""",
        ["GPU's memory is full (4.00 GiB more", "train.gradient_checkpointing: true", "train.micro_batch (now 4",
         "adapter.type: qlora", "model.max_length"],
    ),
    "killed under accelerate": (
        """torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
Root Cause (first observed failure):
  rank      : 0 (local_rank: 0)
  exitcode  : -9 (pid: 1234)
  traceback : Signal 9 (SIGKILL) received by PID 1234""",
        ["signal 9", "memory", "run it again to go on"],
    ),
    "memory of the machine": (
        """RuntimeError: [enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 137438953472 bytes. Error code 12 (Cannot allocate memory)""",
        ["memory ran out", "train.micro_batch"],
    ),
    "old driver": (
        """RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading and installing a new version""",
        ["NVIDIA driver on your system is too old", "update the NVIDIA driver", "recipe doctor"],
    ),
    "no kernel": (
        """torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device""",
        ["no kernel image", "torch build"],
    ),
    "gated": (
        """huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-65)

Cannot access gated repo for url https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct/resolve/main/config.json.
Access to model meta-llama/Llama-3.1-8B-Instruct is restricted and you are not in the authorized list.

The above exception was the direct cause of the following exception:

OSError: You are trying to access a gated repo.
Make sure to have access to it at https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct.
403 Client Error. (Request ID: Root=1-65)

Cannot access gated repo for url https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct/resolve/main/config.json.""",
        ["gated", "https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct", "HF_TOKEN"],
    ),
    "refused": ("""httpx.HTTPStatusError: 401 Client Error. (Request ID: X)\n\nInvalid username or password.""",
                ["no such model, or it is private", "HF_TOKEN"]),
    "missing": (
        """huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: X)

Repository Not Found for url: https://huggingface.co/api/models/x.
If you are trying to access a private or gated repo, make sure you are authenticated.
OSError: x is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'""",
        ["there is no model 'meta-llama", "model.base"],
    ),
    "revision": (
        """OSError: abc123 is not a valid git identifier (branch name, tag name or commit id) that exists for this model name.""",
        ["no revision 'abc123'", "model.revision"],
    ),
    "offline": (
        """OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.""",
        ["not on this machine", "HF_HUB_OFFLINE", "model.base"],
    ),
    "architecture": (
        """ValueError: The checkpoint you are trying to load has model type `nosuch` but Transformers does not recognize this architecture. This could be because of an issue with the checkpoint""",
        ["architecture 'nosuch'", "newer Transformers"],
    ),
    "own code": (
        """ValueError: The repository x/y contains custom code which must be executed to correctly load the model.""",
        ["code of its own, which a recipe never runs"],
    ),
    "weights": (
        """safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered""",
        ["damaged or cut short", "fetch them again"],
    ),
    "targets": (
        """ValueError: Target modules {'c_attn', 'c_proj'} not found in the base model. Please check the target modules and try again.""",
        ["adapter.targets", "'c_attn', 'c_proj'"],
    ),
    "unsupported target": (
        """ValueError: Target module LlamaRMSNorm((32,), eps=1e-06) is not supported. Currently, only the following modules are supported""",
        ["adapter.targets", "LlamaRMSNorm"],
    ),
    "flash attention": (
        """ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package flash_attn seems to be not installed.""",
        ["train.attention: sdpa", "mirepoix[gpu]"],
    ),
    "template": ("""jinja2.exceptions.TemplateError: Conversation roles must alternate""",
                 ["the chat template fails: Conversation roles must alternate", "model.template"]),
    "disk": (
        """RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0""",
        ["no space left", "--workspace", "kept"],
    ),
    "disk of safetensors": (
        """safetensors_rust.SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)""",
        ["no space left", "--workspace"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOGS)
def test_each_way_to_fail_has_one_sentence_with_the_next_step(case: str) -> None:
    log, wanted = LOGS[case]
    noise = 'Traceback (most recent call last):\n  File "axolotl/train.py", line 1, in train\n'
    said = words(noise + log + "\n", LLAMA, 1)
    assert said is not None and "\n" not in said
    for part in wanted:
        assert part in said


def test_what_was_said_last_ended_it() -> None:
    log = f"{LOGS['offline'][0]}\nretrying\n{LOGS['gpu memory'][0]}\n"
    assert "GPU's memory" in (words(log, LLAMA) or "")


def test_signals_and_full_disks_need_no_words() -> None:
    assert "signal 9" in (words("", LLAMA, -9) or "")
    assert "no space left" in (words("", About("x", free=4096), 1) or "")


def test_what_is_not_known_keeps_its_own_words() -> None:
    assert words("KeyError: 'something new'", LLAMA) is None
    warning = "UserWarning: CUDA initialization: Found no NVIDIA driver on your system."
    assert words(warning, About("x", gpu=False, free=HUGE)) is None  # said of every CPU


def test_only_settings_that_can_be_lowered_are_named() -> None:
    least = About(
        "x", micro_batch=1, gradient_checkpointing=True, adapter="qlora", optimizer="paged_adamw_8bit"
    )
    assert lower_memory(least) == "lower model.max_length (the longest record may be 2048 tokens)"


def test_what_the_system_refuses() -> None:
    assert os_error(OSError(errno.ENOSPC, "No space left on device", "/a/b.bin")).startswith("no space left")
    assert "b.bin" in os_error(OSError(errno.ENOSPC, "No space left on device", "/a/b.bin"))
    assert os_error(PermissionError(errno.EACCES, "Permission denied", "/a/c")) == "Permission denied (c)"
    assert os_error(OSError("plain")) == "plain"
    assert os_error(PermissionError(errno.EACCES, "Permission denied", "/a/.my.lock.4711.tmp")).endswith(
        "(my.lock)"
    )


def test_a_folder_that_cannot_be_copied_whole(tmp_path: Path) -> None:
    """shutil.copytree has an error of its own, without a number."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(shutil.Error) as caught:
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert "No such file" in os_error(caught.value) and "[(" not in os_error(caught.value)
