"""The run that is meant: its adapter and its card out of the store, and the base model that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runner import paths
from runner.catalogue import run_folder
from runner.errors import StepError, UsageError
from runner.modelcard import Facts
from runner.store import Artifact, Store, digest, file_digest
from runner.workspace import Workspace

KEPT = ("adapter", "model")  # folders of what a training left


@dataclass(frozen=True)
class Run:
    """`workspace` is absolute; `trained` is the artifact of the training, in whose folder `kept` the result is."""

    name: str
    workspace: Path
    trained: Artifact
    facts: Facts

    @property
    def folder(self) -> Path:
        return self.workspace / "runs" / self.name

    @property
    def kept(self) -> Path:
        """What was trained: an adapter, or a whole model."""
        return self.trained.file("model" if self.facts.full else "adapter")

    @property
    def template(self) -> Path | None:
        """The chat template that comes with the adapter; None where it is the base model's own."""
        return self.kept / "chat_template.jinja" if self.facts.template.own else None

    def base(self) -> Path:
        """The folder of the base model. Raises StepError where it is not what was trained on, or not here."""
        made = self.trained.manifest.ingredients
        if fingerprint := made["needs"].get("model"):
            artifact = Store(self.workspace).get(fingerprint, verify=False)
            if artifact is None:
                raise StepError("export", f"the store lacks the base model of {self.name!r}: run it again")
            return artifact.file("model")
        if "files" in made["model"]:
            return self._local(made["model"]["files"])
        return _of_hub(self.facts.base.name, self.facts.base.revision)

    def _local(self, files: dict[str, str]) -> Path:
        name = self.facts.base.name
        # Wherever it lies: it must be, byte for byte, what was trained on.
        folder = Workspace(self.workspace, frozenset({"paths"})).find(name)
        if folder is None or not folder.is_dir():
            raise StepError("export", f"the base model's folder {name!r} is gone; put it back")
        for file, sha256 in files.items():
            if not (folder / file).is_file() or file_digest(folder / file) != sha256:
                what = f"{name}/{file} is not what the adapter was trained on; put the old one back, or run it again"
                raise StepError("export", what)
        return folder.resolve()


def _of_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        at = f" --revision {revision}" if revision else ""
        what = f"the base model {name} is not in the local cache; fetch it: hf download {name}{at}"
        raise StepError("export", what) from None


def find(name: str, workspace: Path) -> Run:
    """The run of that name, with its adapter. Raises UsageError where there is none, StepError where it is damaged."""
    root = workspace.resolve()
    folder = run_folder(name, root)
    again = f"recipe run runs/{name}/recipe.yaml"
    steps = _json(folder / "plan.json")
    fingerprint = next((x for n in KEPT if (x := _json(folder / n / "mirepoix.json").get("step"))), None)
    if fingerprint is None:
        raise UsageError(f"the run {name!r} has no adapter yet; make it: {again}")
    store = Store(root)
    trained = store.get(fingerprint, verify=False) if isinstance(fingerprint, str) else None
    if trained is None or trained.manifest.step != "train":
        raise UsageError(f"the store lacks the adapter of {name!r}; make it again: {again}")
    made: Any = steps.get("report") or {}
    report = store.get(digest(made), verify=False) if made else None
    if report is None or made.get("needs", {}).get("train") != fingerprint:
        raise UsageError(f"the run {name!r} was not judged to its end, so it has no card yet; go on: {again}")
    if "model-card.json" not in report.manifest.files:
        raise UsageError(f"the report of {name!r} is of an earlier version; make it again: {again}")
    for artifact, files in ((trained, [n for n in trained.manifest.files if n.partition("/")[0] in KEPT]),
                            (report, ["model-card.json"])):  # fmt: skip
        for file in files:
            if file_digest(artifact.file(file)) != artifact.manifest.files[file]:
                raise StepError(
                    "export", f"{file} of {name!r} is damaged in the store; make it again: {again}"
                )
    facts = msgspec.json.decode(report.file("model-card.json").read_bytes(), type=Facts)
    return Run(name, root, trained, facts)


def _json(path: Path) -> dict[str, Any]:
    try:
        data = paths.read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
