"""Answer probes with a model, resumably: `python -m runner.jobs.generate JOB.json`.

The job file holds a `GenerateJob`, or with `"kind": "perplexity"` a `PerplexityJob`. Written are, for each set of
probes, `facts.json` and then `out` beside it (one Answer a line, in the order of the probes, repeats together). A
second start goes on where a kill left off: batches are the same whatever was finished, so the bytes are too. Where
several jobs share the work, each answers some of the batches (`runner.jobs.share`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runner import installed, templates
from runner.calls import MARKS, form_of, parse_answer
from runner.chat import for_template
from runner.errors import StepError
from runner.jobs.drawing import Draw, drawing, seed_of
from runner.jobs.job import Job, command, progress, read_rows
from runner.jobs.journal import Journal, line_key
from runner.jobs.loading import Loaded, load
from runner.jobs.probeset import ProbeSet
from runner.jobs.share import Share, tell
from runner.jobs.talking import Talk, rehearsed
from runner.record import Answer, Probe

DECIDES = ("torch", "transformers", "tokenizers", "peft")
"""Distributions whose versions decide an answer."""


class GenerateJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`batch` is in answers."""

    sets: Annotated[list[ProbeSet], Meta(min_length=1)]
    progress: str | None = None
    batch: Annotated[int, Meta(ge=1)] = 16
    share: Share = Share()


def generate(job: GenerateJob) -> None:
    """Write the answers of `job`. Raises StepError where probes, model or adapter are unfit."""
    probes = {s.out: read_rows(s.probes, Probe) for s in job.sets}
    loaded = load(job)
    by = made_by(loaded)
    works = {s.out: work_digest(job, s.probes, by, **msgspec.to_builtins(s)) for s in job.sets}
    journals = {s.out: Journal(Path(s.out), works[s.out], job.share.name) for s in job.sets}
    # All of them before the first is answered: what is too long is said at once.
    prompts = {s.out: encoded(loaded, s, probes[s.out]) for s in job.sets}
    drawn = {
        s.out: {line_key(p.id, n): (p, n) for p in probes[s.out] for n in range(s.repeats)} for s in job.sets
    }
    pieces, mine = count(), {}
    for s in job.sets:
        lengths = {key: len(prompts[s.out][p.id]) for key, (p, _) in drawn[s.out].items()}
        mine[s.out] = [keys for keys in batches(lengths, job.batch) if job.share.has(next(pieces))]
        facts = facts_of(s.arm, loaded, decoding(s, job.seed))
        tell(Path(s.out), facts, job.share, works[s.out], by)
    total = sum(len(keys) for some in mine.values() for keys in some)
    done = sum(key in journals[out].done for out, some in mine.items() for keys in some for key in keys)
    if job.share.name and done:  # it may have nothing left to do, and counts
        progress(job.progress, done, total)
    for wanted in job.sets:
        journal, ids = journals[wanted.out], prompts[wanted.out]
        for keys in mine[wanted.out]:
            if all(key in journal.done for key in keys):
                continue
            asked = [drawn[wanted.out][key] for key in keys]
            done += sum(key not in journal.done for key in keys)
            answers = converse(loaded, wanted, asked, [ids[p.id] for p, _ in asked], job.seed)
            journal.append({k: msgspec.json.encode(a) for k, a in zip(keys, answers, strict=True)})
            progress(job.progress, done, total)
        if job.share.name:
            journal.close()
        else:
            journal.finish(list(drawn[wanted.out]))


def converse(
    loaded: Loaded, wanted: ProbeSet, asked: list[tuple[Probe, int]], prompts: list[list[int]], seed: int
) -> list[Answer]:
    """The answer to each probe, of which a world and a user may make a talk: then all that are not at an end yet go on
    together. A talk that outgrows the model ends as one that was cut off."""
    talks = [Talk(p, wanted.rounds) for p, _ in asked]
    answers: dict[int, Answer] = {}
    going = list(range(len(asked)))
    while going:
        draws = [
            Draw(wanted.temperature, wanted.top_p, seed_of(seed, asked[i][0].id, asked[i][1], talks[i].asked))
            for i in going
        ]
        drawn = draws if wanted.temperature else None
        new = continue_batch(loaded, [prompts[i] for i in going], wanted.max_new_tokens, drawn)
        for i, ids in zip(going, new, strict=True):
            answers[i] = talks[i].heard(answer(asked[i][0].id, asked[i][1], wanted.arm, ids, loaded))
        going = [i for i in going if talks[i].goes_on(answers[i])]
        for i in going:
            prompts[i] = encode(loaded, talks[i].probe)
        for i in [i for i in going if len(prompts[i]) + wanted.max_new_tokens > loaded.limit]:
            answers[i] = msgspec.structs.replace(answers[i], finish="length")
            going.remove(i)
    return [answers[i] for i in range(len(asked))]


def encoded(loaded: Loaded, wanted: ProbeSet, probes: Sequence[Probe]) -> dict[str, list[int]]:
    """Each probe's token ids by its id. Raises StepError for one that leaves no room for its answer."""
    prompts = {p.id: encode(loaded, p) for p in probes}
    for probe in probes:
        if probe.world:  # rather now than when the first talk gets there
            encode(loaded, rehearsed(probe))
    for key, ids in prompts.items():
        if len(ids) + wanted.max_new_tokens > loaded.limit:
            raise StepError(
                "generate",
                f"probe {key} has {len(ids)} tokens: with {wanted.max_new_tokens} new ones that is "
                f"more than the {loaded.limit} the model can hold",
            )
    return prompts


def decoding(wanted: ProbeSet, seed: int) -> dict[str, Any]:
    """How the answers were drawn, for whoever compares scores: they mean the same only where this is the same."""
    return {
        "engine": "transformers",
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "repeats": wanted.repeats,
        "seed": seed if wanted.temperature else None,
        "tool_choice": "auto",
        "strict": False,
    }


def encode(loaded: Loaded, probe: Probe) -> list[int]:
    """The probe as token ids, ready for the assistant to go on. Raises StepError where the template refuses it."""
    from jinja2 import TemplateError

    try:
        text = loaded.tokenizer.apply_chat_template(
            [for_template(m) for m in probe.messages],
            tools=probe.tools or None,
            add_generation_prompt=True,
            tokenize=False,
        )
    except (TemplateError, ValueError, TypeError, KeyError) as e:
        why = " ".join(str(e).split())[:300]
        what = f"the model's chat template cannot render the probe {probe.id!r} ({type(e).__name__}: {why})"
        raise StepError("generate", f"{what}; name another in model.template, or mend the probe") from None
    except templates.TooMuch as e:
        what = f"the model's chat template {e}, with the probe {probe.id!r}"
        raise StepError("generate", f"{what}; name another in model.template") from None
    return list(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


def batches(lengths: dict[str, int], size: int) -> list[list[str]]:
    """Ids in batches of like length, longest first: what is too big for memory fails at once."""
    order = sorted(lengths, key=lambda key: (-lengths[key], key))
    return [order[i : i + size] for i in range(0, len(order), size)]


def continue_batch(
    loaded: Loaded, prompts: Sequence[list[int]], most: int, draws: Sequence[Draw] | None = None
) -> list[list[int]]:
    """New token ids for each prompt, at most `most`, up to and with a stop token: the likeliest, or drawn as `draws`
    says of each prompt."""
    import torch
    from transformers import GenerationConfig

    # A model's own generation config may carry penalties and temperatures: none of them here.
    pad = loaded.tokenizer.pad_token_id
    pad = loaded.stops[0] if pad is None and loaded.stops else pad or 0
    loaded.model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=most,
        eos_token_id=list(loaded.stops) or None,
        pad_token_id=pad,
    )
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    device = loaded.model.device
    with torch.inference_mode():
        out = loaded.model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), logits_processor=drawing(draws)
        )
    return [cut(row, loaded.stops) for row in out[:, width:].tolist()]


def cut(ids: list[int], stops: Sequence[int]) -> list[int]:
    """`ids` up to and with the first stop token: what follows is padding."""
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return ids[: end + 1]


def answer(id: str, repeat: int, arm: str, ids: list[int], loaded: Loaded) -> Answer:
    stopped = bool(ids) and ids[-1] in loaded.stops
    form = form_of(loaded.tokenizer.chat_template or "")
    raw = spoken(loaded.tokenizer, ids, MARKS.get(form))
    message, reason = parse_answer(raw, form)
    return Answer(id, arm, raw, "stop" if stopped else "length", message, reason, repeat)


def spoken(tokenizer: Any, ids: list[int], mark: str | None) -> str:
    """The text of `ids` without control tokens, but for the one that marks calls."""
    kept = tokenizer.get_vocab().get(mark) if mark else None
    drop = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special and i != kept}
    skip = kept is None  # decode would leave the mark out as well
    ids = ids if skip else [i for i in ids if i not in drop]
    return str(tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False))


def work_digest(job: Job, inputs: str, by: dict[str, str], **more: Any) -> str:
    """Digest of all that decides the lines: the job, the bytes of its inputs and template, and what makes them (`by`):
    a node that would answer otherwise never goes on with another's."""
    what = msgspec.to_builtins(job) | more | {"by": by}
    for field in ("out", "probes", "sets", "progress", "threads", "share", "libraries"):
        what.pop(field, None)
    for field, path in (("inputs", inputs), ("template", job.template)):
        what[field] = hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def facts_of(arm: str, loaded: Loaded, decoding: dict[str, Any] | None = None) -> dict[str, Any]:
    """What facts.json says: the adapter's proof (null for a base arm), the template's digest, the decode mode."""
    facts: dict[str, Any] = {
        "arm": arm,
        "adapter_proof": loaded.proof,
        "template_sha256": loaded.template_sha256,
    }
    return facts if decoding is None else facts | {"decoding": decoding}


def made_by(loaded: Loaded) -> dict[str, str]:
    """What else decides the answers: the same on every node that answers a share."""
    import torch

    by = {name: installed.version(name) or "absent" for name in DECIDES}
    device = loaded.model.device
    on_cpu = device.type == "cpu"
    kind = torch.backends.cpu.get_cpu_capability() if on_cpu else torch.cuda.get_device_name(device)
    return by | {"processor": f"{device.type} {kind}"}


def run(raw: bytes) -> None:
    """The job in `raw`, of either kind."""
    fields = msgspec.json.decode(raw, type=dict[str, Any])
    if (kind := fields.pop("kind", "generate")) == "generate":
        generate(msgspec.convert(fields, GenerateJob))
    elif kind == "perplexity":
        from runner.jobs.perplexity import PerplexityJob, measure

        measure(msgspec.convert(fields, PerplexityJob))
    else:
        raise StepError("generate", f"unknown kind of job: {kind!r}")


if __name__ == "__main__":
    command("generate", run)
