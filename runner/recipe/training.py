"""The other half of a recipe: model, adapter, training, evaluation, and where it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.recipe.common import Count, Fraction, Name, Part, Text


class Model(Part, frozen=True, kw_only=True):
    """The base model."""

    base: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=300,
            pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_./-]*$",
            description="A Hugging Face id, a folder in the workspace, or `embedded/NAME`, a model "
            "that comes as a Python package.",
            examples=["meta-llama/Llama-3.1-8B-Instruct", "embedded/smollm2-135m-instruct"],
        ),
    ]
    revision: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] | None,
        Meta(description="Commit of the model on its hub; pins it."),
    ] = None
    template: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_./-]*$",
            max_length=200,
            description="`model`: the tokenizer's own chat template. Else a shipped one by name, or a "
            "`.jinja` file in the workspace.",
            examples=["model", "chatml-tools"],
        ),
    ] = "model"
    end_of_turn: Annotated[
        Annotated[str, Meta(min_length=1, max_length=50)] | None,
        Meta(
            description="Token that ends an assistant's turn, if it is not the tokenizer's eos.",
            examples=["<|eot_id|>"],
        ),
    ] = None
    license: Annotated[
        str,
        Meta(
            max_length=200,
            description="Licence of the base model, which the adapter is bound by.",
            examples=["Apache-2.0"],
        ),
    ] = ""
    max_length: Annotated[
        int, Meta(ge=16, le=1_000_000, description="Longest record, in tokens of the model.")
    ] = 2048


class Adapter(Part, frozen=True, kw_only=True):
    """The LoRA adapter that is trained."""

    type: Annotated[
        Literal["qlora", "lora"],
        Meta(description="`qlora`: over a base in 4 bits (NF4, double quantization)."),
    ] = "qlora"
    r: Annotated[int, Meta(ge=1, le=1024, description="Rank.")] = 16
    alpha: Annotated[int, Meta(ge=1, le=4096, description="Scale: alpha / r.")] = 32
    dropout: Annotated[float, Meta(ge=0, lt=1, description="Share of the adapter's inputs zeroed.")] = 0.05
    targets: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$", max_length=100)]],
        Meta(min_length=1, description="Modules that get an adapter."),
    ] = field(
        default_factory=lambda: [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "gate_proj",
            "up_proj",
            "down_proj",
        ]
    )


class Train(Part, frozen=True, kw_only=True):
    """How it is trained. Compiled to an Axolotl config; `recipe compile` shows it."""

    epochs: Annotated[float, Meta(gt=0, le=1000, description="Passes over the data.")] = 1.0
    max_steps: Annotated[Count | None, Meta(description="Stop after so many steps.")] = None
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="The highest.", examples=[2e-4])] = 2e-4
    schedule: Annotated[
        Literal["cosine", "linear", "constant"], Meta(description="How the learning rate falls.")
    ] = "cosine"
    warmup: Annotated[Fraction, Meta(description="Share of the steps.")] = 0.03
    weight_decay: Annotated[float, Meta(ge=0, le=1, description="AdamW's.")] = 0.0
    max_grad_norm: Annotated[float, Meta(gt=0, le=1000, description="Longer gradients are cut.")] = 1.0
    micro_batch: Annotated[
        int, Meta(ge=1, le=4096, description="Records (with packing: full sequences) a device and pass.")
    ] = 2
    effective_batch: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Records (with packing: sequences) a step; a multiple of micro_batch.",
        ),
    ] = 16
    packing: Annotated[bool, Meta(description="Several records in one sequence.")] = True
    group_by_length: Annotated[
        bool,
        Meta(description="Without packing: batches of records of like length, shuffled; less padding."),
    ] = False
    attention: Annotated[
        Literal["flash_attention_2", "sdpa", "eager"],
        Meta(description="How attention is computed; flash_attention_2 needs a GPU, else it is sdpa."),
    ] = "flash_attention_2"
    gradient_checkpointing: Annotated[bool, Meta(description="Less memory for more time.")] = True
    precision: Annotated[
        Literal["auto", "bf16", "fp16", "fp32"],
        Meta(description="`auto`: bf16 where the hardware is fast at it."),
    ] = "auto"
    optimizer: Annotated[
        Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit"],
        Meta(description="Those in 8 bits need a GPU."),
    ] = "adamw_torch"
    save_every: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Steps from checkpoint to checkpoint.")
    ] = 50
    evaluate_every: Annotated[
        Count | None, Meta(description="Steps between losses on the validation split.")
    ] = None


# Groups: metric, operator, "base", sign, delta, number. JSON Schema knows no named groups.
GATE = (
    r"^([a-z0-9_]+(?:\.[a-z0-9_]+)+)\s*(>=|<=|>|<)\s*"
    r"(?:(base)\s*(?:([+-])\s*([0-9]*\.?[0-9]+))?|(-?[0-9]*\.?[0-9]+))$"
)


class Evaluate(Part, frozen=True, kw_only=True):
    """How the result is judged: base and tuned model, the same prompts."""

    suites: Annotated[list[Name], Meta(description="Names of evals/suites/*.yaml.")] = field(
        default_factory=list
    )
    system: Annotated[
        Text | None, Meta(description="System message of probes that have none, for both arms.")
    ] = None
    gates: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    pattern=GATE,
                    max_length=200,
                    description="A metric (SUITE.NAME), then >=, <=, > or <, then a number, `base`, or "
                    "`base` plus or minus a number.",
                ),
            ]
        ],
        Meta(
            description="Conditions on the tuned model's metrics; one unmet makes the exit code 1.",
            examples=[["tool_use.right_call >= 0.9", "capability.hellaswag.acc >= base - 0.02"]],
        ),
    ] = field(default_factory=list)


class Compute(Part, frozen=True, kw_only=True):
    """Where it runs. Never changes the data."""

    engine: Annotated[Literal["local"], Meta(description="This machine.")] = "local"
    profile: Annotated[
        Literal["auto", "cpu", "gpu"],
        Meta(description="`auto`: gpu where an NVIDIA GPU is seen, else cpu."),
    ] = "auto"


class Wandb(Part, frozen=True, kw_only=True):
    """Weights & Biases."""

    project: Annotated[str, Meta(min_length=1, max_length=128, description="Project that runs go to.")]
    mode: Annotated[
        Literal["offline", "online"], Meta(description="`online` sends; the key comes from WANDB_API_KEY.")
    ] = "offline"


class Track(Part, frozen=True, kw_only=True):
    """Who else is told how the training goes."""

    wandb: Wandb | None = None
