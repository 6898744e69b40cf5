"""What a recipe trains: the model, the adapter, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.recipe.common import Count, Fraction, Part


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
        Meta(
            description="Commit of the model on its hub; pins it.",
            examples=["0e9e39f249a16976918f6564b8830bc894c89659"],
        ),
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
    over_length: Annotated[
        Literal["drop", "split", "refuse"],
        Meta(
            description="Longer records: `drop` them, `split` conversations before a user's turn, each part with "
            "system message and tools, or `refuse` to go on."
        ),
    ] = "drop"


class Adapter(Part, frozen=True, kw_only=True):
    """What of the model is trained: a LoRA adapter, or all of it."""

    type: Annotated[
        Literal["qlora", "lora", "full"],
        Meta(
            description="`qlora`: an adapter over a base in 4 bits. `lora`: over a base as it is. `full`: no adapter, "
            "every weight is trained; the run then leaves a model in `model/`, and what follows here has no meaning."
        ),
    ] = "qlora"
    r: Annotated[int, Meta(ge=1, le=1024, description="Rank.")] = 16
    alpha: Annotated[
        int, Meta(ge=1, le=4096, description="Scale: alpha / r, with rslora alpha / the square root of r.")
    ] = 32
    dropout: Annotated[float, Meta(ge=0, lt=1, description="Share of the adapter's inputs zeroed.")] = 0.05
    targets: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$", max_length=100)]],
        Meta(min_length=1, description="Modules that get an adapter.", examples=[["q_proj", "v_proj"]]),
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
    dora: Annotated[
        bool, Meta(description="DoRA: direction and magnitude of each weight are trained apart. Slower.")
    ] = False
    rslora: Annotated[bool, Meta(description="Rank-stabilised scale, for high ranks.")] = False
    quant_type: Annotated[Literal["nf4", "fp4"], Meta(description="How qlora's base is held in 4 bits.")] = (
        "nf4"
    )
    double_quant: Annotated[
        bool, Meta(description="With qlora: the constants of the 4 bits are held in 8 bits, not 32.")
    ] = True
    modules_to_save: Annotated[
        list[Literal["embed_tokens", "lm_head"]],
        Meta(description="Trained whole beside the adapter, for new tokens or another language."),
    ] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """The folder of a run that holds what was trained."""
        return "model" if self.type == "full" else "adapter"


class Train(Part, frozen=True, kw_only=True):
    """How it is trained. Compiled to an Axolotl config; `recipe compile` shows it."""

    epochs: Annotated[float, Meta(gt=0, le=1000, description="Passes over the data.")] = 1.0
    max_steps: Annotated[Count | None, Meta(description="Stop after so many steps.")] = None
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="The highest.", examples=[2e-4])] = 2e-4
    schedule: Annotated[
        Literal[
            "cosine", "linear", "constant", "cosine_with_restarts", "inverse_sqrt", "warmup_stable_decay"
        ],
        Meta(
            description="How the learning rate falls after the warm-up. `warmup_stable_decay` falls in the last "
            "`decay_steps` only; `cosine_with_restarts` falls `cycles` times."
        ),
    ] = "cosine"
    warmup: Annotated[Fraction, Meta(description="Share of the steps in which the learning rate rises.")] = (
        0.03
    )
    warmup_steps: Annotated[
        Annotated[int, Meta(ge=0, le=10_000_000)] | None,
        Meta(description="The same in steps; goes before `warmup`. Axolotl makes 2 of 1."),
    ] = None
    min_lr: Annotated[
        Fraction | None,
        Meta(
            description="Share of the learning rate that remains at the end, with cosine and warmup_stable_decay.",
            examples=[0.1],
        ),
    ] = None
    decay_steps: Annotated[Count | None, Meta(description="With warmup_stable_decay, which needs it.")] = None
    cycles: Annotated[
        Annotated[int, Meta(ge=2, le=1000)] | None,
        Meta(description="With cosine_with_restarts, which needs it."),
    ] = None
    weight_decay: Annotated[float, Meta(ge=0, le=1, description="AdamW's.")] = 0.0
    max_grad_norm: Annotated[float, Meta(gt=0, le=1000, description="Longer gradients are cut.")] = 1.0
    neftune_alpha: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(description="NEFTune: noise of this strength on embeddings while it trains.", examples=[5]),
    ] = None
    micro_batch: Annotated[
        int, Meta(ge=1, le=4096, description="Records (with packing: full sequences) a device and pass.")
    ] = 2
    effective_batch: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Records (with packing: sequences) a step; a multiple of micro_batch times compute.gpus.",
        ),
    ] = 16
    packing: Annotated[bool, Meta(description="Several records in one sequence.")] = True
    evaluation_packing: Annotated[
        bool, Meta(description="The same for the validation split; one of few records is too small for it.")
    ] = False
    group_by_length: Annotated[
        bool,
        Meta(description="Without packing: batches of records of like length, shuffled; less padding."),
    ] = False
    attention: Annotated[
        Literal["flash_attention_2", "flash_attention_3", "flex_attention", "sdpa", "eager"],
        Meta(
            description="How attention is computed. flash_attention_2, flash_attention_3 (Hopper) and flex_attention "
            "need a GPU, else it is sdpa."
        ),
    ] = "flash_attention_2"
    gradient_checkpointing: Annotated[bool, Meta(description="Less memory for more time.")] = True
    precision: Annotated[
        Literal["auto", "bf16", "fp16", "fp32"],
        Meta(
            description="`auto`: bf16 where the hardware multiplies in it (a GPU of 2020 or later, a CPU with "
            "AVX512-BF16, AMX or Arm's bf16), else fp16 on a GPU and fp32 on a CPU, "
            "where fp16 is fp32, too."
        ),
    ] = "auto"
    optimizer: Annotated[
        Literal[
            "adamw_torch",
            "adamw_torch_fused",
            "adamw_torch_8bit",
            "adamw_8bit",
            "paged_adamw_8bit",
            "paged_adamw_32bit",
            "lion_32bit",
            "lion_8bit",
            "paged_lion_8bit",
            "adafactor",
            "sgd",
        ],
        Meta(
            description="Those in 8 bits, paged ones and lion need a GPU; on a CPU, adamw_torch stands in for adamw."
        ),
    ] = "adamw_torch"
    roles: Annotated[
        list[Literal["assistant", "user"]],
        Meta(
            min_length=1,
            description="Whose turns are trained; a message's own `weight` (0 or 1) goes before it.",
        ),
    ] = field(default_factory=lambda: ["assistant"])
    turns: Annotated[
        Literal["all", "last"],
        Meta(description="Which of those turns are trained: all, or each record's last."),
    ] = "all"
    save_every: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Steps from checkpoint to checkpoint.")
    ] = 50
    keep_checkpoints: Annotated[
        int, Meta(ge=1, le=1000, description="Checkpoints kept while it trains; the newest, and the best.")
    ] = 2
    evaluate_every: Annotated[
        Count | None, Meta(description="Steps between losses on the validation split.")
    ] = None
    keep_best: Annotated[
        bool,
        Meta(
            description="The result is the checkpoint with the lowest validation loss, not the last. Needs "
            "evaluate_every, and save_every the same."
        ),
    ] = False
    early_stopping: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        Meta(
            description="Patience: stop after so many evaluations in a row without a lower validation loss; the "
            "result is then the best checkpoint. Needs what keep_best needs.",
            examples=[3],
        ),
    ] = None

    @property
    def best(self) -> bool:
        """Whether the best checkpoint is the result."""
        return self.keep_best or self.early_stopping is not None
