"""Answers that come over HTTP: from an endpoint of the user's settings, or from a vLLM that is started for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from runner import settings
from runner.errors import StepError, UsageError
from runner.evaluate import jobs, shares
from runner.making import Making
from runner.serving import replica, server
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
    store = Store(m.plan.workspace.root).root.resolve()
    job |= _common(m, store)
    jobs.here(
        m, jobs.Part("runner.jobs.ask", job), {"MIREPOIX_ASK_KEY": keys[name]} if name in keys else None
    )


def _pairs(m: Making, text: str, setting: str) -> dict[str, str]:
    out = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or not value.strip():
            # It may hold a key: what was said is not shown.
            raise m.fail(f"the setting {setting} must be NAME=…, several with commas")
        out[name.strip()] = value.strip()
    return out


def _common(m: Making, store: Path, name: str = "") -> dict[str, Any]:
    return {
        "store": str(store),
        "seed": m.plan.loaded.recipe.seed,
        "progress": str(jobs.progress_at(m, name)),
    }


def of_vllm(m: Making, weights: jobs.Weights, sets: shares.Sets, counts: list[int]) -> None:
    """Start a vLLM on the weights that the step names, have it answer, end it; where there is room for several models,
    several of them. Raises StepError.

    The base is served by itself, on its own weights: beside an adapter that was trained on four bits it would have
    these.
    """
    served, dtype = served_of(m, weights), m.step.ingredients["dtype"]
    arms = ("base", "tuned") if served.adapter else (weights,)
    job: dict[str, Any] = {"model": weights, "sets": sets, "pace": "1000", "at_once": str(AT_ONCE)}
    if served.adapter:
        job["without"] = "base"  # what is served as tuned must not say the same
    of = shares.many(m, counts, AT_ONCE)
    m.progress(0, sum(counts), "starting vLLM")
    if of == 1:
        store = Store(m.plan.workspace.root).root.resolve()
        run(m, served, arms, [replica.Asker("ask", job | _common(m, store))], dtype)
        return

    def part(share: dict[str, int], name: str) -> jobs.Part:
        mine = job | {"share": share} | _common(m, m.work, name)
        askers = [replica.Asker("ask", mine)]
        return part_of(m, replace(served, log=f"serve.{name}.log"), arms, askers, dtype, name, made)

    with _made(m, served) as made:
        shares.answered(m, sets, sum(counts), of, part)


def run(m: Making, served: Served, arms: Sequence[str], askers: list[replica.Asker], dtype: str) -> None:
    """Have askers ask a vLLM that is started for them: in a job of its own where the engine has other machines. Raises
    StepError."""
    if m.spread:
        with _made(m, served) as made:
            jobs.place(m, part_of(m, served, arms, askers, dtype, made=made))
        return
    with failures(m):
        replica.serve(
            _replica(m, served, arms, askers, dtype),
            lambda module, job: jobs.here(m, jobs.Part(f"runner.jobs.{module}", job)),
        )


def part_of(
    m: Making,
    served: Served,
    arms: Sequence[str],
    askers: list[replica.Asker],
    dtype: str,
    name: str = "",
    made: Path | None = None,
) -> jobs.Part:
    """The same, as a job."""
    what = _replica(m, served, arms, askers, dtype, name)
    if m.spread:
        what = msgspec.structs.replace(what, made=made, versions=m.step.ingredients["vllm"])
    return jobs.Part("runner.serving.replica", what.json(), name)


@contextmanager
def _made(m: Making, served: Served) -> Iterator[Path]:
    """What the servers need besides, made here once: on other machines no lock of the store's is taken."""
    with server.kept(m.plan.workspace.root, m.step.fingerprint[:16]):
        with failures(m):
            folder = server.ready(served)
        yield folder


def _replica(
    m: Making, served: Served, arms: Sequence[str], askers: list[replica.Asker], dtype: str, name: str = ""
) -> replica.Replica:
    return replica.Replica(
        served=served,
        arms=tuple(arms),
        dtype=dtype,
        gpu=m.plan.profile == "gpu",
        vllm_python=(m.settings or settings.load())["vllm_python"],
        askers=askers,
        place=m.work / f"asked{name and '.' + name}",
        log=jobs.log_of(m, name),
    )


@contextmanager
def failures(m: Making) -> Iterator[None]:
    """What a server's start raises, in the name of the step."""
    try:
        yield
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
