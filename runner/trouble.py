"""What went wrong with a model or a training → one sentence with the next step to take.

The libraries below say it in tracebacks, each in its own way. Here are the ways in which a training ends badly that
a person can do something about, by what the libraries write. Pure: text in, text out. What is not known here keeps
the libraries' own last words.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FULL = 1 << 20
"""Bytes. A disk with less than this free is full: nothing useful can be written, not even the reason."""


@dataclass(frozen=True)
class About:
    """What a recipe asked for, for sentences about it."""

    base: str
    revision: str | None = None
    micro_batch: int = 1
    max_length: int = 2048
    gradient_checkpointing: bool = True
    packing: bool = False
    adapter: str = "qlora"
    optimizer: str = "adamw_torch"
    attention: str = "sdpa"
    gpu: bool = False
    free: int | None = None
    """Bytes left on the workspace's disk."""


def words(said: str, about: About, code: int = 1) -> str | None:
    """The sentence, or None where nothing here fits. `code` is the job's exit code, negative for a signal.

    Where several things were said, the last one ended it.
    """
    if about.free is not None and about.free < FULL:
        return full()
    if code == -9:
        return _killed(about)
    hits = [(last.start(), -n) for n, (pattern, _) in enumerate(_KNOWN) for last in _last(pattern, said)]
    for _, n in sorted(hits, reverse=True):
        pattern, say = _KNOWN[-n]
        if sentence := say(about, _last(pattern, said)[0]):
            return sentence
    return None


def full(place: str = "") -> str:
    """A full disk."""
    where = f" ({place})" if place else ""
    return (
        f"no space left on the disk{where}: free some, or take a workspace on another disk "
        "(--workspace), and run it again; what was made so far is kept"
    )


_UNDER_WAY = re.compile(r"^\.(.+?)(?:\.\d+)*\.tmp$")


def _name(path: str | bytes) -> str:
    """A file's name, as whoever looks for it knows it: not the one that it has while it is written."""
    name = Path(os.fsdecode(path)).name
    return found[1] if (found := _UNDER_WAY.match(name)) else name


def os_error(error: OSError) -> str:
    """What the system refused, and on which file; a full disk in words of its own."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, place, why = error.args[0][0]  # of many files, the first will do
        return full(_name(place)) if "No space left" in str(why) else f"{why} ({_name(place)})"
    name = _name(error.filename) if isinstance(error.filename, str | bytes) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full(name)
    if error.errno == errno.EROFS:
        return (
            f"{error.strerror}{f' ({name})' if name else ''}: the workspace cannot be written to; take another "
            "(--workspace), or copy this one"
        )
    return f"{error.strerror or error}" + (f" ({name})" if name else "")


def no_memory(error: BaseException) -> str:
    """Memory that our own process was not given, in words; "" where the error is another. Threads that cannot start and
    libraries that cannot be loaded say it as RuntimeError and ImportError."""
    said = str(error)
    if not (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or "can't start new thread" in said
        or "failed to map segment" in said
        or "Cannot allocate memory" in said
    ):
        return ""
    return (
        "memory ran out: close other programs, or raise what the system allows (ulimit -v, a container's limit), and "
        "run it again; what was made so far is kept"
    )


def lower_memory(about: About) -> str:
    """Which settings take less memory, the mildest first."""
    out = []
    if not about.gradient_checkpointing:
        out.append("set train.gradient_checkpointing: true")
    if about.micro_batch > 1:
        out.append(f"lower train.micro_batch (now {about.micro_batch}; effective_batch stays as it is)")
    if about.adapter != "qlora":
        out.append("set adapter.type: qlora")
    if "8bit" not in about.optimizer:
        out.append("set train.optimizer: paged_adamw_8bit")
    what = "packed sequences are" if about.packing else "the longest record may be"
    out.append(f"lower model.max_length ({what} {about.max_length} tokens)")
    return "; or ".join(out)


def _last(pattern: re.Pattern[str], said: str) -> list[re.Match[str]]:
    return list(pattern.finditer(said))[-1:]


def _gpu_memory(about: About, match: re.Match[str]) -> str:
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", match.string[match.start() :])
    more = f" ({asked[1]} more were asked for)" if asked else ""
    return f"the GPU's memory is full{more}: {lower_memory(about)}"


def _killed(about: About) -> str:
    return (
        "it was killed from outside (signal 9), as the system does when memory runs out: close other programs, "
        f"or {lower_memory(about)}; then run it again to go on"
    )


def _no_memory(about: About, match: re.Match[str]) -> str:
    return f"memory ran out: close other programs; or {lower_memory(about)}"


def _at(about: About) -> str:
    return f"{about.base!r} at revision {about.revision!r}" if about.revision else repr(about.base)


def _gated(about: About, match: re.Match[str]) -> str:
    return (
        f"the hub does not give {about.base!r} to you: it is gated. Accept its terms at "
        f"https://huggingface.co/{about.base}, set HF_TOKEN to a token that may read it, and run it again"
    )


def _denied(about: About, match: re.Match[str]) -> str:
    return (
        f"the hub does not give {about.base!r} to you: there is no such model, or it is private or gated. Check "
        "model.base; if it is right, set HF_TOKEN to a token that may read it"
    )


def _missing(about: About, match: re.Match[str]) -> str:
    return (
        f"there is no model {about.base!r}: neither a folder of the workspace nor a model of the hub. Check "
        "model.base; a private one needs HF_TOKEN"
    )


def _revision(about: About, match: re.Match[str]) -> str:
    return f"{about.base!r} has no revision {about.revision!r}: check model.revision, a commit of the hub's repository"


def _offline(about: About, match: re.Match[str]) -> str:
    return (
        f"{_at(about)} is not on this machine, and the hub cannot be reached: connect (or unset HF_HUB_OFFLINE), "
        "or copy the model's folder into the workspace and name that as model.base"
    )


def _architecture(about: About, match: re.Match[str]) -> str:
    kinds = re.findall(r"has model type `([^`]{1,100})`", match.string)
    what = f"of the architecture {kinds[-1]!r}" if kinds else "of an architecture"
    return (
        f"{about.base!r} is {what} that the installed Transformers does not know as a language model: choose "
        "another base, or a newer Transformers"
    )


def _own_code(about: About, match: re.Match[str]) -> str:
    return (
        f"{about.base!r} brings Python code of its own, which a recipe never runs: choose a base whose "
        "architecture Transformers knows by itself"
    )


def _tokenizer(about: About, match: re.Match[str]) -> str:
    return f"{about.base!r} has no tokenizer that can be read: it needs a tokenizer.json and a tokenizer_config.json"


def _config(about: About, match: re.Match[str]) -> str:
    return f"{about.base!r} holds no model: no config.json that says its model_type"


def _weights(about: About, match: re.Match[str]) -> str:
    return f"the weights of {about.base!r} are damaged or cut short: fetch them again"


def _targets(about: About, match: re.Match[str]) -> str:
    return f"adapter.targets names no module of {about.base!r} ({match[1][:200]}): name its linear layers"


def _unsupported_target(about: About, match: re.Match[str]) -> str:
    return f"adapter.targets names a module that can have no adapter ({match[1][:200]}): name linear layers"


def _driver(about: About, match: re.Match[str]) -> str | None:
    if not about.gpu:  # said as a warning where none is asked for
        return None
    return (
        f"the GPU cannot be used as it is ({match[0][:160].strip()}): update the NVIDIA driver, or install the torch "
        "build for the driver's CUDA version; `recipe doctor` shows what is here. compute.profile: cpu does without"
    )


def _ended(about: About, match: re.Match[str]) -> str:
    return (
        "a process that trained on the cluster was ended from outside, or its node was (is memory short there?); run "
        "it again to go on from the last checkpoint"
    )


def _flash(about: About, match: re.Match[str]) -> str:
    return (
        "attention flash_attention_2 needs the package flash-attn and a GPU that it supports: install it "
        "(pip install 'mirepoix[gpu]'), or set train.attention: sdpa"
    )


def _too_long(about: About, match: re.Match[str]) -> str:
    return f"a record has more tokens for Axolotl than for us (model.max_length {about.max_length}): please report it"


def _template(about: About, match: re.Match[str]) -> str:
    return f"the chat template fails: {match[1].strip()[:200]}; correct it, or name another (model.template)"


def _disk(about: About, match: re.Match[str]) -> str:
    return full()


def _ours(about: About, match: re.Match[str]) -> str:
    return match[1].strip()


def _no_layers(about: About, match: re.Match[str]) -> str:
    return (
        f"the adapter finds no layer in {about.base!r} to stand on (adapter.targets, and "
        "axolotl.peft_layers_to_transform if it is given): name linear layers, and numbers of layers that the base has"
    )


Say = Callable[[About, "re.Match[str]"], "str | None"]

_PATTERNS: list[tuple[str, Say]] = [
    (r"ValueError: mirepoix: (.+)", _ours),
    (r"No modules were targeted for adaptation|Note: You specified 'layers_to_transform'", _no_layers),
    (r"No space left on device|\[?Errno 28\]?|os error 28|Disk quota exceeded|os error 122|PytorchStreamWriter failed"
     r"|unexpected pos \d+ vs \d+|file write failed", _disk),
    (r"OutOfMemoryError|CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED", _gpu_memory),
    (r"exitcode\s*: -9\b|Signal 9 \(SIGKILL\)|<Signals\.SIGKILL: 9>|Received Signals\.SIGKILL",
     lambda about, match: _killed(about)),
    (r"\bActorDiedError\b|\bActorUnavailableError\b|\bNodeDiedError\b", _ended),
    (r"DefaultCPUAllocator: can't allocate memory|DefaultCPUAllocator: not enough memory|^MemoryError\b"
     r"|Cannot allocate memory|std::bad_alloc", _no_memory),
    (r"NVIDIA driver on your system is too old|no kernel image is available for execution|Found no NVIDIA driver"
     r"|Torch not compiled with CUDA enabled|CUDA driver version is insufficient|CUDA driver initialization failed"
     r"|CUDA unknown error|system not yet initialized|libcudart[\w.]*: cannot open shared object"
     r"|CUDA error: no CUDA-capable device|No CUDA GPUs are available|Distributed package doesn't have NCCL built in"
     r"|ProcessGroupNCCL is only supported with GPUs", _driver),
    (r"GatedRepoError|access a gated repo|Cannot access gated repo|is restricted and you are not in the authorized"
     r"|is a gated repository", _gated),
    (r"(?:401|403) Client Error|Access to this resource is disabled|RepositoryNotFoundError: 401", _denied),
    (r"is not a valid git identifier|RevisionNotFoundError|Revision Not Found", _revision),
    (r"is not a local folder and is not a valid model identifier|is not a local folder or a valid repository name"
     r"|RepositoryNotFoundError|Repository Not Found|404 Client Error", _missing),
    (r"We couldn't connect to|LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled"
     r"|Name or service not known|Temporary failure in name resolution|NameResolutionError|Network is unreachable"
     r"|an error happened while trying to locate the file|There was a specific connection error", _offline),
    (r"The checkpoint you are trying to load has model type|does not recognize this architecture"
     r"|Unrecognized configuration class", _architecture),
    (r"custom code which must be executed|requires you to execute (?:custom code|the \w+ file)"
     r"|references custom code contained in", _own_code),
    (r"Unrecognized model in|does not appear to have a file named config\.json", _config),
    (r"Couldn't instantiate the backend tokenizer|Can't load tokenizer for|Unrecognized processing class"
     r"|Unable to load vocabulary", _tokenizer),
    (r"SafetensorError|HeaderTooLarge|HeaderTooSmall|InvalidHeaderDeserialization|MetadataIncompleteBuffer"
     r"|incomplete metadata, file not fully covered|Unable to load weights from pytorch checkpoint", _weights),
    (r"Target modules? (.{1,400}?) not found in the base model", _targets),
    (r"Target module (.{1,400}?) is not supported", _unsupported_target),
    (r"FlashAttention\d? has been toggled on, but it cannot be used|flash_attn.{0,40}(?:not installed|doesn't exist)"
     r"|No module named 'flash_attn'|FlashAttention only supports Ampere", _flash),
    (r"Sample exceeds configured sequence_len|sequence_len .{0,40}exceed", _too_long),
    (r"runner\.templates\.budget\.TooMuch: (.+)", _template),
    (r"(?:jinja2\.exceptions\.\w+|TemplateError|TemplateSyntaxError|UndefinedError): (.+)", _template),
]  # fmt: skip
_KNOWN = [(re.compile(pattern, re.MULTILINE), say) for pattern, say in _PATTERNS]
