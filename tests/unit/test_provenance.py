"""Each artifact says in the words of in-toto and SLSA where it is from; `recipe show why` tells it of a number, an answer,
a row or a file, back to the raw inputs."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.store import Store, digest
from runner.store.manifest import read
from runner.store.statement import definition, stated

SHA = "ab" * 32
# The shapes of in-toto/attestation spec/v1 (statement.md, resource_descriptor.md, digest_set.md) and of
# slsa.dev/spec/v1.0/provenance, written from their text; names that they do not have are refused here.
URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:"}
DESCRIPTOR: Any = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["uri"]}, {"required": ["digest"]}, {"required": ["content"]}],
    "properties": {
        "name": {"type": "string"}, "uri": URI, "content": {"type": "string"}, "downloadLocation": URI,
        "mediaType": {"type": "string"}, "annotations": {"type": "object"},
        "digest": {
            "type": "object", "minProperties": 1, "additionalProperties": {"type": "string"},
            "properties": {
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "dirHash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "gitCommit": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
            },
        },
    },
}  # fmt: skip
VERSIONS = {"type": "object", "additionalProperties": {"type": "string"}}


def exactly(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object", "required": list(required), "properties": required | optional, "additionalProperties": False,
    }  # fmt: skip


STATEMENT = Draft202012Validator(
    exactly(
        {
            "_type": {"const": "https://in-toto.io/Statement/v1"},
            "subject": {"type": "array", "minItems": 1, "items": DESCRIPTOR | {"required": ["digest"]}},
            "predicateType": {"const": "https://slsa.dev/provenance/v1"},
            "predicate": exactly(
                {
                    "buildDefinition": exactly(
                        {"buildType": URI, "externalParameters": {"type": "object"}},
                        internalParameters={"type": "object"},
                        resolvedDependencies={"type": "array", "items": DESCRIPTOR},
                    ),
                    "runDetails": exactly(
                        {
                            "builder": exactly(
                                {"id": URI},
                                version=VERSIONS,
                                builderDependencies={"type": "array", "items": DESCRIPTOR},
                            )
                        },
                        metadata={"type": "object"},
                        byproducts={"type": "array", "items": DESCRIPTOR},
                    ),
                }
            ),
        }
    )
)


def made(store: Store, step: str, wrote: dict[str, str], **ingredients: Any) -> str:
    """An artifact that holds what was written; its fingerprint."""
    whole = {"step": step.partition(".")[0], "version": 3, "needs": {}} | ingredients
    with store.making(step, digest(whole), whole) as out:
        for name, text in wrote.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text)
    return digest(whole)


def manifest(store: Store, fingerprint: str) -> dict[str, Any]:
    return dict(json.loads((store.path(fingerprint) / "manifest.json").read_bytes()))


def dependencies(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert len({d["name"] for d in found}) == len(found)
    return {d["name"]: {k: v for k, v in d.items() if k != "name"} for d in found}


def test_an_artifact_says_as_in_toto_and_slsa_have_it_what_it_was_made_of(tmp_path: Path) -> None:
    store = Store(tmp_path)
    talk = made(store, "source.talk", {"records.jsonl": "{}\n", "sub/ä b.txt": ""}, jsonl={"files": ["a*"]},
                files={"files": [["talk/a.jsonl", SHA]]}, plugin_version=2, fetched="cd" * 32)  # fmt: skip
    made_of = {"talk": talk, "gone": "0" * 64}
    fingerprint = made(store, "render", {"rows": "1"}, needs=made_of, model={"base": "org/m", "revision": "e" * 40},
                       libraries={"torch": "2.9.0+cpu", "bits_and": "absent"}, max_length=512,
                       filters=[{"at": 0, "plugin_version": 1, "libraries": {"fast_x": "1"}, "words": {"min": 2}}])  # fmt: skip
    of_talk, of_render = (manifest(store, f)["statement"] for f in (talk, fingerprint))
    for said in (of_talk, of_render):
        STATEMENT.validate(said)
    assert [s["name"] for s in of_talk["subject"]] == [".", "records.jsonl", "sub/ä b.txt"]
    assert of_talk["subject"][1]["digest"] == {"sha256": hashlib.sha256(b"{}\n").hexdigest()}
    assert dependencies(of_talk) == {
        "talk/a.jsonl": {"digest": {"sha256": SHA}}, "fetched": {"digest": {"sha256": "cd" * 32}},
    }  # fmt: skip
    built = of_talk["predicate"]["buildDefinition"]
    assert built["buildType"] == "mirepoix:step/source/3"
    assert built["externalParameters"] == {
        "files": {"files": ["talk/a.jsonl"]}, "jsonl": {"files": ["a*"]}, "plugin_version": 2,
    }  # fmt: skip
    assert built["internalParameters"] == {"fingerprint": talk, "name": "source.talk"}
    # What is needed is named by the digest of all its files, which is a subject there.
    assert dependencies(of_render) == {
        "talk": {"uri": f"mirepoix:artifact/{talk}", "digest": of_talk["subject"][0]["digest"]},
        "gone": {"uri": f"mirepoix:artifact/{'0' * 64}"},
        "model": {"uri": f"pkg:huggingface/org/m@{'e' * 40}", "digest": {"gitCommit": "e" * 40}},
        "torch": {"uri": "pkg:pypi/torch@2.9.0%2Bcpu"}, "fast_x": {"uri": "pkg:pypi/fast-x@1"},
    }  # fmt: skip
    assert built != (own := of_render["predicate"]["buildDefinition"])["externalParameters"]
    assert own["externalParameters"]["filters"] == [{"at": 0, "plugin_version": 1, "words": {"min": 2}}]
    assert set(of_render["predicate"]["runDetails"]["builder"]["version"]) == {
        "mirepoix", "msgspec", "numpy", "pyarrow", "python",
    }  # fmt: skip


def test_the_digest_of_a_whole_artifact_is_what_in_totos_command_says(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.path(made(store, "s", {"b/ü": "1", "b c": "2", "B": "3", "a.txt": ""}))
    command = "find . -type f ! -path ./manifest.json | cut -c3- | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0r sha256sum"
    said = subprocess.run(["sh", "-c", f"{command} | sha256sum"], cwd=folder, capture_output=True, check=True)
    assert (
        manifest(store, folder.name)["statement"]["subject"][0]["digest"]["dirHash"]
        == said.stdout[:64].decode()
    )


def test_a_statement_has_no_clock_no_place_and_decides_no_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = made(Store(tmp_path / "a"), "s", {"x": "1"}, n=1)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert made(Store(tmp_path / "b"), "s", {"x": "1"}, n=1) == fingerprint
    one, other = (Store(tmp_path / n).path(fingerprint) / "manifest.json" for n in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert str(tmp_path) not in one.read_text() and not re.search(r"20\d\d-\d\d", one.read_text())


@pytest.mark.parametrize("harm", ["other digest", "one file less", "other type", "none", "more"])
def test_a_statement_of_other_files_is_a_damaged_manifest(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    whole = manifest(store, made(store, "s", {"x": "1", "y": "2"}))
    assert read(json.dumps(whole).encode()) is not None
    said = whole["statement"]
    if harm == "other digest":
        said["subject"][1]["digest"]["sha256"] = SHA
    elif harm == "one file less":
        said["subject"].pop()
    elif harm == "other type":
        said["_type"] = "https://in-toto.io/Statement/v0.1"
    elif harm == "more":
        said["predicate"]["metadata"] = {"startedOn": "2026-01-01T00:00:00Z"}
    else:
        del whole["statement"]
    assert read(json.dumps(whole).encode()) is None


def test_shapes_of_inputs_that_steps_have() -> None:
    """As plan/evaluate.py, plan/against.py and evaluating.py write them; what only looks like one is an option."""
    given = {
        "probes": {"few": [SHA, None, 48]}, "data": {"train.jsonl": "1" * 64}, "model": {"files": {"c.json": "2" * 64}},
        "tasks": {"t": [None, {"t": [["evals/tasks/t.yaml", "3" * 64]]}]}, "lm_eval": "0.4.11",
        "source": {"distribution": "Some_Model", "version": "1", "file": "m.gguf", "sha256": "4" * 64},
        "regex": {"drop": ["x", SHA]}, "vllm": {"vllm": "0.11"}, "template": "5" * 64,
    }  # fmt: skip
    made = definition("x", SHA, {"step": "a b", "version": 1, "needs": {}} | given, {})
    found = {d.name: (d.uri, *d.digest.values()) for d in made.resolved_dependencies}
    assert found == {
        "few": ("", SHA), "train.jsonl": ("", "1" * 64), "model/c.json": ("", "2" * 64),
        "evals/tasks/t.yaml": ("", "3" * 64), "m.gguf": ("pkg:pypi/some-model@1", "4" * 64),
        "lm-eval": ("pkg:pypi/lm-eval@0.4.11",), "vllm": ("pkg:pypi/vllm@0.11",),
    }  # fmt: skip
    assert made.build_type == "mirepoix:step/a%20b/1"
    assert made.external_parameters["regex"] == {"drop": ["x", SHA]}
    assert made.external_parameters["template"] == "5" * 64
    assert made.external_parameters["model"] == {"files": ["c.json"]}
    assert not stated("x", SHA, given, {}, {}, {}).predicate.run_details.builder.version
