"""What is asked for, and the answer to it: pages, a run's own report, the same as JSON. No sockets here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from runner import page
from runner.errors import MirepoixError, UsageError
from runner.page import measured
from runner.store import Artifact, Store, digest
from runner.watching import pages, reading
from runner.watching.comparison import comparison
from runner.watching.going import going
from runner.watching.runs import Run, described, every, find

VERSION = 1
"""Of the JSON below /api/: another version has another path."""
HTML, JSON = "text/html; charset=utf-8", "application/json"
NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""The policy of what is no page."""
_REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# A page's own policy, in its head, holds besides: of ours it names the one script by its digest.
OWN_REPORT = f"{_REPORT}; script-src 'unsafe-inline'; sandbox allow-scripts"
STRANGE_REPORT = f"{_REPORT}; sandbox"


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: bytes
    policy: str


def answer(workspace: Path, target: str) -> Answer:
    """The answer to a GET of `target`, a path with its query."""
    path, query = urlsplit(target).path, urlsplit(target).query
    names = [unquote(part) for part in path.split("/")[1:]]
    try:
        said = parse_qs(query, max_num_fields=20)
    except ValueError:
        return _wrong(workspace, names, 400, "That is no address here", "there are too many parts in it")
    asked, log = said.get("run", []), said.get("log", [""])[0]
    if "oldest" in said:  # the list shows the newest first, which is what one compares with those before it
        asked = sorted(asked, key=lambda name: _when(workspace, name))
    match names:
        case [""]:
            return _html(pages.list_page(workspace, every(workspace)))
        case ["compare"]:
            return _compared(workspace, asked, False)
        case ["runs", name]:
            return _run(workspace, names, name, "", log)
        case ["runs", name, ("live" | "report") as what]:
            return _run(workspace, names, name, what, log)
        case ["api", "1", "runs"]:
            return _json({"runs": [described(run) for run in every(workspace)]})
        case ["api", "1", "runs", name]:
            run = find(workspace, name)
            if run is not None:
                return _json({"run": described(run), "going": going(workspace, run).data()})
        case ["api", "1", "compare"]:
            return _compared(workspace, asked, True)
    return _wrong(workspace, names, 404, "There is no such page", _known(names))


def _when(workspace: Path, name: str) -> float:
    run = find(workspace, name)
    return (run.when if run else None) or 0.0


def _run(workspace: Path, names: list[str], name: str, what: str, log: str) -> Answer:
    run = find(workspace, name)
    if run is None:
        return _wrong(workspace, names, 404, "There is no such run", _known(names))
    if what == "live" or (not what and not run.finished):
        return _html(pages.run_page(workspace, run, going(workspace, run, log), log))
    return _report(workspace, run)


def _report(workspace: Path, run: Run) -> Answer:
    """A run's report as it lies there. It has the right to its script where the user's own store made it; what came
    from elsewhere is a page like any other, and may do nothing but be read."""
    try:
        body = reading.whole(workspace, "runs", run.name, "report.html")
    except OSError:
        return _wrong(
            workspace, ["runs"], 404, "There is no report", f"runs/{run.name}/report.html is not there"
        )
    own = _own(workspace, run.name, body)
    if own is None:
        return Answer(200, HTML, body, STRANGE_REPORT)
    return Answer(200, HTML, _measured(workspace, run.name, own) or body, OWN_REPORT)


def _own(workspace: Path, run: str, body: bytes) -> Artifact | None:
    ingredients = reading.data(workspace, "runs", run, "plan.json").get("report")
    if not isinstance(ingredients, dict):
        return None
    with suppress(MirepoixError, OSError, ValueError):  # another's store, or none
        made = Store(workspace).get(digest(ingredients), verify=False)
        if made and made.manifest.files.get("report.html") == hashlib.sha256(body).hexdigest():
            return made
    return None


def _measured(workspace: Path, run: str, made: Artifact) -> bytes | None:
    """The report with what the training took of this machine, as its log says; None where it does not."""
    with suppress(OSError, ValueError):
        data = json.loads(made.file("report.json").read_bytes())
        log = reading.whole(workspace, "runs", run, "logs", "train.log") if data.get("training") else b""
        if found := measured.read(log, data.get("training")):
            return page.render(data | {"measured": found}).encode()
    return None


def _compared(workspace: Path, asked: Sequence[str], as_json: bool) -> Answer:
    try:
        found = comparison(workspace, asked)
    except UsageError as e:
        names = ["api"] if as_json else ["compare"]
        return _wrong(workspace, names, 422, "That cannot be compared", str(e))
    return _json(found) if as_json else _html(pages.compare_page(workspace, found))


def _known(names: list[str]) -> str:
    return f"{'/' + '/'.join(names)} is not among what is served here"[:300]


def _html(text: str, status: int = 200) -> Answer:
    return Answer(status, HTML, text.encode("utf-8", "replace"), pages.policy())


def _json(data: dict[str, Any], status: int = 200) -> Answer:
    whole = {"api": VERSION, **data}
    return Answer(status, JSON, json.dumps(whole, indent=1, default=str).encode() + b"\n", NOTHING)


def _wrong(workspace: Path, names: list[str], status: int, title: str, what: str) -> Answer:
    if names[:1] == ["api"]:
        return _json({"error": what}, status)
    return _html(pages.said_page(workspace, title, what), status)
