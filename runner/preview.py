"""The first records of each source, fetching no more than they need: what `recipe show R sources` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runner import fetch, sourcing
from runner.errors import StepError
from runner.fetching import Item, Unfetched
from runner.record import Record, Rejected
from runner.settings import Settings
from runner.shown import cut
from runner.steps import Fetch, Plan
from runner.store import Store

if TYPE_CHECKING:
    from runner.net.client import Client

LINE = 160


class _Preview:
    def __init__(self, plan: Plan, client: Client, settings: Settings, root: Path) -> None:
        self.plan, self.client, self.settings = plan, client, settings
        self.root = root
        self.seed = plan.loaded.recipe.seed

    def rows(self, source: str) -> Iterator[Record | Rejected]:
        details = self.plan.step(f"source.{source}").details
        one: Fetch | None = details["fetch"]
        items: Iterable[Item] = ()
        if one is not None:
            items = one.items if one.items is not None else fetch.items(one, self._net(one))
        return sourcing.rows(details["source"], details["files"], items, self.root, self.seed)

    def _net(self, one: Fetch) -> fetch.Net:
        def records(source: str) -> Iterator[Record]:
            return (row for row in self.rows(source) if isinstance(row, Record))

        return fetch.Net(one, self.client, self.settings, self.seed, records, lambda done, of, what: None)


def preview(plan: Plan, settings: Settings, count: int) -> Iterator[dict[str, Any]]:
    """For each source its first `count` records and the rows before them that are none, or why there are none."""
    from runner.net.client import Client

    # One after the other: who looks at five records should not wait for, or ask for, what comes after them.
    store = Store(plan.workspace.root)
    root = store.folder() if plan.fetches else store.root
    with Client(settings, root, ahead=1) as client:
        look = _Preview(plan, client, settings, root)
        for spec in plan.loaded.recipe.sources:
            found: dict[str, Any] = {"source": spec.name, "records": [], "rejected": [], "error": None}
            rows = look.rows(spec.name)
            try:
                for row in rows:
                    kind = "records" if isinstance(row, Record) else "rejected"
                    found[kind].append(msgspec.to_builtins(row))
                    if len(found["records"]) >= count:
                        break
            except (StepError, Unfetched) as e:
                found["error"] = str(e)
            finally:
                rows.close()  # type: ignore[attr-defined]
            yield found


def text(found: dict[str, Any]) -> str:
    """One source's preview, for people."""
    lines = [f"{found['source']}: {len(found['records'])} records"]
    for record in found["records"]:
        meta, tags = record.get("meta", {}), record.get("tags", {})
        about = ", ".join(f"{k} {v}" for k, v in tags.items() if k != "source")
        where = ", ".join(v for v in (meta.get("license"), meta.get("origin")) if v)
        lines.append(f"  {meta.get('id', '')}  {'; '.join(x for x in (about, where) if x)}".rstrip())
        for message in record["messages"]:
            lines.append(f"    {message['role']:<9} {_line(message)}")
    for row in found["rejected"][:5]:
        lines.append(f"  rejected  {row['id']}: {row['reason']}")
    if more := len(found["rejected"]) - 5:
        lines += [f"  … and {more} more rejected"] if more > 0 else []
    if found["error"]:
        lines.append(f"  error: {found['error']}")
    return "\n".join(lines) + "\n"


def _line(message: dict[str, Any]) -> str:
    calls = (f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls", ()))
    return cut(" ".join(chain((message.get("content") or "").split(), calls)), LINE)
