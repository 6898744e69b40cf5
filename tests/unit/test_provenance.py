"""Each artifact says in the words of in-toto and SLSA where it is from; `recipe show why` tells it of a number, an answer,
a row or a file, back to the raw inputs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from runner import locking
from runner.cli import main
from runner.fetching import Item
from runner.locking.written import Fetched, Part, RecipeLock
from runner.provenance import told
from runner.recipe import Use
from runner.store import Store, digest
from runner.store.manifest import read
from runner.store.statement import definition, stated
from runner.suite import Perplexity, Suite, SuiteCommon

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


# recipe show why


def why(root: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["show", "why", *words, "--workspace", str(root), "--json"])
    assert done.exit_code == code, done.output
    return dict(json.loads(done.stdout))


def said(root: Path, *words: str) -> str:
    done = CliRunner().invoke(main, ["show", "why", *words, "--workspace", str(root)])
    assert done.exit_code == 0, done.output
    return done.stdout


def steps(found: dict[str, Any]) -> list[str]:
    return [one["step"] for one in found["chain"]]


RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: ["talk/*.jsonl"]}
    name: talk
  - jsonl: {files: [other.jsonl]}
    name: other
filters:
  - words: {min: 4}
split: {validation: 0.2}
"""


def row(n: int, answer: str) -> str:
    said = [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": said}) + "\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose data were prepared. Nobody changes it."""
    root = tmp_path_factory.mktemp("w")
    (root / "talk").mkdir()
    (root / "r.yaml").write_text(RECIPE)
    (root / "talk/a.jsonl").write_text(
        "".join(row(n, f"It is {n * 7}, then.") for n in range(20)) + row(20, "Ay.") + "{\n"
    )
    (root / "other.jsonl").write_text(row(99, "Nothing else at all."))
    done = CliRunner().invoke(
        main, ["run", str(root / "r.yaml"), "--to", "prepare", "--workspace", str(root)]
    )
    assert done.exit_code == 0, done.output
    return root


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(prepared, tmp_path / "w")
    return tmp_path / "w"


def test_a_row_goes_back_to_the_bytes_it_was_read_from(prepared: Path) -> None:
    raw = hashlib.sha256((prepared / "talk/a.jsonl").read_bytes()).hexdigest()
    found = why(prepared, "t", "talk/a/3")
    assert found["kind"] == "row" and found["found"]["row"]["fate"] in ("trained", "validation")
    assert found["found"]["raw"] == {"name": "talk/a.jsonl:3", "sha256": raw}
    assert steps(found) == ["split", "mix", "filter", "source.talk"], "of its own source alone"
    assert found["inputs"] == [{"name": "talk/a.jsonl", "sha256": raw, "step": "source.talk"}]
    assert found["gone"] == found["doubts"] == []
    for n, why_not in ((21, "filters"), (22, "source")):
        found = why(prepared, "t", f"talk/a/{n}")
        assert found["found"]["row"]["fate"] == "dropped" and found["found"]["row"]["by"].startswith(why_not)
        assert found["found"]["raw"] == {"name": f"talk/a.jsonl:{n}", "sha256": raw}
    told = said(prepared, "t", "talk/a/21")
    assert f"read from talk/a.jsonl:21  sha256 {raw}" in told
    assert ", null\n" not in said(prepared, "t", "data/train.jsonl")  # a mix without options


def test_statements_of_a_run_are_a_chain_by_digests(prepared: Path) -> None:
    found = why(prepared, "t", "data/train.jsonl")
    whole = {one["step"]: one["statement"] for one in found["chain"]}
    assert set(whole) == {"split", "mix", "filter", "source.talk", "source.other"}
    for one in whole.values():
        STATEMENT.validate(one)
        for name, d in dependencies(one).items():
            if "uri" in d and d["uri"].startswith("mirepoix:"):
                assert d["digest"] == whole[name]["subject"][0]["digest"]
    sha = hashlib.sha256((prepared / "runs/t/data/train.jsonl").read_bytes()).hexdigest()
    assert found["found"]["files"] == {"data/train.jsonl": {"made": sha, "sha256": sha}}
    assert {"name": "data/train.jsonl", "digest": {"sha256": sha}} in whole["split"]["subject"]


def test_each_file_that_a_run_lays_out_has_a_step(prepared: Path) -> None:
    own = {"plan.json", "recipe.lock", "recipe.yaml", "data/README.md"}
    for path in (prepared / "runs/t").rglob("*"):
        name = path.relative_to(prepared / "runs/t").as_posix()
        if path.is_dir() or name.startswith("logs/"):
            continue
        if name in own:
            assert "no step does" in why(prepared, "t", name, code=2)["errors"][0]["what"]
            continue
        files = why(prepared, "t", name)["found"]["files"][name]
        assert files["made"] == files["sha256"], name
    assert why(prepared, "t", "runs/t/ledger.parquet")["found"]["step"] == "split"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["s", "x"], "no run 's' (known: t)"),
        (["../runs/t", "talk/a/3"], "no run"),
        (["t", "talk/a/3x"], "did you mean talk/a/3"),
        (["t", "data/trian.jsonl"], "did you mean data/train.jsonl?"),
        (["t", "../../r.yaml"], "nothing called"),
        (["t", "rejected/../../../talk/a.jsonl"], "nothing called"),
        (["t", "talk/a/3:tuned"], "nothing called"),
        (["t"], "recipe show why RUN WHAT"),
    ],
)
def test_a_wrong_name_is_answered_by_the_nearest_right_one(
    prepared: Path, words: list[str], told: str
) -> None:
    assert told in why(prepared, *words, code=2)["errors"][0]["what"]


def test_why_is_asked_of_a_run(prepared: Path) -> None:
    done = CliRunner().invoke(
        main, ["show", str(prepared / "r.yaml"), "why", "x", "--workspace", str(prepared)]
    )
    assert done.exit_code == 2 and "recipe show why RUN WHAT" in done.output


def test_of_a_run_whose_artifacts_are_gone_is_told_what_it_remembers(home: Path) -> None:
    shutil.rmtree(home / ".mirepoix")
    (home / "talk/a.jsonl").unlink()
    found = why(home, "t", "talk/a/3")
    assert found["gone"] == steps(found) == ["split", "mix", "filter", "source.talk"]
    assert all(one["statement"] is None for one in found["chain"])
    assert found["found"]["raw"]["sha256"] == found["inputs"][0]["sha256"]
    assert found["chain"][-1]["known"]["buildType"].startswith("mirepoix:step/source/")
    assert "gone from the store: split, mix" in said(home, "t", "talk/a/3")
    (home / "runs/t/plan.json").write_text("{")
    assert "plan.json is gone or damaged" in why(home, "t", "talk/a/3", code=2)["errors"][0]["what"]


def test_what_is_not_as_it_was_made_is_told(home: Path) -> None:
    (home / "runs/t/data-card.md").unlink()  # a link to the store's
    (home / "runs/t/data-card.md").write_text("Better data.")
    assert why(home, "t", "data-card.md")["doubts"] == [
        "data-card.md is not what split made: it was changed, or the run was stopped before its end"
    ]
    for name in ("ledger.parquet", "report.json"):
        (home / "runs/t" / name).unlink(missing_ok=True)
        (home / "runs/t" / name).write_text("{]")
        assert name in why(home, "t", "talk/a/3", code=2)["errors"][0]["what"]
        (home / "runs/t" / name).unlink()
    assert why(home, "t", "data-card.md")["kind"] == "file"


def judged(root: Path, **judge: Any) -> Store:
    """A run that was judged to its end, by hand: three arms, one suite of a judge, one of texts."""
    store, folder = Store(root), root / "runs/t"
    plan: dict[str, Any] = {}

    def step(name: str, wrote: dict[str, str], needs: tuple[str, ...] = (), **more: Any) -> None:
        of = {n: digest(plan[n]) for n in needs}
        plan[name] = {"step": name.partition(".")[0], "version": 1, "needs": of} | more
        with store.making(name, digest(plan[name]), plan[name]) as out:
            for file, text in wrote.items():
                (out / file).parent.mkdir(parents=True, exist_ok=True)
                (out / file).write_text(text)

    item = Item("https://example.org/a", "cd" * 32, {"origin": "https://example.org/a"})
    step(
        "source.net",
        {"records.jsonl": ""},
        web={},
        plugin_version=2,
        fetched=digest([msgspec.to_builtins(item)]),
    )
    step("split", {"data/train.jsonl": "{}\n"}, ("source.net",))
    step("train", {"adapter/adapter_model.safetensors": "w"}, ("split",), config={"lr": 1})
    answer = {"id": "p", "raw": "Hello\x1b[31m", "finish": "stop"}
    for arm in ("base", "other", "tuned"):
        lines = json.dumps(answer | {"arm": arm}) + "\n"
        needs = ("train",) if arm == "tuned" else ()
        options = {"engine": "e", "decoding": {"temperature": 0.5}, "max_new_tokens": 9, "template": SHA}
        step(f"answers.{arm}.few", {"answers.jsonl": lines}, needs, step="generate", arm=arm, **options)
        step(f"perplexity.{arm}", {"losses.jsonl": ""}, needs, arm=arm)
        (folder / "answers" / arm).mkdir(parents=True)
        (folder / "answers" / arm / "few.jsonl").write_text(lines)
    step("judge.few", {"suite.json": "{}"}, tuple(f"answers.{a}.few" for a in ("base", "other", "tuned")),
         plugin_version=4, **(judge or {"tool_use": {}}))  # fmt: skip
    suites = [
        Suite(SuiteCommon(suite=1, name="few", probes="few.jsonl"), Use("tool_use", {})),
        Suite(SuiteCommon(suite=1, name="books", perplexity=Perplexity(texts={"old": ["x/*.txt"]})), None),
    ]
    arms = {a: {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10} for a in ("base", "other", "tuned")}
    metric = {"unit": "share", "better": "higher", "arms": arms}
    named = [("few", "few.right_call"), ("books", "books.old.nats")]
    report = {"suites": [{"name": s, "metrics": [{"metric": m, **metric}]} for s, m in named]}
    step("report", {"report.json": json.dumps(report)}, tuple(plan), suites=msgspec.to_builtins(suites))
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "plan.json").write_text(json.dumps(plan))
    part = Part({"evals/suites/few.yaml": "ef" * 32}, {}, {}, {})
    lock = RecipeLock(1, "t", {}, None, None, {}, {"net": Fetched(SHA, [item])}, {"evaluate": part}, {})
    locking.write(folder / "recipe.lock", lock, root)
    return store


def test_a_number_goes_back_to_what_was_fetched(tmp_path: Path) -> None:
    judged(tmp_path)
    found = why(tmp_path, "t", "few.right_call")
    assert (found["found"]["arm"], found["found"]["value"], found["found"]["n"]) == ("tuned", 0.5, 10)
    assert found["found"]["suite"] == {"name": "few", "file": "evals/suites/few.yaml", "sha256": "ef" * 32}
    assert steps(found) == ["report", "judge.few", "answers.tuned.few", "train", "split", "source.net"]
    url = "https://example.org/a"
    assert found["chain"][-1]["fetched"] == {
        "items": 1,
        "listed": [{"key": url, "url": url, "sha256": "cd" * 32}],
    }
    assert steps(why(tmp_path, "t", "few.right_call:base")) == ["report", "judge.few", "answers.base.few"]
    assert steps(why(tmp_path, "t", "books.old.nats:other")) == ["report", "perplexity.other"]
    told = said(tmp_path, "t", "few.right_call")
    for words in ("few.right_call of tuned: 50.0% (40.0% to 60.0%), n 10", "ef" * 32, "judge 1, tool_use 4", f"{url}  sha256 {'cd' * 32}",
                  "generate 1, e, temperature: 0.5, at most 9 tokens, template abababababab", f"config {digest({'lr': 1})[:12]}"):  # fmt: skip
        assert words in told
    lock = json.loads((tmp_path / "runs/t/recipe.lock").read_bytes())
    lock["fetched"]["net"]["items"][0]["sha256"] = SHA  # of another fetch: it is not told for this one
    (tmp_path / "runs/t/recipe.lock").write_text(json.dumps(lock))
    assert why(tmp_path, "t", "few.right_call")["chain"][-1]["fetched"] is None
    assert "did you mean tuned?" in why(tmp_path, "t", "few.right_call:tunde", code=2)["errors"][0]["what"]
    assert "did you mean few.right_call?" in why(tmp_path, "t", "few.rightcall", code=2)["errors"][0]["what"]


def test_a_judge_of_two_arms_has_both_behind_its_number(tmp_path: Path) -> None:
    judged(tmp_path, llm_pairwise={"arm": "tuned", "against": "base"})
    found = steps(why(tmp_path, "t", "few.right_call:tuned"))
    assert {"answers.tuned.few", "answers.base.few", "train"} < set(
        found
    ) and "answers.other.few" not in found


def test_an_answer_and_an_adapter_go_back_to_the_training_that_they_are_of(tmp_path: Path) -> None:
    store = judged(tmp_path)
    found = why(tmp_path, "t", "p:tuned")
    assert found["kind"] == "answer" and [a["suite"] for a in found["found"]["answers"]] == ["few"]
    assert steps(found) == ["answers.tuned.few", "train", "split", "source.net"] and found["doubts"] == []
    assert steps(why(tmp_path, "t", "p:base")) == ["answers.base.few"]
    assert "\x1b" not in said(tmp_path, "t", "p") and "Hello\\x1b[31m" in said(tmp_path, "t", "p")
    # The run was planned anew since; its adapter is still of the training that it names.
    plan = json.loads((tmp_path / "runs/t/plan.json").read_bytes())
    (tmp_path / "runs/t/adapter").mkdir()
    (tmp_path / "runs/t/adapter/mirepoix.json").write_text(json.dumps({"step": digest(plan["train"])}))
    (tmp_path / "runs/t/adapter/adapter_model.safetensors").write_text("w")
    other = plan | {"train": plan["train"] | {"config": {"lr": 2}}}
    (tmp_path / "runs/t/plan.json").write_text(json.dumps(other))
    found = why(tmp_path, "t", "adapter/adapter_model.safetensors")
    assert found["chain"][0]["fingerprint"] == digest(plan["train"]) and found["doubts"] == []
    assert steps(why(tmp_path, "t", "adapter")) == ["train", "split", "source.net"]
    # A result that was taken over from this run, too.
    taken = {"step": "result", "version": 1, "needs": {}, "files": {"mirepoix.json": SHA}}
    with store.making("result", digest(taken), taken) as out:
        shutil.copytree(tmp_path / "runs/t/adapter", out / "adapter")
    asked = {"step": "generate", "version": 1, "needs": {"result": digest(taken)}}
    with store.making("answers.tuned.few", digest(asked), asked) as out:
        (out / "answers.jsonl").write_text("")
    shutil.copytree(tmp_path / "runs/t/answers", tmp_path / "runs/e/answers")
    (tmp_path / "runs/e/plan.json").write_text(json.dumps({"answers.tuned.few": asked, "result": taken}))
    assert steps(why(tmp_path, "e", "p")) == ["answers.tuned.few", "result", "train", "split", "source.net"]


def test_an_artifact_that_was_made_anew_with_other_bytes_is_told(tmp_path: Path) -> None:
    store = judged(tmp_path)
    plan = json.loads((tmp_path / "runs/t/plan.json").read_bytes())
    shutil.rmtree(store.path(digest(plan["train"])))
    with store.making("train", digest(plan["train"]), plan["train"]) as out:
        (out / "adapter").mkdir()
        (out / "adapter/adapter_model.safetensors").write_text("other weights")
    found = why(tmp_path, "t", "few.right_call")
    assert found["doubts"] == [
        f"train was made anew since {step} was made of it, and came out with other bytes"
        for step in ("report", "answers.tuned.few")
    ]
    assert f"note: {found['doubts'][0]}" in said(tmp_path, "t", "few.right_call")


def test_the_source_files_is_named_though_inputs_of_others_are_called_so() -> None:
    options = {"files": {"kind": "jsonl"}, "inputs": {}, "name": "a", "plugin_version": 4, "seed": 0}
    known = {"buildType": "mirepoix:step/source/7", "externalParameters": options}
    assert told._about(known) == "source 7, files 4"
    known = {"buildType": "mirepoix:step/judge/3", "externalParameters": {**options, "style": {}}}
    assert told._about(known) == "judge 3, style 4"
