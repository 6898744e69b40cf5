"""How fast this CPU trains: one block of a model, forward and backward with its adapter, at two sizes.

Reads on stdin, as JSON, the shape (`layers`, `hidden`, `heads`, `kv_heads`, `head`, `ffn`, `vocabulary`), `rank`,
`full` and `bf16`; prints what `runner/forecast/timing.py` calls Measured. Weights are made up.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

SIZES = (64, 384)
LABELS = 96
ROUNDS = 8


def main() -> None:
    asked = json.load(sys.stdin)
    began = time.perf_counter()
    import torch

    start = time.perf_counter() - began
    torch.manual_seed(0)
    block = _Block(asked)
    small, large = (_least(partial(block.work, n)) for n in SIZES)
    token = max(large - small, 0) / (SIZES[1] - SIZES[0])
    head = _head(asked)
    out = {
        "pass_": max(small - token * SIZES[0], 0.0),
        "token": token,
        "label": _least(lambda: head(LABELS)) / LABELS,
        "step": _least(block.step) * asked["layers"] / block.blocks,
        "start": start,
    }
    sys.stdout.write(json.dumps(out) + "\n")


def _least(work: Callable[[], None]) -> float:
    """Seconds that it takes, undisturbed: the least of some rounds, after one that warms up."""
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


class _Block:
    """Norms, attention with rotary positions, gated MLP; each linear layer frozen, with an adapter, or trained."""

    def __init__(self, asked: dict[str, Any]) -> None:
        import torch

        self.asked, self.bf16 = asked, bool(asked["bf16"])
        h, q = asked["hidden"], asked["heads"] * asked["head"]
        kv, f, rank = asked["kv_heads"] * asked["head"], asked["ffn"], asked["rank"]
        self.sizes = {
            "q": (h, q),
            "k": (h, kv),
            "v": (h, kv),
            "o": (q, h),
            "g": (h, f),
            "u": (h, f),
            "d": (f, h),
        }
        kind = torch.bfloat16 if self.bf16 else torch.float32
        self.weight = {
            n: torch.empty(o, i, dtype=kind).uniform_(-0.02, 0.02) for n, (i, o) in self.sizes.items()
        }
        self.adapter: dict[str, tuple[Any, Any]] = {}
        if asked["full"]:
            for weight in self.weight.values():
                weight.requires_grad_()
        else:
            for n, (i, o) in self.sizes.items():
                pair = torch.randn(rank, i) * 0.02, torch.zeros(o, rank)
                self.adapter[n] = (pair[0].requires_grad_(), pair[1].requires_grad_())
        trained = [x for pair in self.adapter.values() for x in pair] or list(self.weight.values())
        self.blocks = min(asked["layers"], 1 if asked["full"] else 8)
        self.copies = [torch.nn.Parameter(x.detach().clone()) for x in trained * self.blocks]
        self.optimizer = torch.optim.AdamW(self.copies)
        for x in self.copies:
            x.grad = torch.ones_like(x)

    def _linear(self, name: str, x: Any) -> Any:
        from torch.nn.functional import linear

        out = linear(x, self.weight[name])
        if name in self.adapter:
            a, b = self.adapter[name]
            out = out + linear(linear(x.float(), a), b) * 2.0
        return out

    def _norm(self, x: Any) -> Any:
        import torch

        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype)

    def _turned(self, x: Any, cos: Any, sin: Any) -> Any:
        import torch

        half = x.shape[-1] // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    def work(self, tokens: int) -> None:
        """Forward and backward of one sequence."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention, silu

        asked = self.asked
        kind = torch.bfloat16 if self.bf16 else torch.float32
        x = torch.randn(1, tokens, asked["hidden"], dtype=kind, requires_grad=True)
        angle = torch.ones(tokens, asked["head"], dtype=kind)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            y = self._norm(x)
            q, k, v = (
                self._linear(n, y).view(1, tokens, -1, asked["head"]).transpose(1, 2) for n in ("q", "k", "v")
            )
            q, k = self._turned(q, angle, angle), self._turned(k, angle, angle)
            k, v = (t.repeat_interleave(asked["heads"] // asked["kv_heads"], 1) for t in (k, v))
            y = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(1, tokens, -1)
            x = x + self._linear("o", y)
            y = self._norm(x)
            x = x + self._linear("d", silu(self._linear("g", y)) * self._linear("u", y))
        x.float().sum().backward()

    def step(self) -> None:
        """Clipping and the optimizer, on what is trained of so many blocks."""
        import torch

        torch.nn.utils.clip_grad_norm_(self.copies, 1.0)
        self.optimizer.step()


def _head(asked: dict[str, Any]) -> Callable[[int], None]:
    import torch
    from torch.nn.functional import cross_entropy, linear

    kind = torch.bfloat16 if asked["bf16"] else torch.float32
    weight = torch.empty(asked["vocabulary"], asked["hidden"], dtype=kind).uniform_(-0.02, 0.02)

    def work(tokens: int) -> None:
        x = torch.randn(tokens, asked["hidden"], dtype=kind, requires_grad=True)
        logits = linear(x, weight).float()
        cross_entropy(logits, torch.zeros(tokens, dtype=torch.long), reduction="sum").backward()

    return work


if __name__ == "__main__":
    main()
