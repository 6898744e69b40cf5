"""What is asked for of a run: a file, a number of its report, an answer, or a row of its data; and what made that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from runner import ledger
from runner.errors import UsageError
from runner.hashes import text_hash
from runner.metrics import TUNED
from runner.provenance.chain import Follow, Link, item_said, items_of, link, of_number, of_source, of_training
from runner.provenance.left import Counted, Left
from runner.record import Answer, Fate, Record
from runner.rows import Table, load
from runner.runfolder import LAID
from runner.store import file_digest
from runner.suite import Suite
from runner.wording import nearest

KNOWN = 100_000  # rows that a wrong name is compared with
HOW = "ask for a metric or METRIC:ARM, a probe's id or ID:ARM, a row's id, or a file of the run"


@dataclass(frozen=True)
class Thing:
    """`found` says what it is; `starts` are the steps that made it, by name and fingerprint."""

    kind: str
    found: dict[str, Any]
    starts: list[tuple[str, str]]
    follow: Follow = lambda one, name: True
    doubts: list[str] = field(default_factory=list)


def asked(left: Left, what: str) -> Thing:
    """What `what` means: the first of a file, a number, an answer, a row. Raises UsageError, with what is like it."""
    whole, (head, _, arm) = (what, ""), what.rpartition(":")
    for name, of in (whole, (head, arm)) if head else (whole,):
        thing = (
            _file(left, what) or _number(left, name, of) or _answer(left, name, of) or _row(left, name, of)
        )
        if thing is not None:
            return thing
    known = [*_metrics(left), *_files(left), *_probes(left), *islice(_rows(left), KNOWN)]
    what_is_like_it = nearest(what, known) or nearest(head, known) if head else nearest(what, known)
    raise UsageError(f"nothing called {what[:200]!r} in the run {left.name!r}{what_is_like_it}; {HOW}")


def _made(left: Left, step: str) -> list[tuple[str, str]]:
    return [(step, left.prints[step])] if step in left.prints else []


# A file of the run's folder


def step_of(name: str) -> tuple[str, str] | None:
    """The step that made a file of `runs/NAME/`, and the file's name in its artifact."""
    if name in LAID:
        return LAID[name]
    first, _, rest = name.partition("/")
    if first == "answers" and rest.count("/") == 1 and rest.endswith(".jsonl"):
        arm, suite = rest.removesuffix(".jsonl").split("/")
        return f"answers.{arm}.{suite}", "answers.jsonl"
    if first == "rejected" and rest.endswith(".jsonl"):
        source = rest.removesuffix(".jsonl")
        return ("filter" if source == "_filters" else f"source.{source}"), "rejected.jsonl"
    if first in ("adapter", "model") and rest == "README.md":
        return "report", "model-card.md"
    return ("train", name.rstrip("/")) if first in ("adapter", "model") else None


def _files(left: Left) -> list[str]:
    found = (p.relative_to(left.folder).as_posix() for p in left.folder.rglob("*") if p.is_file())
    return sorted(name for name in found if step_of(name))


def _file(left: Left, what: str) -> Thing | None:
    name = what.removeprefix(f"runs/{left.name}/")
    made = None if {"..", "."} & set(name.split("/")) or name.startswith("/") else step_of(name)
    path = left.folder / name
    if made is None:
        if name == "data/README.md" and path.is_file():
            what = "the run itself writes it, no step does: data-card.md, under a header that hubs read; ask for that"
            raise UsageError(f"{name}: {what}")
        if name and "/" not in name and path.is_file():
            what = (
                "the run itself writes it, no step does; it is made of what was asked for and of nothing else"
            )
            raise UsageError(f"{name}: {what} (files of steps: {', '.join(_files(left)[:10])})")
        return None
    step, inside = made
    starts = _made(left, step)
    # Not what the run was planned with last, where that is another training: what the adapter itself says.
    if step == "train" and (own := of_training(path if path.is_dir() else path.parent)):
        starts = [("train", own)]
    if not path.exists() and not starts:
        return None
    if not starts:
        raise UsageError(f"{name}: nothing says what {step} was made of; run it again")
    artifact = link(left, *starts[0]).artifact
    files = artifact.manifest.files if artifact else {}
    wanted = (
        sorted(p.relative_to(left.folder).as_posix() for p in path.rglob("*") if p.is_file())
        if path.is_dir()
        else [name]
    )
    found, doubts = {}, []
    for one in wanted:
        at = step_of(one)
        now = file_digest(left.folder / one) if (left.folder / one).is_file() else None
        was = files.get(at[1] if path.is_dir() and at else inside) if at and at[0] == step else None
        found[one] = {k: v for k, v in (("sha256", now), ("made", was)) if v}
        if now is None:
            doubts.append(f"{one} is not in runs/{left.name} (any more)")
        elif was and now != was:
            doubts.append(
                f"{one} is not what {step} made: it was changed, or the run was stopped before its end"
            )
    return Thing("file", {"files": found, "step": step}, starts, doubts=doubts)


# A number of the report


def _metrics(left: Left) -> dict[str, tuple[str, Counted]]:
    """Metric → its suite and all that is said of it."""
    return {m.metric: (suite.name, m) for suite in left.report.suites for m in suite.metrics}


def _number(left: Left, name: str, arm: str) -> Thing | None:
    suite, row = _metrics(left).get(name, ("", None))
    if row is None or not row.arms:
        return None
    arm = _arm(left, arm, list(row.arms))
    made, targets = left.steps.get("report", {}), []
    known = {s.common.name: s for s in _suites(made)}
    if suite in known:
        targets = [_counted(known[suite], name, arm)]
    found = {
        "value": None,
        **row.arms[arm],
        "metric": name,
        "arm": arm,
        "unit": row.unit,
        "better": row.better,
    }
    found["suite"] = {"name": suite, **_suite_file(left, suite)}
    return Thing("number", found, _made(left, "report"), of_number(targets, arm))


def _suites(report: dict[str, Any]) -> list[Suite]:
    try:
        return msgspec.convert(report.get("suites", []), list[Suite])
    except msgspec.ValidationError:
        return []  # of an earlier version


def _counted(suite: Suite, metric: str, arm: str) -> str:
    """The step that counted a metric."""
    common = suite.common
    if any(
        metric.startswith(suite.task_metric(t, "")) for t in (common.lm_eval.tasks if common.lm_eval else ())
    ):
        return f"lm-eval.{arm}"
    if any(metric == suite.loss_metric(g) for g in (common.perplexity.texts if common.perplexity else ())):
        return f"perplexity.{arm}"
    return f"judge.{common.name}"


def _suite_file(left: Left, suite: str) -> dict[str, str]:
    """The suite's own file as the run's lock has it."""
    name = f"evals/suites/{suite}.yaml"
    for part in left.lock.stages.values() if left.lock else ():
        if name in part.files:
            return {"file": name, "sha256": part.files[name]}
    return {}


def _arm(left: Left, arm: str, arms: Sequence[str]) -> str:
    if arm and arm not in arms:
        raise UsageError(f"the run {left.name!r} has no arm {arm!r} there{nearest(arm, arms)}")
    return arm or (TUNED if TUNED in arms else arms[-1])


# An answer


def _answers(left: Left) -> Iterator[tuple[str, str, Path]]:
    for path in sorted(left.folder.glob("answers/*/*.jsonl")):
        yield path.parent.name, path.stem, path


def _lines(path: Path) -> Iterator[Answer]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield msgspec.json.decode(line, type=Answer)
            except msgspec.DecodeError:
                raise UsageError(f"{path} is damaged; run it again") from None


def _probes(left: Left) -> set[str]:
    return {a.id for _, _, path in _answers(left) for a in _lines(path)}


def _answer(left: Left, name: str, arm: str) -> Thing | None:
    found: dict[str, list[dict[str, Any]]] = {}
    for who, suite, path in _answers(left):
        for answer in _lines(path):
            if answer.id == name:
                found.setdefault(who, []).append({"suite": suite, **msgspec.to_builtins(answer)})
    if not found:
        return None
    arm = _arm(left, arm, list(found))
    starts, doubts = [], []
    for suite in dict.fromkeys(one["suite"] for one in found[arm]):
        step = f"answers.{arm}.{suite}"
        starts += _made(left, step)
        file = _file(left, f"answers/{arm}/{suite}.jsonl")
        doubts += file.doubts if file else []
    return Thing("answer", {"id": name, "arm": arm, "answers": found[arm]}, starts, doubts=doubts)


# A row


def _rows(left: Left) -> Iterator[str]:
    path = left.folder / "ledger.parquet"
    return (fate.id for fate in ledger.each(path)) if path.is_file() else iter(())


def _row(left: Left, name: str, arm: str) -> Thing | None:
    path = left.folder / "ledger.parquet"
    if arm or not path.is_file():
        return None
    fate = _fate(path, [name, name.rpartition("#")[0]])  # a part of a record that was cut has its number
    if fate is None:
        return None
    source, starts = f"source.{fate.source}", _made(left, "split")
    doubts = ledger_of.doubts if (ledger_of := _file(left, "ledger.parquet")) else []
    ends = [link(left, step, p) for step, p in _made(left, source)]
    found = {"row": msgspec.to_builtins(fate)} | ({"part": name} if name != fate.id else {})
    found["raw"] = _raw(left, fate, ends[0]) if ends else {"name": fate.origin}
    return Thing("row", found, starts, of_source(fate.source), list(doubts))


def _fate(path: Path, ids: Iterable[str]) -> Fate | None:
    import pyarrow.parquet as pq

    try:
        for id in filter(None, ids):
            if rows := pq.read_table(path, filters=[("id", "=", id)]).to_pylist():
                return msgspec.convert(rows[0], Fate)
    except (ValueError, msgspec.ValidationError):  # Arrow's errors are ValueErrors
        raise UsageError(f"{path} is damaged; run it again") from None
    return None


def _raw(left: Left, fate: Fate, source: Link) -> dict[str, str]:
    """The raw bytes that a row was read from: a file, or what was fetched."""
    meta = _record(left, fate, source).meta
    origin, sha256 = meta.get("origin", fate.origin), meta.get("sha256", "")
    place = ledger.place(origin)
    for item in items_of(source, left) or ():
        if (sha256 and item.sha256 == sha256) or fate.origin in (item.key, item.meta.get("origin")):
            return {"name": origin, **item_said(item)}
    if not sha256:
        sha256 = next((d.digest.get("sha256", "") for d in source.inputs if d.name == place), "")
    return {k: v for k, v in {"name": origin, "sha256": sha256}.items() if v}


def _record(left: Left, fate: Fate, source: Link) -> Record:
    """The row as its source wrote it; an empty one where it never became a record, or is gone."""
    import numpy as np

    if source.artifact is not None:
        table = Table(source.artifact.file("records.jsonl"), source.artifact.file("lines.npy"))
        ids = load(source.artifact.file("ids.npy"))
        for n in np.flatnonzero(ids == np.uint64(text_hash(fate.id)))[:1].tolist():
            return msgspec.json.decode(table.one(n), type=Record)
    file = {"trained": "train", "validation": "validation"}.get(fate.fate)
    path, wanted = left.folder / "data" / f"{file}.jsonl", fate.id.encode()
    with path.open("rb") if path.is_file() else _nothing() as lines:
        for line in lines:
            if (
                wanted in line
                and (record := msgspec.json.decode(line, type=Record)).id.partition("#")[0] == fate.id
            ):
                return record
    return Record([])


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext(())
