"""A run's result as a folder: the adapter, the merged model, or a GGUF file; each with its card and licence notes."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, get_args

from runner import extras, modelcard, process
from runner.errors import StepError, UsageError
from runner.making import write_json
from runner.modelcard import Form
from runner.results import folder
from runner.results.found import Run
from runner.shown import size
from runner.steps import version
from runner.store import file_digest

FORMS: tuple[Form, ...] = get_args(Form)
TYPES = ("bf16", "f16", "q8_0")
SPARE = 64 << 20  # tokenizer, card, and what a file system needs besides
WEIGHTS = ("adapter_config.json", "adapter_model.safetensors")
_BYTES = {"bf16": 2.0, "f16": 2.0, "q8_0": 34 / 32}  # a parameter's
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """What was written: `files` are names and bytes. `proof` is what a merge found out of itself."""

    folder: Path
    form: Form
    files: list[tuple[str, int]]
    proof: dict[str, Any]


def export(run: Run, to: Path, form: Form, kind: str = "bf16", tell: Tell = lambda what: None) -> Export:
    """Write the folder `to`, whole or not at all. `kind` is that of a GGUF file's weights, one of TYPES.

    Raises UsageError where `to` may not be written; StepError where there is no room, no base model, or where what was
    merged does not do what adapter and base do.
    """
    if form == "adapter" and run.facts.full:
        raise UsageError(f"the run {run.name!r} trained the whole model and has no adapter: --as merged")
    to = to.resolve() if not to.is_symlink() else to.absolute()
    folder.refuse(to)
    needed = need(run, form, kind)
    free = folder.room(to, needed)
    tell(f"needs {size(needed)} of disk; {size(free)} are free")
    about = {"as": form, "run": run.name, "step": run.facts.step}
    with folder.whole(to, about) as out:
        proof = fill(run, out, form, kind, tell)
    return Export(to, form, listed(to), proof)


def listed(of: Path) -> list[tuple[str, int]]:
    """Names and bytes of all files of a folder."""
    files = sorted(p for p in of.rglob("*") if p.is_file())
    return [(p.relative_to(of).as_posix(), p.stat().st_size) for p in files]


def need(run: Run, form: Form, kind: str = "bf16") -> int:
    """How many bytes of disk an export takes while it is made."""
    if form == "adapter":
        return sum((run.kept / name).stat().st_size for name in WEIGHTS) + SPARE
    many = parameters(run.kept if run.facts.full else run.base())
    return many * 2 + (int(many * _BYTES[kind]) if form == "gguf" else 0) + SPARE


def parameters(base: Path) -> int:
    """How many numbers the weights of a model's folder are, from the headers.

    Raises StepError without safetensors, and where they are damaged.
    """
    from safetensors import SafetensorError, safe_open

    total = 0
    for path in sorted(base.glob("*.safetensors")):
        try:
            with safe_open(path, framework="np") as f:
                total += sum(prod(f.get_slice(name).get_shape()) for name in f.keys())  # noqa: SIM118
        except SafetensorError as e:
            raise StepError("export", f"{path.name} of the base model is damaged: {e}") from e
    if not total:
        raise StepError("export", "the base model has no weights as safetensors; nothing else is read")
    return total


def fill(run: Run, out: Path, form: Form, kind: str, tell: Tell) -> dict[str, Any]:
    """Write a result's files into the folder `out`; what a merge proved."""
    proof: dict[str, Any] = {}
    if form == "adapter":
        _adapter(run, out)
    elif form == "merged":
        tell("merging in float32")
        proof = _merge(run, out)
    else:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.merged-") as scratch:
            tell("merging in float32")
            proof = _merge(run, Path(scratch))
            tell(f"converting to {kind}")
            _gguf(run, Path(scratch), out / f"{run.name}-{kind}.gguf", kind)
    (out / "README.md").write_text(modelcard.text(run.facts, form, proof), encoding="utf-8")
    (out / "LICENCES.md").write_text(modelcard.notes(run.facts), encoding="utf-8")
    return proof


def _adapter(run: Run, out: Path) -> None:
    for name in run.trained.manifest.files:
        if name.startswith("adapter/"):
            shutil.copyfile(run.trained.file(name), out / Path(name).name)
    weights = out / "adapter_model.safetensors"
    if file_digest(weights) != run.trained.manifest.files["adapter/adapter_model.safetensors"]:
        raise StepError("export", "the adapter's weights changed while they were copied")
    config = json.loads((out / "adapter_config.json").read_bytes())
    # Where the base model was on this machine says nothing to others.
    config |= {"base_model_name_or_path": run.facts.base.hub, "revision": run.facts.base.revision}
    write_json(out / "adapter_config.json", config)
    _job(run, "merge", {"kind": "tokenizer", "out": str(out)})


def _merge(run: Run, out: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mirepoix-") as scratch:
        proof = Path(scratch, "proof.json")
        job: dict[str, Any] = {
            "kind": "merge",
            "out": str(out),
            "proof": str(proof),
        }
        if run.facts.full:
            job["model"] = str(run.kept)
        else:
            job |= {"adapter": str(run.kept), **_four_bits(run)}
        _job(run, "merge", job)
        found: dict[str, Any] = json.loads(proof.read_bytes())
    return found


def _four_bits(run: Run) -> dict[str, Any]:
    """What a job is told of the base's four bits."""
    if not (bits := run.facts.base.four_bits):
        return {}
    return (
        {"nf4": True}
        if bits == ("nf4", True)
        else {"nf4": True, "quant_type": bits[0], "double_quant": bits[1]}
    )


def _gguf(run: Run, merged: Path, out: Path, kind: str) -> None:
    licence = modelcard.header(run.facts, "gguf").get("license")
    about = {"name": run.name, "license": licence, "end_of_turn": run.facts.template.end_of_turn}
    _run(run, "togguf", {"model": str(merged), "out": str(out), "type": kind, **about})


def _job(run: Run, module: str, job: dict[str, Any]) -> None:
    """A job on the base model, with the run's template."""
    more = {
        "model": job.get("model") or str(run.base()),
        "template": str(run.template) if run.template else None,
        "end_of_turn": run.facts.template.end_of_turn,
        "seed": run.facts.train["seed"],
        "dtype": "float32",
    }
    _run(run, module, job | more)


def _run(run: Run, module: str, job: dict[str, Any]) -> None:
    if version("torch") == "absent" or version("transformers") == "absent":
        raise StepError("export", f"torch or transformers is not installed: {extras.install('train')}")
    log = run.folder / "logs" / "export.log"
    with tempfile.TemporaryDirectory(prefix="mirepoix-") as scratch:
        path = Path(scratch, "job.json")
        write_json(path, job)
        try:
            # On the CPU: a model in float32 fits there where a GPU's memory would not hold it.
            argv = [sys.executable, "-m", f"runner.jobs.{module}", str(path)]
            process.run(argv, log=log, cwd=run.workspace, more={"CUDA_VISIBLE_DEVICES": ""})
        except process.Failed as e:
            raise StepError("export", str(e), log.relative_to(run.workspace).as_posix()) from None
