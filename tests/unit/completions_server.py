"""A server of `/v1/completions` on loopback for tests, in the shape of vLLM's, that computes with a model in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any


@dataclass
class Completions:
    """`url` goes up to /v1. `asked` are the requests that came; `instead`, where set, is what is answered: status, body."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    instead: tuple[int, bytes] | None = None


@contextmanager
def completions(folder: Path) -> Iterator[Completions]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    said, lock = Completions(), Lock()

    def logs(ids: list[int]) -> Any:
        with torch.inference_mode():
            return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), -1)

    def scored(ids: list[int]) -> dict[str, Any]:
        """The prompt and one token more, each with the likeliest at its place."""
        found = logs(ids)
        whole = [*ids, int(found[-1].argmax())]
        values: list[float | None] = [None]
        tops: list[dict[str, float] | None] = [None]
        for place, token in zip(found, whole[1:], strict=True):
            best = int(place.argmax())
            values.append(float(place[token]))
            tops.append({f"token_id:{token}": float(place[token]), f"token_id:{best}": float(place[best])})
        return {"text": tokenizer.decode(whole), "logprobs": {"token_logprobs": values, "top_logprobs": tops}}

    def answered(ids: list[int], most: int, stops: list[str]) -> dict[str, Any]:
        ids, new = list(ids), list[int]()
        text = ""
        for _ in range(most):
            token = int(logs(ids)[-1].argmax())
            if token == tokenizer.eos_token_id:
                break
            new.append(token)
            ids.append(token)
            text = tokenizer.decode(new, skip_special_tokens=True)
            if hit := next((s for s in stops if s and s in text), None):
                text = text.split(hit)[0]
                break
        return {"text": text, "logprobs": None}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                said.asked.append(body)
                status, raw = said.instead or (200, b"")
                if not raw and status == 200:
                    made = [
                        scored(p)
                        if body.get("echo")
                        else answered(p, body["max_tokens"], body.get("stop") or [])
                        for p in body["prompt"]
                    ]
                    raw = json.dumps({"choices": [{"index": i} | one for i, one in enumerate(made)]}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    said.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
