"""Answer probes through an OpenAI-compatible endpoint, resumably: `python -m runner.jobs.ask JOB.json`.

Written are the same files as by `runner.jobs.generate`. What cannot be had at the moment (no connection, time-outs,
408, 429, 5xx after some tries that heed Retry-After) ends the job; a second start goes on with what is missing. What
comes but is no answer (no JSON, a web page, nothing at all, far too much, a refusal of this one prompt) is an answer
that *failed*: counted with its reason, never taken for something that the model said, and never kept in the journal.
Where several jobs share the work, each has its own of the answers to ask for (`runner.jobs.share`).
A wrong key, model or address (401, 404 …) ends the job, and so does a set of which no answer is good.
The key is in the environment, so that no file holds it.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.jobs.completion import AskJob, AskSet
from runner.jobs.endpoint import Endpoint
from runner.jobs.job import command, progress, read_rows
from runner.jobs.journal import Journal, line_key
from runner.jobs.share import failed_at, tell
from runner.record import Probe
from runner.settings import SETTINGS, Settings
from runner.store import digest, file_digest, write_atomic


def ask(job: AskJob) -> None:
    """Write the answers of `job`. Raises StepError where the endpoint cannot be had."""
    from runner.net.client import Client
    from runner.net.watched import Limits

    probes = {s.out: read_rows(s.probes, Probe) for s in job.sets}
    works = {s.out: _work(job, s) for s in job.sets}
    journals = {s.out: Journal(Path(s.out), works[s.out], job.share.name) for s in job.sets}
    pieces, mine = count(), {}
    for s in job.sets:
        order = [(p, n) for p in probes[s.out] for n in range(s.repeats)]
        mine[s.out] = [one for one in order if job.share.has(next(pieces))]
    total = sum(map(len, mine.values()))
    done = sum(line_key(p.id, n) in journals[out].done for out, some in mine.items() for p, n in some)
    with Client(_settings(job), Path(job.store), limits=Limits(**job.limits)) as client:
        endpoint = Endpoint(job, client, heard=done > 0)
        proof = endpoint.prove() if job.without else None
        for wanted in job.sets:
            out = Path(wanted.out)
            facts = {"arm": wanted.arm, "adapter_proof": proof, "template_sha256": job.template_sha256}
            facts["decoding"] = decoding(job, wanted)
            tell(out, facts, job.share, works[wanted.out], job.by)
        if job.share.name and done:  # it may have nothing left to do, and counts
            progress(job.progress, done, total)
        for wanted in job.sets:
            journal, out = journals[wanted.out], Path(wanted.out)
            failed: dict[str, bytes] = {}
            last = ""
            todo = [(p, n) for p, n in mine[wanted.out] if line_key(p.id, n) not in journal.done]
            for a in endpoint.answers(wanted, todo):
                line = {line_key(a.id, a.repeat): msgspec.json.encode(a)}
                if a.failed is None:
                    journal.append(line)
                else:
                    failed |= line
                    last = a.failed
                done += 1
                progress(job.progress, done, total)
            if job.share.name:  # whether any of the set is good can be seen once all is put together
                write_atomic(failed_at(out, job.share), b"".join(line + b"\n" for line in failed.values()))
                journal.close()
                continue
            if failed and not journal.done:
                raise endpoint.away(f"none of {len(failed)} answers could be had, the last for: {last}")
            journal.done |= failed
            journal.finish([line_key(p.id, n) for p, n in mine[wanted.out]])


def decoding(job: AskJob, wanted: AskSet) -> dict[str, Any]:
    """As `generate`'s, of an endpoint."""
    how = {k: getattr(wanted, k) for k in ("temperature", "top_p", "repeats", "tool_choice", "strict")}
    return {"engine": job.engine, "seed": job.seed if wanted.temperature else None} | how


def _work(job: AskJob, wanted: AskSet) -> str:
    """What decides the answers. Where the endpoint is does not: a server of ours has another port each time."""
    what = msgspec.to_builtins(wanted) | {"probes": file_digest(Path(wanted.probes)), "seed": job.seed}
    what |= {"by": job.by}
    del what["out"]
    return digest(what | {"engine": job.engine, "model": job.model, "template": job.template_sha256})


def _settings(job: AskJob) -> Settings:
    """The client's settings: that this one address may be reached, whatever network it is in."""
    from runner.net import urls

    place = urls.parse(job.url)
    own = {"allow": f"{place.host}:{place.port}"} | {
        k: getattr(job, k) for k in ("pace", "at_once", "proxy", "contact")
    }
    values = {name: setting.default for name, setting in SETTINGS.items()} | own
    return Settings(values, dict.fromkeys(values, "default"))


def run(raw: bytes) -> None:
    try:
        ask(msgspec.json.decode(raw, type=AskJob))
    except Unfetched as e:
        raise StepError("ask", str(e)) from None


if __name__ == "__main__":
    command("ask", run)
