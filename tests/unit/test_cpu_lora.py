"""The quick way through an adapted 4-bit layer gives the numbers of the usual one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
pytest.importorskip("peft", reason="peft is not installed")

from runner.jobs.cpu_lora import quicken  # noqa: E402  (it needs torch)


def adapted(**options: Any) -> Any:
    """A frozen NF4 layer of 64 → 96 in an adapter of rank 8, its B no longer zero."""
    from bitsandbytes.nn import Linear4bit
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(5)

    class One(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.proj = Linear4bit(64, 96, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
            self.proj.load_state_dict({"weight": torch.randn(96, 64)}, strict=False)
            self.proj = self.proj.to("cpu")
            self.proj.support_avx512bf16_for_cpu = False

        def forward(self, x: Any) -> Any:
            return self.proj(x)

    model = inject_adapter_in_model(LoraConfig(r=8, lora_alpha=16, target_modules=["proj"], **options), One())
    torch.nn.init.normal_(model.proj.lora_B["default"].weight, std=0.1)
    return model


def passed(model: Any, dtype: Any) -> list[Any]:
    """Output, and the gradients of input, A and B."""
    torch.manual_seed(7)
    x = torch.randn(2, 5, 64, dtype=dtype, requires_grad=True)
    goal = torch.randn(2, 5, 96)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
    ((y.float() - goal) ** 2).mean().backward()
    layer = model.proj
    return [y, x.grad, layer.lora_A["default"].weight.grad, layer.lora_B["default"].weight.grad]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_output_and_gradients_are_the_usual_ones(dtype: Any) -> None:
    model = adapted()
    usual = passed(copy.deepcopy(model), dtype)
    assert quicken(model) == 1
    for mine, theirs in zip(passed(model, dtype), usual, strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        scale = theirs.float().abs().max()
        assert (mine.float() - theirs.float()).abs().max() <= 0.02 * scale
        assert (
            torch.nn.functional.cosine_similarity(mine.float().flatten(), theirs.float().flatten(), dim=0)
            > 0.9999
        )


def test_what_is_not_plain_is_left_alone() -> None:
    assert quicken(adapted(lora_dropout=0.1)) == 0
    assert quicken(adapted(use_dora=True)) == 0
    model = adapted()
    assert quicken(model) == 1
    layer = model.proj
    x = torch.randn(3, 64)
    on = model(x)
    layer.enable_adapters(False)
    assert not torch.equal(model(x), on)


def test_a_large_model_keeps_its_packed_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.jobs.cpu_lora.MOST_UNPACKED_BYTES", 1000)
    assert quicken(adapted()) == 0
