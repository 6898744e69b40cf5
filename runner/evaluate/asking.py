"""Answers that come over HTTP: from an endpoint of the user's settings, or from a vLLM that is started for it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from runner import settings
from runner.errors import StepError, UsageError
from runner.evaluate import jobs
from runner.making import Making
from runner.serving import engines, server
from runner.serving.found import Served
from runner.store import Store
from runner.wording import nearest

AT_ONCE = 64
"""Answers that are asked of our own vLLM at once: it makes its own batches."""


def of_endpoint(m: Making, name: str, model: str, sets: list[dict[str, Any]], total: int) -> None:
    """Have an endpoint of the user's settings answer. Raises StepError."""
    own = m.settings or settings.load()
    urls, keys = _pairs(m, own["endpoints"], "endpoints"), _pairs(m, own["endpoint_keys"], "endpoint_keys")
    if name not in urls:
        what = f"the recipe names the endpoint {name!r}; say where it is: setting endpoints, as {name}=URL"
        raise m.fail(what + nearest(name, urls))
    m.progress(0, total, "answers")
    job = {"url": urls[name].rstrip("/"), "model": model, "engine": f"endpoint {name}: {model}", "sets": sets}
    job |= {key: own[key] for key in ("pace", "at_once", "proxy", "contact")}
    jobs.run(m, "ask", job | _common(m), {"MIREPOIX_ASK_KEY": keys[name]} if name in keys else None)


def _pairs(m: Making, text: str, setting: str) -> dict[str, str]:
    out = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise m.fail(
                f"the setting {setting} must be NAME=…, several with commas"
            )  # it may hold a key: not shown
        out[name.strip()] = value.strip()
    return out


def _common(m: Making) -> dict[str, Any]:
    return {
        "store": str(Store(m.plan.workspace.root).root.resolve()),
        "seed": m.plan.loaded.recipe.seed,
        "progress": str(m.work / "progress.jsonl"),
    }


def of_vllm(m: Making, weights: jobs.Weights, sets: list[dict[str, Any]], total: int) -> None:
    """Start a vLLM on the weights that the step names, have it answer, end it. Raises StepError.

    The base is served by itself, on its own weights: beside an adapter that was trained on four bits it would have
    these.
    """
    own = m.settings or settings.load()
    served = served_of(m, weights)
    arms = ("base", "tuned") if served.adapter else (weights,)
    m.progress(0, total, "starting vLLM")
    try:
        engine = engines.choose("vllm", m.plan.profile == "gpu", own["vllm_python"])
        with server.serving(served, engine, arms=arms) as running:
            template = server.ready(served) / "chat_template.jinja"
            job = {"url": running.url, "model": weights, "engine": engine.why, "sets": sets}
            job["template_sha256"] = hashlib.sha256(template.read_bytes()).hexdigest()
            if served.adapter:
                job["without"] = "base"  # what is served as tuned must not say the same
            jobs.run(m, "ask", job | {"pace": "1000", "at_once": str(AT_ONCE)} | _common(m))
    except UsageError as e:
        raise m.fail(str(e)) from None
    except StepError as e:
        raise StepError(m.step.name, e.message, e.log) from None


def served_of(m: Making, weights: jobs.Weights) -> Served:
    """The step's model as a server wants to know it."""
    recipe = m.plan.loaded.recipe
    assert recipe.model is not None
    job = jobs.model_of(m, weights)
    whole = weights == "tuned" and recipe.adapter.folder == "model"
    four_bits = {key: job[key] for key in ("nf4", "quant_type", "double_quant")}
    return Served(
        name=recipe.name,
        folder=m.plan.workspace.root.resolve() / "runs" / recipe.name,
        base=recipe.model,
        model=str(job["model"]),
        adapter=Path(job["adapter"]) if job["adapter"] else None,
        whole=Path(job["model"]) if whole else None,
        template=Path(job["template"]) if "template" in job else None,
        four_bits=four_bits if job["adapter"] and job["nf4"] else {},
        system=None,
        sources={},
        step=m.step.fingerprint,
    )
