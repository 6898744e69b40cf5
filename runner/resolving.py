"""A hub's model by its commit: what a recipe names without one is looked up once, and locked.

Without that, two models could share answers: the hub's main branch moves, and with it what every step after that
would fetch. The lock lies beside those of sources, so that a second run asks for nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runner import lock, process, trouble
from runner import recipe as r
from runner.errors import StepError
from runner.fetching import Item
from runner.making import write_json
from runner.plan import hub_request
from runner.store import Store


def resolve(model: r.Model, root: Path, log: Path, shown: str) -> None:
    """Ask for the commit of a model that names none, and lock it. Raises StepError, with `shown` as the log's name."""
    known = lock.read(Store(root).root, hub_request(model))
    store = Store(root)
    with store.waiting("resolve"):
        if lock.read(store.root, hub_request(model)) == known:  # else another run has asked meanwhile
            _ask(model, store, log, shown)


def _ask(model: r.Model, store: Store, log: Path, shown: str) -> None:
    work = store.work("resolve")
    out = work / "commit"
    out.unlink(missing_ok=True)
    write_json(work / "job.json", {"base": model.base, "revision": model.revision, "out": str(out.resolve())})
    try:
        process.run(
            [sys.executable, "-m", "runner.jobs.resolve", str((work / "job.json").resolve())],
            log=log,
            cwd=store.workspace,
            network=True,
        )
    except process.Failed as e:
        said = trouble.words(e.said, trouble.About(base=model.base, revision=model.revision), e.code)
        raise StepError("model", said or str(e), shown) from None
    lock.write(store.root, hub_request(model), [Item(out.read_text(encoding="utf-8"))])
