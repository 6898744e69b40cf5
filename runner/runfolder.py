"""`runs/NAME/`: what a run remembers of the last one, and how its artifacts are laid out for people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from runner import paths
from runner.evaluate.answers import ANSWERS
from runner.steps import Plan
from runner.store import Artifact, digest, place, write_atomic
from runner.yaml12 import dump

LAID: dict[str, tuple[str, str]] = {
    "data/train.jsonl": ("split", "data/train.jsonl"),
    "data/validation.jsonl": ("split", "data/validation.jsonl"),
    "ledger.parquet": ("split", "ledger.parquet"),
    "data-card.md": ("split", "data-card.md"),
    "axolotl.yml": ("train", "axolotl.yml"),
    "report.json": ("report", "report.json"),
    "report.html": ("report", "report.html"),
}
"""Files of a run's folder: the step that makes each, and its name there. Others are named after sources and arms."""


def folder(plan: Plan) -> Path:
    """Where this recipe's run is laid out."""
    return plan.workspace.root / "runs" / plan.loaded.recipe.name


def before(plan: Plan) -> dict[str, Any]:
    """The ingredients of each step of this recipe's last run."""
    try:
        data = paths.read_json(folder(plan) / "plan.json")
        return {k: v for k, v in data.items() if isinstance(v, dict)} if isinstance(data, dict) else {}
    except (OSError, ValueError):
        return {}


def tidy(plan: Plan) -> None:
    """Make the run's folder, without what a kill left half written. Raises NeedsTrust for links that lead out of it."""
    root, out = plan.workspace.root, folder(plan)
    paths.folder(root, out.relative_to(root))
    paths.check(root, out / "track")
    # A tracker's, of a training that was killed; they are not followed.
    for link in paths.leading_out(out / "track"):
        link.unlink()
    paths.check_all(root, out)
    for left in out.glob(".*.*.tmp"):
        left.unlink()


def remember(plan: Plan, steps: dict[str, Any]) -> None:
    """What the steps were made of, for the next run to say what changed."""
    data = json.dumps(steps, indent=1, sort_keys=True).encode()
    write_atomic(folder(plan) / "plan.json", data, plan.workspace.root)


def of_recipe(plan: Plan) -> bool:
    """Whether data are prepared: an evaluation without a recipe has none, only those of lm-eval's tasks."""
    return any(s.kind == "split" for s in plan.steps)


def lay_out(plan: Plan, made: dict[str, Artifact], out: Path) -> None:
    """Fill `runs/NAME/` with links to the artifacts. What an earlier run left of others is removed."""
    said = plan.loaded.document.data  # with what it extends merged in: it stands for itself
    data = dump({k: v for k, v in said.items() if k != "extends"}).encode()
    paths.check_all(plan.workspace.root, out)  # once more: a run takes hours
    write_atomic(out / ("recipe.yaml" if of_recipe(plan) else "evaluation.yaml"), data, plan.workspace.root)
    files = dict(LAID)
    if "train" in made:
        names = [n for n in made["train"].manifest.files if n.startswith(("adapter/", "model/"))]
        files |= {n: ("train", n) for n in names}
        if "report" in made:
            trained = plan.loaded.recipe.adapter.folder
            files[f"{trained}/README.md"] = ("report", "model-card.md")
    for name in made:
        if name.startswith("source."):
            files[f"rejected/{name[7:]}.jsonl"] = (name, "rejected.jsonl")
        if name == "filter":  # rows that a filter failed on; no source's name begins so
            files["rejected/_filters.jsonl"] = (name, "rejected.jsonl")
        if name.startswith("answers."):
            _, arm, suite = name.split(".", 2)
            files[f"answers/{arm}/{suite}.jsonl"] = (name, ANSWERS)
    for target in ("adapter", "model", "answers", "rejected"):
        shutil.rmtree(out / target, ignore_errors=True)
    if "split" in made:  # flushed into the run's folder, since a file is written into it below
        paths.folder(plan.workspace.root, (out / "data").relative_to(plan.workspace.root))
    for target, (step, file) in files.items():
        (out / target).unlink(missing_ok=True)
        if step not in made:
            continue
        # A source that rejected nothing needs no file that says so.
        if not target.startswith("rejected/") or made[step].file(file).stat().st_size:
            place(made[step].file(file), out / target)
    if "split" in made:  # so that `data/` is a data set as a hub has them
        write_atomic(out / "data/README.md", _card(plan, made).encode(), plan.workspace.root)


def _card(plan: Plan, made: dict[str, Artifact]) -> str:
    """The card of `data/`: the data card, with the header that a hub and `datasets` read."""
    from runner.modelcard import dataset_card, dataset_header
    from runner.modelfacts import languages, of_hub

    recipe, split = plan.loaded.recipe, made["split"]
    summary = json.loads(split.file("summary.json").read_bytes())
    rows, mix = summary["rows"], summary["mix"]
    counts = {
        s.name: json.loads(made[f"source.{s.name}"].file("counts.json").read_bytes()) for s in recipe.sources
    }
    used = {name for name, found in counts.items() if found["records"]}
    if mix["by"] == "source":  # some may weigh nothing
        used &= {share["name"] for share in mix["shares"] if share["records"]}
    header = dataset_header(
        recipe.name,
        {"train": rows["trained"], "validation": rows["validation"]},
        licences=sorted({licence for name in used for licence in counts[name]["licenses"]}),
        languages=languages(recipe),
        datasets=of_hub(recipe, used),
        own=any(s.plugin != "hub" and s.name in used for s in recipe.sources),
        tools=any(s.plugin == "tools" and s.name in used for s in recipe.sources),
        digests={
            "recipe": f"sha256:{digest(plan.loaded.document.data)}",
            "data": f"sha256:{plan.step('split').fingerprint}",
        },
    )
    return dataset_card(header, split.file("data-card.md").read_text(encoding="utf-8"))
