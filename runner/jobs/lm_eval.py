"""Run lm-eval on local tasks: `python -m runner.jobs.lm_eval JOB.json`, through its Python API.

Written are `results.json` (per task and metric: value, stderr, n, and every document's value by its
number, so that arms can be paired) and `samples.jsonl`. Both arms go through the same Transformers
back end with the chat template on; the tuned arm is proved and merged as in `generate`. The numbers are
those of `lm_eval --model hf --apply_chat_template` with `dtype=float32,softmax_dtype=float32`, to the last digit.
"""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import msgspec
import msgspec.yaml
from msgspec import Meta, Struct

from runner.jobs.job import Job, command
from runner.jobs.lm_tasks import read_task, sandbox
from runner.jobs.loading import AdapterProof, load


class LmEvalJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tasks` are names of YAML files in `task_folder`; results go to the folder `out`. With `multiturn` each of the
    `fewshot` solved examples is a turn of its own.

    In bfloat16 a log-probability has steps of 0.06 and more, so that choices tie and the first
    wins: the default is float32.
    """

    dtype: Literal["bfloat16", "float32"] = "float32"

    arm: str
    tasks: Annotated[list[str], Meta(min_length=1)]
    task_folder: str
    out: str
    batch: Annotated[int, Meta(ge=1)] = 16
    limit: Annotated[int, Meta(ge=1)] | None = None
    fewshot: Annotated[int, Meta(ge=0)] | None = None
    multiturn: bool = True


class Result(Struct, frozen=True):
    """One metric of one task; `samples` maps a document's number to its value. `better` is the task file's word, or
    lm-eval's own of the metric."""

    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    samples: dict[str, float]
    better: Literal["higher", "lower"] | None = None


class Results(Struct, frozen=True):
    arm: str
    adapter_proof: AdapterProof | None
    template_sha256: str
    lm_eval: str
    results: list[Result]


def evaluate(job: LmEvalJob) -> None:
    """Run the job and write its two files. Raises StepError."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    sandbox()
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="lm-eval-") as scratch:
        for name in job.tasks:  # lm-eval 0.4.11 logs the file of each task and dies where none is
            task = read_task(Path(job.task_folder), name, scratch)
            Path(scratch, f"{name}.yaml").write_bytes(msgspec.yaml.encode(task))
        loaded = load(job)
        model = HFLM(
            pretrained=loaded.model,
            tokenizer=loaded.tokenizer,
            batch_size=job.batch,
            softmax_dtype="float32",
        )
        with redirect_stderr(StringIO()):  # its progress bars cannot be turned off otherwise
            raw = lm_eval.simple_evaluate(
                model=model,
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
    whole = Results(job.arm, loaded.proof, loaded.template_sha256, lm_eval.__version__, found)
    (out / "results.json").write_bytes(msgspec.json.encode(whole) + b"\n")


def results_of(task: str, raw: dict[str, Any]) -> list[Result]:
    """The metrics of one task. lm-eval names them "metric,filter"; filter "none" is left out."""
    found = []
    for key, value in sorted(raw["results"][task].items()):
        metric, _, chain = key.partition(",")
        if not chain or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        rows = [s for s in raw["samples"][task] if s.get("filter", "none") == chain]
        samples = {str(s["doc_id"]): float(s[metric]) for s in rows if isinstance(s.get(metric), int | float)}
        stderr = raw["results"][task].get(f"{metric}_stderr,{chain}")
        known = float(stderr) if isinstance(stderr, int | float) else None
        name = metric if chain == "none" else f"{metric}.{chain}"
        n = int(raw["n-samples"][task]["effective"])
        higher = (raw.get("higher_is_better", {}).get(task) or {}).get(metric)
        better: Literal["higher", "lower"] | None = (
            None if higher is None else "higher" if higher else "lower"
        )
        found.append(Result(task, name, float(value), known, n, samples, better))
    return found


def sample_of(sample: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to see of a sample: document, prompt, what was said, values."""
    names = [*sample.get("metrics", []), "doc_id", "filter", "doc", "target", "filtered_resps"]
    kept = {name: sample[name] for name in names if name in sample}
    kept["prompt"] = next((request[0] for request in sample.get("arguments", ())), None)
    return kept


def _plain(value: Any) -> Any:
    """numpy's numbers, which some metrics keep of a sample, as Python's; of what else there may be, its words."""
    return value.item() if hasattr(value, "item") else str(value)


def run(raw: bytes) -> None:
    evaluate(msgspec.json.decode(raw, type=LmEvalJob))


if __name__ == "__main__":
    command("lm_eval", run)
