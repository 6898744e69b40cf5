"""Unpacked weights give the numbers of packed ones, to the last bit."""

from __future__ import annotations

from typing import Any

import pytest

from runner.jobs.unpacked import unpack

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")


def packed(bias: bool) -> Any:
    from bitsandbytes.nn import Linear4bit

    torch.manual_seed(5)
    layer = Linear4bit(64, 96, bias=bias, compute_dtype=torch.bfloat16, quant_type="nf4")
    values = {"weight": torch.randn(96, 64)} | ({"bias": torch.randn(96)} if bias else {})
    layer.load_state_dict(values, strict=False)
    layer = layer.to("cpu")
    layer.support_avx512bf16_for_cpu = False
    return torch.nn.Sequential(layer)


def passed(model: Any) -> tuple[Any, Any]:
    """Output, and the gradient of the input."""
    torch.manual_seed(7)
    x = torch.randn(2, 5, 64, requires_grad=True)
    y = model(x)
    y.backward(torch.randn_like(y))
    return y, x.grad


@pytest.mark.parametrize("bias", [False, True])
def test_same_output_and_gradient(bias: bool) -> None:
    model = packed(bias)
    usual = passed(model)
    assert unpack(model) == 1
    for mine, theirs in zip(passed(model), usual, strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)


def test_a_large_model_stays_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.jobs.unpacked.MOST_BYTES", 1000)
    assert unpack(packed(False)) == 0
