"""Stage evaluate: base and tuned model meet the same held-out prompts; judges score what they said.

Answers are artifacts of their own, so a changed judge never makes a model speak again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from runner import basemodel, metrics, passages, process
from runner.making import Maker, Making, read_rows, write_json, write_rows
from runner.plan import task_files
from runner.record import Answer, Message, Metric, Probe, Record, Score
from runner.registry import JudgeContext, plugins
from runner.steps import ARMS
from runner.suite import LmEval, Suite

BATCH = 64


def _job(m: Making, module: str, job: dict[str, Any], of: int = 0) -> None:
    """Run one of runner/jobs/ on a job file of its own; its progress file feeds ours."""
    progress = m.work / "progress.jsonl"
    progress.unlink(missing_ok=True)
    path = m.work / "job.json"
    model, adapter = m.plan.loaded.recipe.model, m.plan.loaded.recipe.adapter
    assert model is not None
    job |= {
        "arm": m.step.details["arm"],
        "model": str(_absolute(m, basemodel.model_at(m))),
        "revision": model.revision,
        "end_of_turn": model.end_of_turn,
        "adapter": None,
        "nf4": adapter.type == "qlora",
        "quant_type": adapter.quant_type,
        "double_quant": adapter.double_quant,
        "seed": m.plan.loaded.recipe.seed,
    }
    if "train" in m.inputs:
        trained = m.inputs["train"]
        job |= (
            {"model": str(trained.file("model")), "revision": None}
            if adapter.folder == "model"
            else {"adapter": str(trained.file("adapter"))}
        )
    if m.plan.template is not None:
        template = m.work / "template.jinja"
        template.write_text(m.plan.template, encoding="utf-8")
        job["template"] = str(template)
    write_json(path, job)

    def watch() -> None:
        if progress.exists():
            lines = progress.read_bytes().splitlines()
            if lines:
                last = json.loads(lines[-1])
                m.progress(last["done"], last["of"], "answers")

    m.progress(0, of, "loading the model")
    try:
        argv = [sys.executable, "-m", f"runner.jobs.{module}", str(path)]
        process.run(argv, log=m.log, cwd=m.plan.workspace.root, watch=watch)
    except process.Failed as e:
        raise m.fail(str(e), log=True) from None


def _absolute(m: Making, model: str) -> str | Path:
    folder = m.plan.workspace.root / model
    return folder.resolve() if folder.is_dir() else model


# -- answers --------------------------------------------------------------------------------------


def _probes(path: Path, limit: int | None) -> list[Probe]:
    return list(read_rows(path, Probe))[:limit]


def _asked(probe: Probe, system: str | None) -> Probe:
    if system is None or probe.messages[0].role == "system":
        return probe
    return msgspec.structs.replace(probe, messages=[Message("system", system), *probe.messages])


def generate(m: Making) -> None:
    """One arm's answers to the probes of every suite, one file a suite."""
    system = m.plan.loaded.recipe.evaluate.system
    sets, total = [], 0
    for suite in m.plan.loaded.suites:
        common = suite.common
        if suite.judge is None:
            continue
        (file,) = m.step.details["files"][common.name]
        asked = [_asked(p, system) for p in _probes(file.path, common.limit)]
        total += write_rows(m.work / f"{common.name}.probes.jsonl", asked)
        sets.append(
            {
                "probes": str(m.work / f"{common.name}.probes.jsonl"),
                "out": str(m.work / "answers" / f"{common.name}.jsonl"),
                "max_new_tokens": common.max_new_tokens,
            }
        )
    job = {"sets": sets, "batch": BATCH, "progress": str(m.work / "progress.jsonl")}
    _job(m, "generate", job, total)
    for file in sorted((m.work / "answers").iterdir()):
        if file.suffix in (".json", ".jsonl"):
            file.rename(m.out / file.name)


# -- judges ---------------------------------------------------------------------------------------


def judge(m: Making) -> None:
    """One suite's judge on the answers of both arms."""
    suite: Suite = m.step.details["suite"]
    assert suite.judge is not None
    plugin = plugins("judge")[suite.judge.plugin]
    (file,) = m.step.details["probes"]
    probes = _probes(file.path, suite.common.limit)
    answers = [
        answer
        for arm in ARMS
        for answer in read_rows(m.inputs[f"answers.{arm}"].file(f"{suite.common.name}.jsonl"), Answer)
    ]
    recipe = m.plan.loaded.recipe
    context = JudgeContext(
        tuple(probes),
        tuple(answers),
        m.step.details["files"],
        recipe.seed,
        system=recipe.evaluate.system,
        records=_trained(m) if "split" in plugin.reads else None,
        ask=m.ask if plugin.asks(suite.judge.options) else None,
    )
    m.progress(0, 0, "judging")
    verdict = plugin.call(context, **plugin.bind(suite.judge.options))
    write_rows(m.out / "scores.jsonl", verdict.scores)
    rows = [
        metrics.compare(f"{suite.metric_name}.{name}", how.unit, how.better, verdict.scores, name)
        for name in dict.fromkeys(s.metric for s in verdict.scores)
        for how in [verdict.metrics.get(name, Metric())]
    ]
    said = {arm: {a.id: a for a in answers if a.arm == arm} for arm in ARMS}
    scores: dict[str, dict[str, dict[str, Score]]] = {}
    for s in verdict.scores:
        scores.setdefault(s.id, {}).setdefault(s.metric, {})[s.arm] = s
    samples = [_sample(p, said, scores.get(p.id, {})) for p in probes]
    whole = {
        "name": suite.common.name,
        "description": suite.common.description,
        "metrics": rows,
        "facts": verdict.facts,
        "samples": samples,
    }
    write_json(m.out / "suite.json", whole)


def _trained(m: Making) -> Callable[[], Iterator[Record]] | None:
    """Goes through the records that this run trains on; None where it has none."""
    if "split" not in m.inputs:
        return None
    path = m.inputs["split"].file("data") / "train.jsonl"
    return lambda: read_rows(path, Record)


def _sample(
    probe: Probe, said: dict[str, dict[str, Answer]], scores: dict[str, dict[str, Score]]
) -> dict[str, Any]:
    return {
        "id": probe.id,
        "prompt": [msgspec.to_builtins(x) for x in probe.messages],
        "answers": {arm: said[arm][probe.id].raw for arm in ARMS if probe.id in said[arm]},
        "scores": {m: {arm: s.value for arm, s in arms.items()} for m, arms in scores.items()},
        "reasons": {m: {arm: s.reason for arm, s in arms.items() if s.reason} for m, arms in scores.items()},
    }


# -- lm-eval --------------------------------------------------------------------------------------


def lm_eval(m: Making) -> None:
    """One arm on the lm-eval tasks of all suites, through lm-eval's own code."""
    tasks: dict[str, LmEval] = m.step.details["tasks"]
    folder = m.work / "tasks"
    for task in tasks:  # side by side, wherever the workspace or the package keeps them
        for file in task_files(task, m.plan.workspace):
            target = folder / Path(file.name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.path.read_bytes())
    for options in {(o.limit, o.fewshot) for o in tasks.values()}:
        limit, fewshot = options
        names = [t for t, o in tasks.items() if (o.limit, o.fewshot) == options]
        out = m.out / f"limit-{limit or 'none'}-fewshot-{fewshot}"
        job = {"tasks": names, "task_folder": str(folder), "out": str(out), "limit": limit,
               "fewshot": fewshot, "batch": BATCH}  # fmt: skip
        _job(m, "lm_eval", job)


# -- perplexity -----------------------------------------------------------------------------------


def perplexity(m: Making) -> None:
    """One arm's mean loss on passages of held-out texts."""
    from runner.booktext import Unusable, decode, strip_gutenberg  # its patterns take a while

    files: dict[str, Any] = m.step.details["files"]
    rows = []
    for suite in m.plan.loaded.suites:
        wanted = suite.common.perplexity
        if wanted is None:
            continue
        for group in wanted.texts:
            for file in files[f"{suite.common.name}/{group}"]:
                try:
                    body = strip_gutenberg(decode(file.path.read_bytes())[0])
                except Unusable as e:
                    raise m.fail(f"{file.name}: {e}") from None
                found = passages.cut(body, words=wanted.words)
                step = max(1, len(found) // wanted.passages)
                rows += [
                    {"id": f"{suite.common.name}/{group}/{file.name}/{n}", "text": found[n]}
                    for n in range(0, len(found), step)
                ][: wanted.passages]
    write_rows(m.work / "texts.jsonl", rows)
    job = {
        "kind": "perplexity",
        "texts": str(m.work / "texts.jsonl"),
        "out": str(m.work / "losses" / "losses.jsonl"),
        "progress": str(m.work / "progress.jsonl"),
    }
    _job(m, "generate", job, len(rows))
    for file in sorted((m.work / "losses").iterdir()):
        if file.suffix in (".json", ".jsonl"):
            file.rename(m.out / file.name)


MAKERS: dict[str, Maker] = {
    "generate": generate,
    "judge": judge,
    "lm_eval": lm_eval,
    "perplexity": perplexity,
}
