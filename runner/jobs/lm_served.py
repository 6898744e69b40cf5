"""lm-eval's own model for `/v1/completions`, as our vLLM is asked: tokens in, log-probabilities of the prompt out.

It tokenizes, applies the template and reads `generation_kwargs` as lm-eval's Transformers model does, so that two back
ends are asked the same. What does not fit is refused instead of being cut off: a document of which the server saw a
part only has no number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runner.errors import StepError
from runner.jobs.job import Job
from runner.jobs.lm_weights import Expected

# Options of a task's generation_kwargs that vLLM's /v1/completions knows by the same name.
KNOWN = frozenset("until do_sample max_gen_toks temperature top_p top_k min_p repetition_penalty".split())

UNTOLD = "tells no log-probabilities of a prompt, which lm-eval's tasks need"


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the model is served: `url` up to /v1, `model` its name there, `engine` in words, `length` the most tokens
    of prompt and answer. `expected` is what `lm_weights` wrote, where an adapter was merged."""

    url: str
    model: str
    engine: str
    length: Annotated[int, Meta(ge=2)]
    expected: str | None = None


class ServedProof(Struct, frozen=True):
    """How far the served model's log-probabilities of a fixed prompt are from the merged model's and from its base's,
    the largest of each."""

    from_merged: float
    from_base: float


@cache
def _kind() -> Any:
    """The class; made where lm-eval is imported anyway."""
    from jinja2 import TemplateError
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    from lm_eval.models.utils import has_bos_prefix, normalize_gen_kwargs

    class Served(LocalCompletionsAPI):  # type: ignore[misc]
        def tok_encode(
            self,
            string: Any,
            left_truncate_len: int | None = None,
            add_special_tokens: bool | None = None,
            truncation: bool = False,
            **kwargs: Any,
        ) -> Any:
            """As HFLM: what the tokenizer adds by itself, unless the text begins with it already."""
            if not isinstance(string, str):
                return [self.tok_encode(s) for s in string]
            begun = has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id))
            return self.tokenizer.encode(string, **({"add_special_tokens": False} if begun else {}))

        def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
            """As HFLM: without the system message where the template knows none."""
            try:
                return str(super().apply_chat_template(chat_history, add_generation_prompt))
            except TemplateError:
                rest = [m for m in chat_history if m["role"] != "system"]
                return str(super().apply_chat_template(rest, add_generation_prompt))

        def _create_payload(
            self, messages: Any, generate: bool = False, gen_kwargs: Any = None, **kwargs: Any
        ) -> dict[str, Any]:
            if not generate:
                out = super()._create_payload(messages, generate=False, **kwargs)
                # Two tokens may be written alike; by their numbers the likeliest is told for sure.
                return dict(out) | {"return_tokens_as_token_ids": True}
            how = dict(normalize_gen_kwargs(gen_kwargs or {}, self._max_gen_toks))
            if unknown := sorted(how.keys() - KNOWN):
                what = f"generation_kwargs {', '.join(unknown)}: not known to the server; leave it out"
                raise StepError("lm_eval", f"{what}, or take evaluate.engine: transformers")
            kwargs["eos"] = self.eos_string
            return dict(super()._create_payload(messages, generate=True, gen_kwargs=how, **kwargs))

        @staticmethod
        def parse_logprobs(outputs: Any, **kwargs: Any) -> Any:
            try:
                return LocalCompletionsAPI.parse_logprobs(outputs, **kwargs)
            except (LookupError, TypeError, ValueError):
                raise StepError("lm_eval", f"the server {UNTOLD}") from None

        def _loglikelihood_tokens(self, requests: Any, **kwargs: Any) -> Any:
            for _, context, rest in requests:
                _fits(len(context) + len(rest), self.max_length)
            return super()._loglikelihood_tokens(requests, **kwargs)

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            """All at once; lm-eval's own asks for one document after the other. Each that fits is one window."""
            texts = [self.tok_encode(request.args[0]) for request in requests]
            windows = [(None, [self.prefix_token_id], text) for text in texts]
            return [found for found, _ in self._loglikelihood_tokens(windows)]

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
            for request in requests:
                context, how = request.args
                most = normalize_gen_kwargs(how, self._max_gen_toks)["max_gen_toks"]
                _fits(len(self.tok_encode(context)) + most, self.max_length)
            return super().generate_until(requests, disable_tqdm)

    return Served


def _fits(tokens: int, most: int) -> None:
    if tokens > most:
        what = f"a document needs {tokens} tokens, and the server holds {most}"
        raise StepError(
            "lm_eval",
            f"{what}; raise model.max_length, if the model can, or take evaluate.engine: transformers",
        )


def model(server: Server, job: Job, tokenizer: Any, batch: int) -> Any:
    """lm-eval's model of what `server` serves."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # requests would heed http_proxy
    out = _kind()(
        base_url=f"{server.url}/completions",
        model=server.model,
        tokenizer=job.model,
        revision=job.revision or "main",
        tokenizer_backend="huggingface",
        tokenized_requests=True,
        batch_size=batch,
        max_length=server.length,
        seed=job.seed,
        max_retries=1,  # our own server: what it says once it says again
    )
    out.tokenizer = tokenizer
    return out


@contextmanager
def heard(server: Server) -> Iterator[None]:
    """What goes wrong between lm-eval and the server becomes one sentence. Raises StepError."""
    import requests

    try:
        yield
    except requests.HTTPError as e:
        said = e.response.text[:300] if e.response is not None else ""
        raise StepError("lm_eval", f"{server.engine} refused a request: {e} {said}") from None
    except requests.RequestException as e:
        what = "stopped answering, or answered with what is no JSON"
        raise StepError("lm_eval", f"{server.engine} {what} ({e}); its log is serve.log") from None


def prove(server: Server) -> tuple[Expected, ServedProof] | None:
    """That what is served is the merged model: nearer to it than to its base. None where nothing was merged. Raises
    StepError where it is not."""
    if server.expected is None:
        return None
    import requests

    expected = msgspec.json.decode(Path(server.expected).read_bytes(), type=Expected)
    asked: Any = {"model": server.model, "prompt": [expected.ids], "logprobs": 1, "echo": True}
    asked |= {"max_tokens": 1, "temperature": 0}
    with heard(server):
        answer = requests.post(f"{server.url}/completions", json=asked, timeout=600)
        answer.raise_for_status()
        try:
            logs = answer.json()["choices"][0]["logprobs"]["token_logprobs"]
            served = [float(x) for x in logs[1 : len(expected.ids)]]
            merged, base = (_apart(served, known) for known in (expected.tuned, expected.base))
        except (LookupError, TypeError, ValueError):
            raise StepError("lm_eval", f"{server.engine} {UNTOLD}") from None
    if not merged < base:  # NaN is refused too
        what = f"its log-probabilities are {merged:.3g} from the tuned model's and {base:.3g} from its base's"
        raise StepError("adapter", f"{server.engine} does not serve the tuned model: {what}")
    return expected, ServedProof(merged, base)


def _apart(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
