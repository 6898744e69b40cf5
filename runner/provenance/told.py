"""The chain behind a thing of a run, for people: a line a step, what it read below it, and what is not as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from runner import shown
from runner.store import digest

LISTED = 8  # files or packages of one step
_LONG = 100
_MADE = ("data/train.jsonl", "data/validation.jsonl", "adapter/adapter_model.safetensors")
_NOT_OPTIONS = frozenset(
    ("at", "common", "files", "inputs", "name", "plugin_version", "probes", "rows", "seed", "sources")
)


def text(found: dict[str, Any]) -> str:
    """What `recipe show why` prints; not yet safe for a terminal."""
    lines = [*_thing(found["kind"], found["found"]), ""]
    width = max((len(one["step"]) for one in found["chain"]), default=0)
    told: set[str] = set()
    for one in found["chain"]:
        known = _definition(one)
        what = "nothing says any more how it was made" if known is None else _about(known)
        here = "" if one["statement"] else "  (its artifact is gone)"
        lines.append(f"{one['step']:<{width}}  {one['fingerprint'][:12]}  {what}{here}")
        if known is not None:
            lines += [" " * (width + 16) + line for line in _read(one, known, told)]
    if not found["chain"]:
        lines.append("nothing says which steps made it")
    lines += [f"note: {doubt}" for doubt in found["doubts"]]
    if found["gone"]:
        lines.append(
            f"gone from the store: {', '.join(found['gone'])}; what is said of them is what the run remembers"
        )
    return "\n".join(lines)


def _thing(kind: str, it: Mapping[str, Any]) -> Iterator[str]:
    if kind == "number":
        within = f" ({s})" if (s := shown.spread(dict(it), it["unit"])) else ""
        yield f"{it['metric']} of {it['arm']}: {shown.measure(it['value'], it['unit'])}{within}, n {it.get('n')}"
        if suite := it["suite"].get("sha256"):
            yield f"  {it['suite']['file']}  sha256 {suite}"
    elif kind == "answer":
        for one in it["answers"]:
            said = one["raw"] if not one.get("failed") else f"no answer: {one['failed']}"
            yield f"{it['id']} answered by {it['arm']} (suite {one['suite']}): {shown.one_line(said, _LONG)}"
    elif kind == "row":
        row, raw = it["row"], it["raw"]
        why = f" by {row['by']}: {row['reason']}" if row.get("by") else ""
        yield f"{row['id']}: {row['fate']}{why}"
        url = f"  {raw['url']}" if raw.get("url", raw["name"]) != raw["name"] else ""
        yield f"  read from {raw['name']}{url}" + (f"  sha256 {raw['sha256']}" if "sha256" in raw else "")
        yield from (f"  {key}: {row[key]}" for key in ("license", "attribution", "edits") if row.get(key))
    else:
        for name, sha in it["files"].items():
            yield f"{name}" + (f"  sha256 {sha['sha256']}" if "sha256" in sha else "")


def _definition(one: Mapping[str, Any]) -> dict[str, Any] | None:
    said = one["statement"]
    return said["predicate"]["buildDefinition"] if said else one["known"]  # type: ignore[no-any-return]


def _about(known: Mapping[str, Any]) -> str:
    """The kind of step with its version, and the options that decide most."""
    kind, _, version = known["buildType"].removeprefix("mirepoix:step/").partition("/")
    options = known["externalParameters"]
    said = f"{kind} {version}"
    if "plugin_version" in options:
        beside = _NOT_OPTIONS - ({"files"} if kind == "source" else set())  # a source is named so
        own = [k for k in options if k not in beside and isinstance(options[k], (dict, type(None)))]
        return f"{said}, {' '.join(own)} {options['plugin_version']}"
    parts = []
    if kind == "generate":
        how = options.get("decoding")
        drawn = _options(how) if isinstance(how, dict) and how.get("temperature") else "greedy"
        parts = [f"{options.get('engine')}", drawn, f"at most {options.get('max_new_tokens')} tokens"]
    elif "config" in options:
        parts = [f"config {digest(options['config'])[:12]}"]
    elif kind not in ("report", "verdict"):
        parts = [_options(options.get(kind, options))]
    if isinstance(options.get("template"), str):
        parts.append(f"template {options['template'][:12]}")
    model = options.get("model")
    if isinstance(model, dict) and isinstance(model.get("base"), str):
        parts.append(f"model {model['base']}")
    return ", ".join([said, *filter(None, parts)])


def _options(options: Any) -> str:
    """Those that are set, on one line."""
    if isinstance(options, dict):
        options = {
            k: v
            for k, v in options.items()
            if k not in ("model", "template", *_NOT_OPTIONS) and v not in (None, [], {})
        }
    if options in (None, {}):
        return ""
    said = json.dumps(options, ensure_ascii=False, sort_keys=True).replace('"', "").strip("{}")
    return shown.one_line(said, _LONG)


def _read(one: Mapping[str, Any], known: Mapping[str, Any], told: set[str]) -> Iterator[str]:
    """What people ask for of a step's files, what it read from outside, and packages that no step above has named."""
    for made in one["statement"]["subject"] if one["statement"] else ():
        if made["name"] in _MADE:
            yield f"made {made['name']}  sha256 {made['digest']['sha256']}"
    files, packages = [], []
    for d in known.get("resolvedDependencies", []):
        digests = d.get("digest") or {}
        if d.get("uri", "").startswith("mirepoix:") or d["name"] == "fetched":
            continue
        if digests:
            ((by, value),) = digests.items()
            files.append(f"{d['name']}  {by} {value}" + (f"  {d['uri']}" if "uri" in d else ""))
        elif d["uri"] not in told:
            told.add(d["uri"])
            packages.append(d["uri"].removeprefix("pkg:pypi/").replace("@", " ").replace("%2B", "+"))
    yield from files[:LISTED]
    if len(files) > LISTED:
        yield f"and {len(files) - LISTED:,} files more"
    if packages:
        yield f"with {', '.join(packages)}"
    if "fetched" in one:
        yield from _fetched(one["fetched"])


def _fetched(items: Mapping[str, Any] | None) -> Iterator[str]:
    if items is None:
        yield "what it fetched is not in the run's lock (any more)"
        return
    for item in items["listed"][:LISTED]:
        had = f"sha256 {item['sha256']}" if "sha256" in item else f"not to be had: {item.get('error')}"
        yield f"{item.get('url') or item['key']}  {had}"
    if items["items"] > LISTED:
        yield f"and {items['items'] - LISTED:,} fetched items more (recipe.lock has all)"
