"""Where an artifact is from, in the words of others: an in-toto Statement v1 with SLSA's predicate `provenance/v1`.

Made of what the manifest says and of nothing else (no clock, no path, no machine), so the same artifact has the same
bytes of it. docs/provenance.md says what stands where. The specifications: in-toto/attestation `spec/v1/statement.md`,
`resource_descriptor.md` and `digest_set.md`; slsa.dev/spec/v1.0/provenance.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any, Literal
from urllib.parse import quote

from msgspec import Struct, field

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
FOLDER = "."
"""The subject that stands for the whole artifact: what is made of it names its digest."""
HERE = "mirepoix:local/1"
"""Who built it: mirepoix, as whoever ran it had it. Nobody vouches for more."""
WRITING = ("mirepoix", "msgspec", "numpy", "pyarrow")
"""What every artifact is written with."""
_INPUTS = ("data", "files", "inputs", "probes", "tasks", "texts")
"""Ingredients that hold names of input files with their digests."""


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """in-toto's ResourceDescriptor; it has a `uri` or a `digest`."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = {}


class BuildDefinition(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What was made out of what: the step with its version, its options, and all that it read."""

    build_type: str
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any]
    resolved_dependencies: list[Descriptor]


class Builder(Struct, frozen=True, forbid_unknown_fields=True):
    """Who made it. `version` is empty where that was not written down (artifacts of manifest version 1)."""

    id: str
    version: dict[str, str]


class RunDetails(Struct, frozen=True, forbid_unknown_fields=True):
    builder: Builder


class Provenance(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(Struct, frozen=True, forbid_unknown_fields=True):
    """`subject` are the artifact's files, and the whole of them as "."."""

    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    subject: list[Descriptor]
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = field(name="predicateType")
    predicate: Provenance


def stated(
    step: str,
    fingerprint: str,
    ingredients: Mapping[str, Any],
    files: Mapping[str, str],
    needs: Mapping[str, str],
    builder: Mapping[str, str],
) -> Statement:
    """The statement about an artifact. `needs`: step → `folder_digest` of its artifact, as far as that is known."""
    made = definition(step, fingerprint, ingredients, needs)
    return Statement(
        "https://in-toto.io/Statement/v1",
        subjects(files),
        "https://slsa.dev/provenance/v1",
        Provenance(made, RunDetails(Builder(HERE, dict(builder)))),
    )


def subjects(files: Mapping[str, str]) -> list[Descriptor]:
    """An artifact's files (name → sha256) as subjects, and the whole of them."""
    whole = Descriptor(FOLDER, digest={"dirHash": folder_digest(files)})
    return [whole, *(Descriptor(name, digest={"sha256": sha}) for name, sha in sorted(files.items()))]


def folder_digest(files: Mapping[str, str]) -> str:
    """in-toto's `dirHash` of an artifact, `manifest.json` left out: as `find -type f | sort | xargs sha256sum |
    sha256sum` has it, in the locale C, of names without "./"."""
    lines = "".join(f"{sha}  {name}\n" for name, sha in sorted(files.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


@cache
def here() -> dict[str, str]:
    """The versions of what builds here: mirepoix, what writes its files, and Python's first two numbers."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}  # smaller ones decide nothing
    for name in WRITING:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def definition(
    step: str, fingerprint: str, ingredients: Mapping[str, Any], needs: Mapping[str, str]
) -> BuildDefinition:
    """A step's ingredients, parted into its options and what it read."""
    kind, version = ingredients.get("step", step), ingredients.get("version", 0)
    found: list[Descriptor] = []
    options = {}
    for key in sorted(ingredients.keys() - {"step", "version", "needs"}):
        if (left := _parted(key, ingredients[key], found)) is not _GONE:
            options[key] = left
    wanted = ingredients.get("needs")
    for name, made in sorted(wanted.items()) if isinstance(wanted, Mapping) else ():
        whole = {"dirHash": needs[name]} if name in needs else {}
        found.append(Descriptor(name, f"mirepoix:artifact/{made}", whole))
    return BuildDefinition(
        f"mirepoix:step/{quote(str(kind), safe='')}/{version}",
        options,
        {"name": step, "fingerprint": fingerprint},
        list({(d.name, d.uri, *d.digest.items()): d for d in found}.values()),
    )


_GONE = object()


def _parted(key: str, value: Any, found: list[Descriptor]) -> Any:
    """An option without what it tells of files and packages; these go to `found`. _GONE where nothing is left."""
    if key in ("libraries", "vllm") and isinstance(value, Mapping):
        found += [_package(str(n), str(v)) for n, v in sorted(value.items()) if v != "absent"]
        return _GONE
    if key == "lm_eval" and isinstance(value, str):
        found += [_package("lm-eval", value)] if value != "absent" else []
        return _GONE
    if key == "fetched" and isinstance(value, str):
        found.append(Descriptor("fetched", digest={"sha256": value}))
        return _GONE
    if key == "model" and isinstance(value, Mapping):
        return _model(value, found)
    if (
        key == "source"
        and isinstance(value, Mapping)
        and {"distribution", "version", "sha256"} <= value.keys()
    ):
        whole = _package(str(value["distribution"]), str(value["version"]))
        found.append(Descriptor(str(value.get("file", "")), whole.uri, {"sha256": str(value["sha256"])}))
        return {k: v for k, v in value.items() if k != "sha256"}
    if key in _INPUTS:
        return _named(key, value, found)
    if key == "filters" and isinstance(value, list):
        return [_filter(one, found) for one in value]
    return value


def _filter(one: Any, found: list[Descriptor]) -> Any:
    """A filter and its options; its libraries go to `found`."""
    if not isinstance(one, Mapping) or "libraries" not in one:
        return one
    _parted("libraries", one["libraries"], found)
    return {k: v for k, v in one.items() if k != "libraries"}


def _named(key: str, value: Any, found: list[Descriptor]) -> Any:
    """Input files: their names stay, their digests go to `found`."""
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and isinstance(value[0], str) and _is_digest(value[1]):
            found.append(Descriptor(value[0], digest={"sha256": value[1]}))
            return value[0]
        return [_named(key, v, found) for v in value]
    if isinstance(value, Mapping):
        if value and all(map(_is_digest, value.values())):
            found += [Descriptor(str(n), digest={"sha256": sha}) for n, sha in sorted(value.items())]
            return sorted(value)
        return {k: _named(str(k), v, found) for k, v in value.items()}
    if _is_digest(value):
        found.append(Descriptor(key, digest={"sha256": value}))
    return value


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None


def _model(model: Mapping[str, Any], found: list[Descriptor]) -> Any:
    """A base model: the files of a folder, or a hub's name and commit. One that was unpacked is a need."""
    files, base, revision = model.get("files"), model.get("base"), model.get("revision")
    if isinstance(files, Mapping):
        found += [Descriptor(f"model/{n}", digest={"sha256": str(sha)}) for n, sha in sorted(files.items())]
        return {**model, "files": sorted(files)}
    if isinstance(base, str) and not base.startswith("embedded/"):
        at = f"@{quote(revision, safe='')}" if isinstance(revision, str) else ""
        digest = {"gitCommit": revision} if isinstance(revision, str) and COMMIT.fullmatch(revision) else {}
        found.append(Descriptor("model", f"pkg:huggingface/{quote(base)}{at}", digest))
    return dict(model)


def _package(name: str, version: str) -> Descriptor:
    return Descriptor(name, f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}")
