"""Further Axolotl keys that a recipe may set itself, under `axolotl:`: reviewed, and typed as Axolotl types them.

A key is here if it decides speed, memory or the optimizer's numbers, and nothing else: it names no file, address,
class or code, changes no data and no template, and is set by no key of the recipe. `runner/axolotlkeys.py` says of
every other key why it is not here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runner.recipe.common import Part

Beta = Annotated[float, Meta(ge=0, lt=1)]
Rate = Annotated[float, Meta(gt=0, le=1)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Switch = bool | None


class CheckpointingArguments(Part, frozen=True, kw_only=True):
    """How gradient checkpointing is done."""

    use_reentrant: Annotated[bool, Meta(description="The older of PyTorch's two ways.")]


class Overrides(Part, frozen=True, kw_only=True):
    """Reviewed further keys of Axolotl's config, which go in as they are."""

    adam_beta1: Annotated[Beta | None, Meta(description="AdamW's first decay rate.")] = None
    adam_beta2: Annotated[Beta | None, Meta(description="AdamW's second decay rate.")] = None
    adam_epsilon: Annotated[
        Annotated[float, Meta(gt=0, le=0.1)] | None, Meta(description="What AdamW adds to its denominator.")
    ] = None
    loraplus_lr_ratio: Annotated[
        Annotated[float, Meta(gt=0, le=1000)] | None,
        Meta(description="LoRA+: learning rate of B over that of A.", examples=[16]),
    ] = None
    loraplus_lr_embedding: Annotated[Rate | None, Meta(description="LoRA+: that of LoRA on embeddings.")] = (
        None
    )
    embedding_lr: Annotated[
        Rate | None, Meta(description="Learning rate of embeddings that are trained.")
    ] = None
    embedding_lr_scale: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(description="The same, as a share of the learning rate."),
    ] = None
    cosine_constant_lr_ratio: Annotated[
        Rate | None, Meta(description="Share of the steps after which min_lr is reached and kept.")
    ] = None
    peft_layers_to_transform: Annotated[
        Annotated[list[Annotated[int, Meta(ge=0, le=10_000)]], Meta(min_length=1, max_length=1000)] | None,
        Meta(description="Numbers of the layers that get an adapter; left out: all."),
    ] = None
    peft_autocast_adapter_dtype: Annotated[Switch, Meta(description="Adapter weights in 32 bits.")] = None
    embeddings_skip_upcast: Annotated[Switch, Meta(description="Leave embeddings in 16 bits.")] = None

    eval_batch_size: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None,
        Meta(description="Records a device and pass in evaluation."),
    ] = None
    sample_packing_group_size: Annotated[
        Annotated[int, Meta(ge=1, le=100_000_000)] | None, Meta(description="Records packed at a time.")
    ] = None
    sample_packing_bin_size: Annotated[
        Positive | None, Meta(description="Most records in one packed sequence.")
    ] = None
    pad_to_multiple_of: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None,
        Meta(description="Batches are padded to a multiple of it."),
    ] = None
    dataloader_num_workers: Annotated[
        Annotated[int, Meta(ge=0, le=256)] | None, Meta(description="Processes that read batches.")
    ] = None
    dataloader_prefetch_factor: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None, Meta(description="Batches that each of them reads ahead.")
    ] = None
    dataloader_pin_memory: Annotated[Switch, Meta(description="Batches in memory that a GPU reads fast.")] = (
        None
    )

    gradient_checkpointing_kwargs: Annotated[
        CheckpointingArguments | None, Meta(description="How gradient checkpointing is done.")
    ] = None
    activation_offloading: Annotated[
        Literal["legacy", "hidden_states"] | bool | None,
        Meta(description="Activations wait in main memory instead of being computed again.", examples=[True]),
    ] = None
    selective_checkpointing: Annotated[
        Switch,
        Meta(description="Attention's results are kept where gradient checkpointing would forget them."),
    ] = None
    layer_offloading: Annotated[Switch, Meta(description="Frozen layers wait in main memory.")] = None
    torch_empty_cache_steps: Annotated[
        Positive | None, Meta(description="Steps between emptying CUDA's cache.")
    ] = None
    gc_collect_steps: Annotated[
        Positive | None, Meta(description="Steps between Python's garbage collections.")
    ] = None

    lora_on_cpu: Annotated[Switch, Meta(description="The adapter is made in main memory.")] = None

    tf32: Annotated[Switch, Meta(description="TensorFloat-32 products on GPUs.")] = None
    torch_compile: Annotated[
        Literal["auto"] | bool | None,
        Meta(description="Compile the model with torch.compile.", examples=["auto"]),
    ] = None
    torch_compile_mode: Annotated[
        Literal["default", "reduce-overhead", "max-autotune"] | None,
        Meta(description="How torch.compile works."),
    ] = None
    sdpa_varlen: Annotated[
        Switch, Meta(description="With sdpa and packing: attention that skips other records' blocks.")
    ] = None
    fused_attn_kernel: Annotated[Switch, Meta(description="Fused norm and rotary embedding (Qwen3).")] = None
    lora_mlp_kernel: Annotated[Switch, Meta(description="Axolotl's fused kernel for LoRA on the MLP.")] = None
    lora_qkv_kernel: Annotated[Switch, Meta(description="The same for queries, keys and values.")] = None
    lora_o_kernel: Annotated[Switch, Meta(description="The same for attention's output.")] = None
    lora_embedding_kernel: Annotated[Switch, Meta(description="The same for embeddings.")] = None
    chunked_cross_entropy: Annotated[Switch, Meta(description="The loss in pieces, for less memory.")] = None
    chunked_cross_entropy_num_chunks: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None, Meta(description="How many pieces.")
    ] = None
    tiled_mlp: Annotated[Switch, Meta(description="The MLP in pieces, for long sequences.")] = None
    tiled_mlp_num_shards: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None, Meta(description="How many pieces.")
    ] = None

    include_tkps: Annotated[Switch, Meta(description="Log tokens a second and GPU.")] = None
    include_tokens_per_second: Annotated[Switch, Meta(description="Log tokens seen.")] = None
    ddp_timeout: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="Seconds that GPUs wait for each other."),
    ] = None
    ddp_bucket_cap_mb: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        Meta(description="Size of the buckets that gradients travel in."),
    ] = None
    ddp_broadcast_buffers: Annotated[Switch, Meta(description="Buffers are synchronised at each pass.")] = (
        None
    )

    @property
    def given(self) -> dict[str, Any]:
        """The keys that are set, as they stand in Axolotl's config."""
        whole: dict[str, Any] = msgspec.to_builtins(self)
        return {k: v for k, v in whole.items() if v is not None}


# On a CPU these have no meaning, or do not work; a recipe that sets them still runs there.
GPU_ONLY = frozenset(
    {
        "lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel", "fused_attn_kernel", "tf32",
        "dataloader_pin_memory", "dataloader_num_workers", "dataloader_prefetch_factor", "activation_offloading",
        "layer_offloading", "torch_empty_cache_steps", "torch_compile", "torch_compile_mode",
        "sdpa_varlen", "tiled_mlp", "tiled_mlp_num_shards", "ddp_timeout", "ddp_bucket_cap_mb",
        "ddp_broadcast_buffers",
    }
)  # fmt: skip

# Keys that do nothing without another, which must be set beside them.
BESIDE = {
    "torch_compile_mode": "torch_compile",
    "chunked_cross_entropy_num_chunks": "chunked_cross_entropy",
    "tiled_mlp_num_shards": "tiled_mlp",
    "loraplus_lr_embedding": "loraplus_lr_ratio",
}
