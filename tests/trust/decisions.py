"""A workspace with one input of every kind, and which steps each byte and each option of it decides.

The tables are written by hand, from what each thing means; nothing of them is taken from the planner.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import hardware

DOCS = Path(__file__).parents[2] / "docs"
TOOLS = next(
    t
    for t in re.findall(r"```yaml\n(.*?)```", (DOCS / "tool-sets.md").read_text(), re.S)
    if "toolset: 2" in t
)

# What a base model decides; answers and what follows of the tuned one by way of the training.
MODEL = ("render", "askable", "preprocess", "train", "answers.", "lm-eval.", "perplexity.")
LEARNT = ("render", "rows", "proof", "preprocess", "train")
EVALS = ("decontaminate", "askable", "answers.")

RECIPE: dict[str, Any] = {
    "recipe": 1,
    "name": "t",
    "description": "Every kind of input.",
    "seed": 5,
    "sources": [
        {"jsonl": {"files": ["talk.jsonl"]}, "name": "talk", "tags": {"domain": "talk", "by": "us"},
         "chat": {"system": "Be brief.", "system_share": 0.5}},
        {"files": {"files": ["rows.csv"]}, "name": "table", "tags": {"domain": "table"}},
        {"text": {"files": ["book.txt"]}, "name": "book", "tags": {"domain": "book"}, "chat": {"passages": {"words": [5, 40]}}},
        {"tools": {"set": "bakery", "conversations": 8}, "name": "tools", "tags": {"domain": "tools"}},
    ],
    "filters": [{"words": {"min": 1}}, {"tokens": {"max": 500}}],
    "dedup": {"near": {"jaccard": 0.9}, "against": ["old.jsonl"]},
    "decontaminate": {"ngram": 8},
    "mix": {"weights": {"tools": 0.2, "talk": 0.4, "book": 0.2, "table": 0.2}, "order": "in_turn"},
    "split": {"validation": 0.2},
    "fail_if": {"dropped": ">95%"},
    "model": {"base": "base", "template": "chat.jinja", "end_of_turn": "<|im_end|>", "max_length": 512},
    "adapter": {"type": "lora", "r": 8},
    "train": {"epochs": 2, "micro_batch": 2, "effective_batch": 4, "packing": False, "attention": "sdpa"},
    "evaluate": {
        "suites": ["asked", "drawn", "facts", "held"],
        "system": "You are terse.",
        "arms": {"terse": {"system": "One word."}, "mild": {"system": "Be mild."}},
        "gates": ["asked.no_call >= base"],
    },
    "compute": {"profile": "cpu"},
    "axolotl": {"adam_beta2": 0.95},
}  # fmt: skip
SUITES: dict[str, dict[str, Any]] = {
    "asked": {"probes": "probes/p.jsonl", "judge": {"tool_use": {}}},
    "drawn": {
        "probes": "probes/q.jsonl",
        "decoding": {"temperature": 0.7, "repeats": 2},
        "judge": {"style": {"persona_works": ["works/one.txt"], "modern_works": ["works/other.txt"]}},
    },
    "facts": {"lm_eval": {"tasks": ["facts", "more"], "limit": 3}},
    "held": {"perplexity": {"texts": {"same": ["held/same.txt"], "far": ["held/far.txt"]}, "passages": 2}},
}
TASK = {
    "dataset_path": "json", "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}  # fmt: skip

# Input file → the steps that read it; what follows those follows.
FILES: dict[str, tuple[str, ...]] = {
    "talk.jsonl": ("source.talk",),
    "rows.csv": ("source.table",),
    "book.txt": ("source.book",),
    "datasets/tools/bakery.yaml": ("source.tools",),
    "old.jsonl": ("dedup",),
    "chat.jinja": MODEL,
    "base/config.json": MODEL,
    "base/tokenizer.json": MODEL,
    "base/model.safetensors": MODEL,
    "evals/probes/p.jsonl": ("decontaminate", "askable", "answers.base.asked", "answers.terse.asked", "answers.mild.asked"),
    "evals/probes/q.jsonl": ("decontaminate", "askable", "answers.base.drawn", "answers.terse.drawn", "answers.mild.drawn"),
    "evals/tasks/facts.yaml": ("decontaminate", "lm-eval."),
    "evals/tasks/facts.jsonl": ("decontaminate", "lm-eval."),
    "works/one.txt": ("judge.drawn",),
    "works/other.txt": ("judge.drawn",),
    "held/same.txt": ("decontaminate", "perplexity."),
}  # fmt: skip
PREPARED = list(FILES)[:5]
"""Those that decide data: they can be run in a moment."""


def weights() -> bytes:
    """A whole safetensors file."""
    header = json.dumps(
        {
            "model.layers.0.self_attn.q_proj.weight": {
                "dtype": "F32",
                "shape": [8, 8],
                "data_offsets": [0, 256],
            }
        }
    )
    return len(header).to_bytes(8, "little") + header.encode() + bytes(range(256))


def chat(*said: str) -> str:
    roles = ("user", "assistant")
    return json.dumps({"messages": [{"role": roles[n % 2], "content": s} for n, s in enumerate(said)]}) + "\n"


def prose(seed: str, many: int) -> str:
    words = "river boat pilot lamp night water shore slow bend fog bell rope".split()
    lines = [
        " ".join([seed, str(n), *(words[(n * k + k) % 12] for k in range(1, 10))]) + "." for n in range(many)
    ]
    return "\n\n".join(lines) + "\n"


def fill(root: Path) -> Path:
    """The workspace: all input files, suites and the recipe, r.yaml."""
    tool = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
    probe = lambda n, q: json.dumps({"id": f"p{n}", "messages": [{"role": "user", "content": f"{q} {n}?"}], "tools": [tool],  # noqa: E731
                                     "expect": {"calls": []}}) + "\n"  # fmt: skip
    question = lambda n: json.dumps({"question": f"What is {n} and one, told in words of nine or so?",  # noqa: E731
                                     "choices": [str(n + 1), str(n)], "answer": 0}) + "\n"  # fmt: skip
    task = lambda n, f: dump({"task": n, "dataset_kwargs": {"data_files": {"test": f}}} | TASK)  # noqa: E731
    texts = {
        "talk.jsonl": "".join(
            chat(f"Say {n}, please.", f"It is {n * 7}, then, and no more.") for n in range(40)
        ),
        "rows.csv": "prompt,response\n"
        + "".join(f"How much is {n}?,It is {n} and a half.\n" for n in range(30)),
        "book.txt": prose("book", 40),
        "old.jsonl": "".join(
            chat(f"Say {n}, please.", f"It is {n * 7}, then, and no more.") for n in range(4)
        ),
        "datasets/tools/bakery.yaml": TOOLS,
        "chat.jinja": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        "chat2.jinja": "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}",
        "base/config.json": json.dumps({"model_type": "llama", "max_position_embeddings": 4096}),
        "base/tokenizer.json": json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}}}),
        "evals/probes/p.jsonl": "".join(probe(n, "What is the price of bread number") for n in range(12)),
        "evals/probes/q.jsonl": "".join(probe(n, "Tell me of the road to town number") for n in range(12)),
        "evals/tasks/facts.yaml": task("facts", "facts.jsonl"),
        "evals/tasks/facts.jsonl": "".join(map(question, range(8))),
        "evals/tasks/more.yaml": task("more", "more.jsonl"),
        "evals/tasks/more.jsonl": "".join(map(question, range(20, 28))),
        "works/one.txt": prose("one", 60),
        "works/other.txt": prose("other", 60),
        "held/same.txt": prose("same", 60),
        "held/far.txt": prose("far", 60),
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "base/model.safetensors").write_bytes(weights())
    (root / "base2").mkdir()
    for file in (root / "base").iterdir():
        (root / "base2" / file.name).write_bytes(file.read_bytes() + b" " * (file.suffix == ".json"))
    for name, suite in SUITES.items():
        write(root / f"evals/suites/{name}.yaml", {"suite": 1, "name": name, **suite})
    write(root / "r.yaml", RECIPE)
    return root


def dump(data: Any) -> str:
    from runner.yaml12 import dump

    return dump(data)


def write(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(data))


@dataclass(frozen=True)
class Option:
    """One option that can be changed: where it stands (below the recipe, or below a suite), to what (of a draw), and the
    steps that it decides by itself; the report, which shows the whole recipe, is made anew in any case."""

    at: str
    to: tuple[Any, ...]
    steps: tuple[str, ...]
    suite: str = ""
    beside: tuple[tuple[str, Any], ...] = ()

    def put(self, data: dict[str, Any], value: Any) -> dict[str, Any]:
        out = deepcopy(data)
        for at, new in ((self.at, value), *self.beside):
            *way, last = at.split(".")
            node: Any = out
            for key in way:
                node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
            if new is None:
                node.pop(last, None)
            else:
                node[int(last) if isinstance(node, list) else last] = new
        return out


def _options() -> Iterator[Option]:
    o = Option
    yield o("seed", tuple(range(6, 60)), ("source.", "mix", "split", "rows", "preprocess", "train", "judge.", "lm-eval.",
                                          "answers.base.drawn", "answers.terse.drawn", "answers.mild.drawn"))  # fmt: skip
    for at, to in {
        "chat.system": ("Be long.", "Be wise."), "chat.systems": (["A.", "B."],), "chat.system_share": (0.1, 0.7, 0.9),
        "chat.tags_from": ({"x": "source"},), "tags": ({"domain": "talk"}, {"domain": "talk", "by": "them"}),
        "license": ("MIT", "CC0-1.0"), "limit": tuple(range(5, 39)),
    }.items():  # fmt: skip
        yield o(
            f"sources.0.{at}",
            to,
            ("source.talk",),
            beside=(("sources.0.chat.system", None),) if at.endswith("systems") else (),
        )
    for at, to in {
        "words": ([6, 50], [4, 30]), "prompt": ("continue", "none"), "otherwise": ("none",), "said_by": ("user",),
        "prompts": ({"instruct": 0.5, "continue": 0.5},),
    }.items():  # fmt: skip
        beside = (("sources.2.chat.passages.prompt", "question"),) if at == "otherwise" else ()
        yield o(f"sources.2.chat.passages.{at}", to, ("source.book",), beside=beside)
    yield o("sources.3.tools.conversations", tuple(range(9, 40)), ("source.tools",))
    yield o("filters.0.words.min", (2, 3), ("filter",))
    yield o("filters.1.tokens.max", tuple(range(300, 499)), ("render",))
    for at, to in {
        "exact": (False,), "near.jaccard": (0.5, 0.7, 0.95), "near.permutations": (64, 256), "near.ngram": (3, 7),
        "near.unit": ("characters",), "near": (None,), "keep": ("longest",),
        "prefer": (["book"], ["tools", "talk"]), "against": (["talk.jsonl"], None),
    }.items():  # fmt: skip
        yield o(f"dedup.{at}", to, ("dedup",))
    yield o("dedup.within", ("source",), ("dedup",), beside=(("dedup.against", None),))
    yield o("decontaminate.ngram", tuple(range(9, 50)), ("decontaminate",))
    yield o("decontaminate.against", ("none",), ("decontaminate",))
    for at, to in {
        "weights.talk": (0.3,), "unit": ("tokens",), "total": (10, 20), "repeat_at_most": (2, 3), "repeats": ({"book": 2},),
        "order": ("shuffled", "shortest_first"), "amounts": ({"talk": 8, "tools": 4, "book": 4, "table": 4},), "by": ("domain",),
    }.items():  # fmt: skip
        beside = {"weights.talk": (("mix.weights.tools", 0.3),), "amounts": (("mix.weights", None),)}.get(
            at, ()
        )
        yield o(f"mix.{at}", to, ("mix",), beside=beside)
    yield o("mix.weights", ({"talk": 0.5, "tools": 0.5, "book": 0, "table": 0},), ("filter", "mix"))
    for at, to in {"validation": (0.1, 0.3), "stratify": ([], ["domain"]), "group": ("record",)}.items():
        yield o(f"split.{at}", to, ("mix", "split"))
    for at, to in {
        "rejected": (">5%",),
        "dropped": (">99%",),
        "by": ({"words": ">99%"},),
        "sources": ({"talk": ">99%"},),
    }.items():
        yield o(f"fail_if.{at}", to, ())
    yield o("model.base", ("base2",), MODEL)
    yield o("model.template", ("chat2.jinja", "chatml-tools"), MODEL)
    yield o("model.end_of_turn", ("<|end|>", None), MODEL)
    yield o("model.license", ("MIT",), ())
    yield o("model.max_length", tuple(range(600, 700)), ("render", "preprocess", "train"))
    yield o("model.over_length", ("split", "refuse"), ("render",))
    for at, to in {
        "type": ("qlora", "full"), "r": (4, 16), "alpha": (8, 64), "dropout": (0.0, 0.2), "targets": (["q_proj"], ["v_proj"]),
        "dora": (True,), "rslora": (True,), "modules_to_save": (["lm_head"],),
    }.items():  # fmt: skip
        yield o(f"adapter.{at}", to, ("train",))
    for at, to in {"quant_type": ("fp4",), "double_quant": (False,)}.items():
        yield o(f"adapter.{at}", to, ("train",), beside=(("adapter.type", "qlora"),))
    for at, to in {
        "epochs": (1, 3, 0.5), "max_steps": tuple(range(1, 99)), "learning_rate": (1e-3, 1e-5), "schedule": ("linear", "constant"),
        "warmup": (0.1, 0), "warmup_steps": (3, 9), "min_lr": (0.1,), "weight_decay": (0.1,), "max_grad_norm": (0.5,),
        "neftune_alpha": (5,), "micro_batch": (1, 4), "effective_batch": (2, 8), "attention": ("eager",),
        "gradient_checkpointing": (False,), "precision": ("fp32",), "save_every": (7, 11),
        "keep_checkpoints": (1, 3), "evaluate_every": (5,),
    }.items():  # fmt: skip
        yield o(f"train.{at}", to, ("train",))
    yield o("train.cycles", (2, 3), ("train",), beside=(("train.schedule", "cosine_with_restarts"),))
    yield o(
        "train.decay_steps",
        (2, 3),
        ("train",),
        beside=(("train.schedule", "warmup_stable_decay"), ("train.max_steps", 9)),
    )
    both = (("train.evaluate_every", 5), ("train.save_every", 5))
    yield o("train.keep_best", (True,), ("train",), beside=both)
    yield o("train.early_stopping", (2, 3), ("train",), beside=both)
    yield o("train.packing", (True,), ("preprocess", "train"))
    yield o("train.evaluation_packing", (True,), ("preprocess", "train"), beside=(("train.packing", True),))
    yield o("train.group_by_length", (True,), ("mix", "rows", "train"), beside=(("mix.order", "shuffled"),))
    yield o("train.optimizer", ("adafactor",), ("train",), beside=(("axolotl.adam_beta2", None),))
    yield o("train.roles", (["assistant", "user"],), LEARNT)
    yield o("train.turns", ("last",), tuple(s for s in LEARNT if s not in ("preprocess", "train")))
    yield o("evaluate.suites", (["asked", "drawn", "facts"], ["asked", "drawn", "held"]), ("decontaminate",))
    yield o("evaluate.system", ("You are kind.", None), ("askable", "answers."))
    yield o("evaluate.arms.terse.system", ("Two words.", "None."), ("askable", "answers.terse."))
    yield o("evaluate.arms.far", ({"endpoint": "far", "model": "m"},), ("judge.",))
    yield o("evaluate.engine", ("vllm",), ("answers.", "lm-eval."))
    yield o("evaluate.gates", (["asked.no_call >= 0.1"], None), ())
    yield o("evaluate.inconclusive", ("pass", "fail", "estimate"), ())
    yield o("name", ("u", "v"), ())
    yield o("description", ("Another.", "One more."), ())
    yield o("compute.engine", ("ray",), ())
    yield o("compute.workers", (3,), ())
    yield o("compute.profile", ("auto",) if hardware.profile() == "cpu" else ("cpu",), ())
    on_gpu = ("train", "answers.", "lm-eval.", "perplexity.")
    gpus = (("compute.profile", "gpu"), ("compute.gpus", 2))
    yield o("compute.gpus", (2,), on_gpu, beside=gpus[:1])
    yield o("compute.resources", ({"CPU": 4},), ())
    yield o("compute.strategy", ("zero2", "zero3", "fsdp2"), on_gpu, beside=gpus)
    for at, to in {
        "wandb": ({"project": "p"},),
        "tensorboard": (True,),
        "trackio": ({"project": "p"},),
    }.items():
        yield o(f"track.{at}", to, ())
    yield o("axolotl.adam_beta2", (0.9, 0.99), ("train",))
    yield o("axolotl.gc_collect_steps", (7,), ("train",))
    yield o("axolotl.tf32", (True,), ())  # of GPUs
    for suite in ("asked", "drawn"):
        answers = tuple(f"answers.{arm}.{suite}" for arm in ("base", "terse", "mild", "tuned"))
        yield o("description", ("Words.",), (), suite)
        yield o(
            "probes",
            ("probes/p.jsonl" if suite == "drawn" else "probes/q.jsonl",),
            ("decontaminate", "askable", *answers),
            suite,
        )
        yield o("max_new_tokens", tuple(range(9, 120)), ("askable", *answers), suite)
        yield o("limit", tuple(range(2, 11)), ("askable", *answers), suite)
        yield o("rounds", (2, 9), answers, suite)
        if suite == "drawn":
            for at, to in {"temperature": (0.3, 1.1), "top_p": (0.9, 0.5), "repeats": (3, 4)}.items():
                yield o(f"decoding.{at}", to, answers, suite)
            yield o("judge.style.words", (100, 300), ("judge.drawn",), suite)
    for at, to in {"limit": (2, 5, None), "fewshot": (1, 2), "multiturn": (False,)}.items():
        yield o(f"lm_eval.{at}", to, ("lm-eval.",), "facts")
    yield o("lm_eval.tasks", (["facts"], ["more", "facts"]), ("decontaminate", "lm-eval."), "facts")
    for at, to in {"passages": (1, 3, 4), "words": ([40, 100], [60, 200])}.items():
        yield o(f"perplexity.{at}", to, ("perplexity.",), "held")
    yield o("perplexity.texts", ({"same": ["held/same.txt"]},), ("decontaminate", "perplexity."), "held")


OPTIONS = tuple(_options())


def _turned(data: Any, *way: str) -> Any:
    """The recipe with the list or map at one place the other way round."""
    out = deepcopy(data)
    node = out
    for key in way[:-1]:
        node = node[key]
    old = node[way[-1]]
    node[way[-1]] = old[::-1] if isinstance(old, list) else dict(reversed(old.items()))
    return out


def _all_turned(data: Any, at: tuple[str, ...] = ()) -> Any:
    """Every map the other way round, but those whose order is shown or decides."""
    if isinstance(data, list):
        return [_all_turned(x, (*at, "")) for x in data]
    if not isinstance(data, dict):
        return data
    items = [(k, _all_turned(v, (*at, k))) for k, v in data.items()]
    return dict(items if at in (("mix", "weights"), ("evaluate", "arms")) else items[::-1])


ORDERS: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "sources": (lambda d: _turned(d, "sources"), ("filter",)),
    "filters": (lambda d: _turned(d, "filters"), ("filter", "render")),
    "weights, in turn": (lambda d: _turned(d, "mix", "weights"), ("mix",)),
    "arms": (lambda d: _turned(d, "evaluate", "arms"), ("judge.",)),
    "suites": (lambda d: _turned(d, "evaluate", "suites"), ("decontaminate",)),
    "keys of maps": (_all_turned, ()),
}
"""Recipes in another order, and what that decides."""
