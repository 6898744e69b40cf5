"""The card's YAML header, with the keys and the licence names of the Hugging Face hub."""

from __future__ import annotations

import re
from typing import Any

from runner.licences import kept, terms
from runner.modelcard.facts import Facts, Form

RELATION: dict[Form, str] = {"adapter": "adapter", "merged": "finetune", "gguf": "finetune"}
LIBRARY: dict[Form, str] = {"adapter": "peft", "merged": "transformers", "gguf": "gguf"}
# Licences that the hub has a name for, which is the SPDX one in small letters but for models' own.
_NAMES = frozenset(
    "apache-2.0 mit bsd-2-clause bsd-3-clause cc0-1.0 unlicense wtfpl isc zlib postgresql ncsa "
    "cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 odbl pddl "
    "gpl-2.0 gpl-3.0 agpl-3.0 lgpl-2.1 lgpl-3.0 mpl-2.0 epl-2.0 eupl-1.1 eupl-1.2 artistic-2.0 bsl-1.0 "
    "openrail bigscience-openrail-m llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma deepfloyd-if-license".split()
)
_LLAMA = re.compile(r"^llama[ -]?(\d(?:\.\d)?)(?: community)?(?: licen[sc]e(?: agreement)?)?$")


def hub_licence(said: str) -> str | None:
    """The hub's name of a licence, or None where it has none: `Apache-2.0` → `apache-2.0`."""
    name = " ".join(said.lower().split())
    if found := _LLAMA.match(name):
        name = f"llama{found[1]}"
    name = re.sub(r"-(only|or-later)$", "", name.replace(" ", "-"))
    return name if name in _NAMES else None


def header(facts: Facts, form: Form) -> dict[str, Any]:
    """The header as data. Keys whose value is not known are left out."""
    out: dict[str, Any] = {}
    if facts.base.hub:
        out |= {"base_model": facts.base.hub, "base_model_relation": RELATION[form]}
    out |= _licence(facts)
    if facts.languages:
        out["language"] = list(facts.languages)
    out |= {"library_name": LIBRARY[form], "pipeline_tag": "text-generation"}
    kind = [] if facts.full else [str(facts.adapter["type"])]
    out["tags"] = ["mirepoix", "axolotl", *kind, "conversational", *(["tool-calling"] if facts.tools else [])]
    if facts.datasets:
        out["datasets"] = list(facts.datasets)
    if results := _results(facts):
        out["model-index"] = [{"name": facts.name, "results": results}]
    # A key of ours, which a hub leaves as it is: what the model came of, to the byte.
    ours = {"recipe": f"sha256:{facts.recipe_sha256}", "training": f"sha256:{facts.step}"}
    ours |= {"base_revision": facts.base.revision} if facts.base.revision else {}
    return out | {"mirepoix": ours | ({"datasets": facts.revisions} if facts.revisions else {})}


def _licence(facts: Facts) -> dict[str, str]:
    """The base model's licence, where the data asks nothing of its own; else that there are several."""
    if not facts.base.license:
        return {}
    data = {right.licence: [right.source] for right in facts.rights}
    if "" in data or terms(data) or any(map(kept, data)):
        return {"license": "other", "license_name": "several-see-licences"}
    if known := hub_licence(facts.base.license):
        return {"license": known}
    name = re.sub(r"[^a-z0-9.]+", "-", facts.base.license.lower()).strip("-.")[:60]
    return {"license": "other"} | ({"license_name": name} if name else {})


def _interval(cell: dict[str, Any]) -> dict[str, Any]:
    """What a number is worth, as the metric's `args`, which the hub's library keeps as they are."""
    low, high = cell.get("low"), cell.get("high")
    args = {} if low is None or high is None else {"interval_95": [round(low, 6), round(high, 6)]}
    args |= {"prompts": cell["n"]} if cell.get("n") else {}
    args |= {"missing": cell["missing"]} if cell.get("missing") else {}
    return {"args": args} if args else {}


def _results(facts: Facts) -> list[dict[str, Any]]:
    out = []
    for suite in facts.suites:
        metrics = [
            {
                "type": m["metric"].partition(".")[2],
                "name": m["metric"],
                "value": round(m["tuned"]["value"], 6),
                **_interval(m["tuned"]),
            }
            for m in suite["metrics"]
            if m["tuned"]["value"] is not None
        ]
        if metrics:
            about = {"name": suite["name"], "type": suite["name"]}
            out.append({"task": {"type": "text-generation"}, "dataset": about, "metrics": metrics})
    return out
