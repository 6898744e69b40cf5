"""Run lm-eval on local tasks: `python -m runner.jobs.lm_eval JOB.json`, through its Python API.

Written are `results.json` (per task and metric: value, stderr, n, and what arms are paired by: every
document's value by its number, or the metric's value on drawn documents) and `samples.jsonl`. Both arms go
through the same back end with the chat template on. On Transformers the tuned arm is proved and merged as in
`generate`, and the numbers are those of `lm_eval --model hf --apply_chat_template` with
`dtype=float32,softmax_dtype=float32`, to the last digit. Where a `server` is named, it is asked instead, through
lm-eval's own model for such: see `lm_served`.
"""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import msgspec
import msgspec.yaml
from msgspec import Meta, Struct

from runner import lean
from runner.errors import StepError
from runner.jobs import lm_served
from runner.jobs.job import Job, alike, command
from runner.jobs.lm_draws import drawn
from runner.jobs.lm_served import ServedProof, Server
from runner.jobs.lm_tasks import read_task, registered_task, sandbox
from runner.jobs.loading import AdapterProof, load, tokenizer_of

OWN = "own"


class LmEvalJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tasks` are names of YAML files in `task_folder`; results go to the folder `out`. With `multiturn` each of the
    `fewshot` solved examples is a turn of its own. Those in `registered` are lm-eval's own, with the folder of their
    data (`task_rows`).

    In bfloat16 a log-probability has steps of 0.06 and more, so that choices tie and the first
    wins: the default is float32.
    """

    dtype: Literal["bfloat16", "float32"] = "float32"

    arm: str
    tasks: Annotated[list[str], Meta(min_length=1)]
    task_folder: str
    registered: dict[str, str] = msgspec.field(default_factory=dict)
    out: str
    batch: Annotated[int, Meta(ge=1)] = 16
    limit: Annotated[int, Meta(ge=1)] | None = None
    fewshot: Annotated[int, Meta(ge=0)] | None = None
    multiturn: bool = True
    server: Server | None = None


class Result(Struct, frozen=True):
    """One metric of one task, as lm-eval gives it. `better` is the task file's word, or lm-eval's own of the metric.

    Of a mean over documents, `samples` maps a document's number to its value. Of anything else it is empty, and `draws`
    are the metric's values on drawn documents (see `lm_draws`): those of two arms belong together where `documents` is
    the same. `marks` are digests of what was kept of each document, by which it is seen where arms differ at all.
    """

    task: str
    metric: str
    value: float | None
    stderr: float | None
    n: int
    samples: dict[str, float]
    better: Literal["higher", "lower"] | None = None
    aggregation: str = "mean"
    draws: list[float | None] = []
    documents: str = ""
    marks: dict[str, str] = {}


class Results(Struct, frozen=True):
    """`engine` says what computed the numbers; `served` is there where a server of the merged model did."""

    arm: str
    adapter_proof: AdapterProof | None
    template_sha256: str
    lm_eval: str
    engine: str
    served: ServedProof | None
    results: list[Result]


def evaluate(job: LmEvalJob) -> None:
    """Run the job and write its two files. Raises StepError."""
    alike(job)
    import lm_eval
    from lm_eval.tasks import TaskManager

    sandbox()
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="lm-eval-") as scratch:
        for name in job.tasks:  # lm-eval 0.4.11 logs the file of each task and dies where none is
            if name in job.registered:
                task = registered_task(name, Path(job.registered[name]), scratch)
            else:
                task = read_task(Path(job.task_folder), name, scratch)
            Path(scratch, f"{name}.yaml").write_bytes(msgspec.yaml.encode(task))
        (empty := Path(scratch, "empty")).mkdir()
        # Its progress bars cannot be turned off otherwise.
        # What a task's file includes is looked for in the current folder first: nothing of the workspace is meant.
        with _told(job.tasks), _asked(job) as asked, redirect_stderr(StringIO()), chdir(empty):
            raw = lm_eval.simple_evaluate(
                model=asked.model,
                tasks=job.tasks,
                task_manager=TaskManager(include_path=scratch, include_defaults=False),
                num_fewshot=job.fewshot,
                limit=job.limit,
                apply_chat_template=True,
                fewshot_as_multiturn=job.multiturn,
                random_seed=job.seed,
                numpy_random_seed=job.seed,
                torch_random_seed=job.seed,
                fewshot_random_seed=job.seed,
            )
    found = [r for name in job.tasks for r in results_of(name, raw)]
    with open(out / "samples.jsonl", "w", encoding="utf-8") as file:
        for name in job.tasks:
            for sample in raw["samples"][name]:
                row = {"task": name, **sample_of(sample)}
                file.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")
    whole = Results(
        job.arm, asked.proof, asked.template, lm_eval.__version__, asked.engine, asked.served, found
    )
    (out / "results.json").write_bytes(msgspec.json.encode(whole) + b"\n")


@dataclass(frozen=True)
class _Asked:
    """lm-eval's model, and what is written down of it."""

    model: Any
    engine: str
    template: str
    proof: AdapterProof | None
    served: ServedProof | None = None


@contextmanager
def _told(tasks: list[str]) -> Iterator[None]:
    """What lm-eval cannot do with a task, in one sentence: a metric that does not fit its answers (f1 of three
    choices), a field that a template names and no document has. The traceback stands in the log. Raises StepError."""
    from jinja2 import TemplateError

    # What a template says as choices is read as Python's literals: those may be none, or nest too deep.
    literal = (SyntaxError, RecursionError, MemoryError)
    try:
        yield
    except (
        ArithmeticError, AssertionError, LookupError, TypeError, ValueError, TemplateError, *literal,
    ) as e:  # fmt: skip
        traceback.print_exc()
        what = f"lm-eval could not do {', '.join(tasks)}: {type(e).__name__}: {e}"
        raise StepError("lm_eval", f"{what}; look at the task's file and its data") from e


@contextmanager
def _asked(job: LmEvalJob) -> Iterator[_Asked]:
    """Whom the tasks are asked: the model in this process, or the one that is served."""
    if job.server is not None:
        tokenizer = tokenizer_of(job)
        digest = hashlib.sha256((tokenizer.chat_template or "").encode()).hexdigest()
        expected, served = lm_served.prove(job.server) or (None, None)
        model = lm_served.model(job.server, job, tokenizer, job.batch)
        with lm_served.heard(job.server):
            yield _Asked(model, job.server.engine, digest, expected.proof if expected else None, served)
        return
    lean.transformers()
    import transformers
    from lm_eval.models.huggingface import HFLM

    loaded = load(job)
    model = HFLM(
        pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=job.batch, softmax_dtype="float32"
    )
    engine = f"Transformers {transformers.__version__}"
    yield _Asked(model, f"{engine} in {job.dtype}", loaded.template_sha256, loaded.proof)


def results_of(task: str, raw: dict[str, Any]) -> list[Result]:
    """The metrics of one task. lm-eval names them "metric,filter"; filter "none" is left out."""
    found = []
    for key, value in sorted(raw["results"][task].items()):
        metric, _, chain = key.partition(",")
        if not chain or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        how = aggregation_of(metric, raw["configs"][task])
        if how == "bypass":  # lm-eval's stand-in for no number at all
            continue
        rows = [s for s in raw["samples"][task] if s.get("filter", "none") == chain]
        stderr = raw["results"][task].get(f"{metric}_stderr,{chain}")
        higher = (raw.get("higher_is_better", {}).get(task) or {}).get(metric)
        one = Result(
            task,
            metric if chain == "none" else f"{metric}.{chain}",
            _finite(value),
            _finite(stderr),
            int(raw["n-samples"][task]["effective"]),
            {},
            None if higher is None else "higher" if higher else "lower",
            how,
        )
        numbers = all(isinstance(s.get(metric), int | float) for s in rows)
        if numbers and (how == "mean" or (metric, how) == ("perplexity", "perplexity")):
            samples = {str(s["doc_id"]): float(s[metric]) for s in rows}
            found.append(msgspec.structs.replace(one, samples=samples))
        else:
            found.append(_whole(one, metric, rows))
    return found


def aggregation_of(metric: str, config: dict[str, Any]) -> str:
    """What lm-eval calls the function that makes one number of all documents: the task's, else the metric's own. OWN
    where a task of lm-eval's brings a function without a name along."""
    from lm_eval.api.registry import AGGREGATION_REGISTRY, get_metric_aggregation

    known = list(AGGREGATION_REGISTRY.keys())
    for entry in config.get("metric_list") or []:
        if entry.get("metric") == metric and (said := entry.get("aggregation")):
            return said if isinstance(said, str) and said in known else OWN
    own = get_metric_aggregation(metric)
    return next((str(name) for name in known if AGGREGATION_REGISTRY[name] is own), "mean")


def _whole(one: Result, metric: str, rows: list[dict[str, Any]]) -> Result:
    """The same with what two arms are compared by, where no document has a number of its own."""
    from lm_eval.api.registry import AGGREGATION_REGISTRY

    marks = {str(s["doc_id"]): _digest(s[metric]) for s in rows}
    documents = _digest([[s["doc_id"], s.get("doc_hash"), s.get("target_hash")] for s in rows])
    draws = []
    if one.value is not None and one.aggregation != OWN:
        items = [s[metric] for s in rows]
        draws = drawn(one.aggregation, items, one.value, AGGREGATION_REGISTRY[one.aggregation])
    return msgspec.structs.replace(one, draws=draws, documents=documents, marks=marks)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=_plain).encode()).hexdigest()[:16]


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def sample_of(sample: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to see of a sample: document, prompt, what was said, values."""
    names = [*sample.get("metrics", []), "doc_id", "filter", "doc", "target", "filtered_resps"]
    kept = {name: sample[name] for name in names if name in sample}
    kept["prompt"] = next((request[0] for request in sample.get("arguments", ())), None)
    return kept


def _plain(value: Any) -> Any:
    """numpy's numbers and rows, which some metrics keep of a sample, as Python's; the words of what else there is."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def run(raw: bytes) -> None:
    evaluate(msgspec.json.decode(raw, type=LmEvalJob))


if __name__ == "__main__":
    command("lm_eval", run)
