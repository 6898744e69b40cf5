"""Axolotl's traps: that it does fall into each with a configuration as one would write it, and that ours does not.

Each test runs the real `axolotl preprocess` (or `train`) twice: by hand, and through `recipe run`. What is asserted of
the first keeps the test honest: where Axolotl no longer does it, the guard has no reason left and can go.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

Row = dict[str, Any]


def talk(question: str, answer: str) -> Row:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def tool(name: str, **properties: str) -> Row:
    schema = {"type": "object", "properties": {k: {"type": [v, "null"]} for k, v in properties.items()}}
    return {
        "type": "function",
        "function": {"name": name, "description": f"Of {name}.", "parameters": schema},
    }


def calling(name: str, arguments: Row, **properties: str) -> Row:
    """A conversation with one call, arguments as a map."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {
        "messages": [
            {"role": "user", "content": f"Ask {name}."},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            {"role": "assistant", "content": "It is 42."},
        ],
        "tools": [tool(name, **properties)],
    }


def as_text(row: Row) -> Row:
    """The same row with its arguments as JSON text, as records have them."""
    row = json.loads(json.dumps(row))
    for message in row["messages"]:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return row


def lines(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


CALLS = [calling("get_tide", {"harbour": "Oban", "hour": None}, harbour="string", hour="integer"),
         calling("get_train", {"station": "Wick", "platform": 2}, station="string", platform="integer")]  # fmt: skip

RECIPE = """
recipe: 1
name: trap
sources:
  - jsonl: {files: [rows.jsonl]}
    name: rows
dedup: {exact: false}
split: {validation: 0.0}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 1024}
adapter: {r: 4, alpha: 8, dropout: 0, targets: [q_proj, v_proj]}
train: {max_steps: 1, micro_batch: 1, effective_batch: 1, packing: false, attention: sdpa, gradient_checkpointing: false}
compute: {profile: cpu}
"""


class Trap:
    """A folder with the tiny model, in which Axolotl is run by hand and a recipe beside it."""

    def __init__(self, root: Path, forks: Any, tiny: Path) -> None:
        self.root, self.forks = root, forks
        shutil.copytree(tiny, root / "tiny")
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(root / "tiny")

    def naive(
        self, rows: list[Row], verb: str = "preprocess", shown: bool = False, **keys: Any
    ) -> tuple[int, str]:
        """Axolotl by hand, with the configuration of its own examples; `None` leaves a key out."""
        lines(self.root / "naive.jsonl", rows)
        dataset = {"path": "naive.jsonl", "ds_type": "json", "type": "chat_template"} | keys.pop(
            "dataset", {}
        )
        config = {
            "base_model": "tiny", "datasets": [dataset], "dataset_prepared_path": "naive-prepared", "output_dir": "naive-out",
            "val_set_size": 0.0, "sequence_len": 1024, "adapter": "lora", "lora_r": 4, "lora_alpha": 8,
            "lora_target_modules": ["q_proj"], "micro_batch_size": 1, "gradient_accumulation_steps": 1, "max_steps": 1,
            "learning_rate": 1e-4, "optimizer": "adamw_torch", "bf16": False, "tf32": False,
            "attn_implementation": "sdpa", "dataset_num_proc": 1,
        } | keys  # fmt: skip
        (self.root / "naive.yml").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        more = ["--launcher", "python"] if verb == "train" else []
        if verb == "preprocess" and not shown:
            more = ["--debug-num-examples", "0"]
        code, said = self.forks.axolotl(self.root, verb, "naive.yml", *more)
        return code, said

    def ours(self, rows: list[Row], recipe: str = RECIPE) -> tuple[int, str]:
        lines(self.root / "rows.jsonl", rows)
        (self.root / "trap.yaml").write_text(recipe)
        argv = ["run", self.root / "trap.yaml", "--workspace", self.root, "--json", "--to", "train"]
        code, _, said = self.forks.start(*argv).end()
        return code, said

    def rows(self, folder: Path) -> list[tuple[str, str]]:
        """(whole text, trained text) of each prepared row of the newest set under a folder."""
        from datasets import load_from_disk

        infos = sorted(folder.rglob("dataset_info.json"), key=lambda p: p.stat().st_mtime_ns)
        out = []
        for row in load_from_disk(str(infos[-1].parent)) if infos else []:
            trained = [i for i in row["labels"] if i != -100]
            out.append((self.tokenizer.decode(row["input_ids"]), self.tokenizer.decode(trained)))
        return out

    def naive_rows(self) -> list[tuple[str, str]]:
        return self.rows(self.root / "naive-prepared")

    def our_rows(self) -> list[tuple[str, str]]:
        made = [p for p in (self.root / ".mirepoix/artifacts").glob("*/*") if (p / "prepared").is_dir()]
        return self.rows(max(made, key=lambda p: (p / "manifest.json").stat().st_mtime_ns))


@pytest.fixture
def trap(forks: Any, tiny: Path, tmp_path: Path) -> Trap:
    return Trap(tmp_path, forks, tiny)


def test_a_file_rewritten_at_the_same_path(trap: Trap) -> None:
    """The training goes by a hash of the configuration, not by what the file says."""
    for answer, verb in (("old", "preprocess"), ("new", "train")):
        code, said = trap.naive([talk("Say it.", f"This is {answer}.")], verb)
        assert code == 0, said
    assert ["This is old." in text for text, _ in trap.naive_rows()] == [True], (
        "Axolotl looks into the file now"
    )
    for answer in ("old", "new"):
        code, said = trap.ours([talk("Say it.", f"This is {answer}.")])
        assert code == 0, said
        assert [f"This is {answer}." in text for text, _ in trap.our_rows()] == [True]


def test_prepared_rows_that_were_cut_short(trap: Trap) -> None:
    """What a kill left is taken for whole by every later run."""
    rows = [talk("Say it.", "This is it.")]
    code, said = trap.naive(rows)
    assert code == 0, said
    for arrow in (trap.root / "naive-prepared").rglob("*.arrow"):
        arrow.write_bytes(arrow.read_bytes()[:50])
    assert trap.naive(rows, "train")[0] != 0, "Axolotl prepares such rows anew now"
    code, said = trap.ours(rows)
    assert code == 0, said
    for made in (trap.root / ".mirepoix/artifacts").glob("*/*"):
        step = json.loads((made / "manifest.json").read_bytes())["step"]
        if step in ("preprocess", "train"):  # both are to do again, in folders where a kill left half
            shutil.copytree(
                trap.root / "naive-prepared", trap.root / ".mirepoix/work" / made.name / "prepared"
            )
            shutil.rmtree(made)
    code, said = trap.ours(rows)
    assert code == 0, said


def test_a_training_split_of_one_row(trap: Trap) -> None:
    """Axolotl draws a row to show with `randrange(0, rows - 1)`."""
    code, said = trap.naive([talk("Say it.", "This is it.")], shown=True)
    assert code != 0 and "empty range for randrange" in said, "Axolotl takes one row now"
    code, said = trap.ours([talk("Say it.", "This is it.")])
    assert code == 0, said


def test_a_mistyped_key_vanishes(trap: Trap) -> None:
    code, said = trap.naive([talk("a", "b")], lora_rr=64, dataset={"sampel_packing": True})
    assert code == 0 and "lora_rr" not in said.replace("naive", ""), "Axolotl tells of unknown keys now"
    for wrong, right in (("{r: 4", "{rr: 4"), ("max_steps: 1", "max_step: 1")):
        code, said = trap.ours([talk("a", "b")], RECIPE.replace(wrong, right))
        assert code == 2 and "did you mean" in said


def test_the_stop_token_of_a_model_whose_end_of_text_is_another(trap: Trap) -> None:
    config = trap.root / "tiny/tokenizer_config.json"
    about = json.loads(config.read_bytes()) | {"eos_token": "<|im_start|>"}
    config.write_text(json.dumps(about))
    chatml = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    rows = [talk("Say it.", "This is it.")]
    code, said = trap.naive(rows, chat_template="jinja", chat_template_jinja=chatml)
    assert code == 0, said
    assert [trained for _, trained in trap.naive_rows()] == ["This is it."], (
        "Axolotl finds the stop token now"
    )
    code, said = trap.ours(rows)
    assert code == 0, said
    assert [trained for _, trained in trap.our_rows()] == ["This is it.<|im_end|>"]
    # Nor does it pass where the recipe does not name it.
    code, said = trap.ours(rows, RECIPE.replace("end_of_turn: <|im_end|>, ", ""))
    assert code == 3 and "stop token" in said


@pytest.mark.parametrize("template", ["llama3", "chatml"])
def test_a_built_in_template_deletes_tool_calls(trap: Trap, template: str) -> None:
    config = trap.root / "tiny/tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"bos_token": "<|im_start|>"}))
    rows = [as_text(CALLS[0])]
    code, said = trap.naive(rows, chat_template=template)
    assert code == 0, said
    ((text, _),) = trap.naive_rows()
    assert "It is 42." in text and "get_tide" not in text.replace("Ask get_tide.", ""), (
        "Axolotl keeps calls now"
    )
    code, said = trap.ours(rows)
    assert code == 0, said
    ((text, trained),) = trap.our_rows()
    assert '{"name":"get_tide","arguments":{"harbour":"Oban","hour":null}}' in trained
    assert text.count('"name":"get_tide"') + text.count('"name": "get_tide"') >= 2  # its schema too


def test_the_length_that_nobody_asked_for(trap: Trap) -> None:
    long = talk("Count.", " ".join(str(n) for n in range(250)))  # some 900 tokens
    short = talk("Say it.", "This is it.")
    code, said = trap.naive([long, short], sequence_len=None)
    assert code == 0, said
    assert len(trap.naive_rows()) == 1, "512 tokens are no longer the default"
    code, said = trap.ours([long, short])
    assert code == 0, said
    assert sorted(len(text) > 500 for text, _ in trap.our_rows()) == [False, True]
    # What is longer than the recipe's own limit goes before Axolotl sees it, and the ledger says so.
    code, said = trap.ours([long, short], RECIPE.replace("max_length: 1024", "max_length: 512"))
    assert code == 0, said
    assert len(trap.our_rows()) == 1
    (lost,) = (
        r for r in pq.read_table(trap.root / "runs/trap/ledger.parquet").to_pylist() if r["fate"] == "dropped"
    )
    assert lost["reason"] == "longer than max_length, 512 tokens"
