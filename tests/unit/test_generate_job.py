"""The generate job on a tiny random Llama made here: order, stops, resuming, the proof."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.chat import for_template
from runner.errors import StepError
from runner.jobs.generate import (
    GenerateJob,
    batches,
    continue_batch,
    cut,
    encode,
    generate,
)
from runner.jobs.journal import Journal, line_key
from runner.jobs.loading import load
from runner.record import Answer, FunctionCall, Message, Probe, ToolCall

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probes") / "probes.jsonl"
    rows = [
        {
            "id": f"p{i:02}",
            "messages": [{"role": "user", "content": "fox " * (i * 7 % 11 + 1) + str(i)}],
        }
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def job(tiny: Path, probes: Path, out: Path, **more: Any) -> GenerateJob:
    one = {"arm": more.pop("arm", "base"), "probes": str(probes), "out": str(out / "answers.jsonl")}
    one |= {"max_new_tokens": more.pop("max_new_tokens", 12)}
    one |= {k: more.pop(k) for k in ("temperature", "top_p", "repeats") if k in more}
    fields = {"model": str(tiny), "sets": [one]}
    defaults = {"progress": str(out / "progress.jsonl"), "dtype": "float32", "threads": 1}
    return msgspec.convert({**fields, **defaults, "batch": 4, **more}, GenerateJob)


def answers(out: Path) -> list[Answer]:
    lines = (out / "answers.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Answer) for line in lines]


def adapter(tiny: Path, out: Path, fill: float) -> Path:
    """A LoRA adapter whose B matrices are all `fill` times a random number."""
    torch = pytest.importorskip("torch")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny)
    targets = ["q_proj", "v_proj"]
    peft = get_peft_model(model, LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM"))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.copy_(fill * torch.randn_like(weight))
    peft.save_pretrained(out)
    return out


def test_answers_in_probe_order_whatever_the_batch(tiny: Path, probes: Path, tmp_path: Path) -> None:
    by_batch = []
    for batch in (1, 5):
        out = tmp_path / str(batch)
        generate(job(tiny, probes, out, batch=batch))
        by_batch.append([a.raw for a in answers(out)])
        assert [a.id for a in answers(out)] == [f"p{i:02}" for i in range(24)]
        lines = [json.loads(x) for x in (out / "progress.jsonl").read_text().splitlines()]
        assert lines[-1] == {"done": 24, "of": 24} and len(lines) == -(-24 // batch)
        assert sorted(p.name for p in out.iterdir()) == [
            "answers.jsonl",
            "facts.json",
            "progress.jsonl",
        ]
    assert by_batch[0] == by_batch[1]  # left padding does not leak into float32 answers
    facts = json.loads((tmp_path / "1/facts.json").read_text())
    assert facts["adapter_proof"] is None
    assert facts["decoding"] == {
        "engine": "transformers", "temperature": 0.0, "top_p": 1.0, "repeats": 1, "seed": None, "tool_choice": "auto",
        "strict": False,
    }  # fmt: skip


def test_drawn_answers_hang_on_their_own_seeds_alone(tiny: Path, probes: Path, tmp_path: Path) -> None:
    said = {}
    how = {"temperature": 1.0, "repeats": 3}
    for name, more in {
        "a": {"batch": 4},
        "b": {"batch": 7},
        "other": {"seed": 5},
        "cold": {"temperature": 1e-3},
    }.items():
        generate(job(tiny, probes, tmp_path / name, **{**how, **more}))
        said[name] = answers(tmp_path / name)
        assert [(a.id, a.repeat) for a in said[name]] == [
            (f"p{i:02}", n) for i in range(24) for n in range(3)
        ]
    raw = {name: [a.raw for a in found] for name, found in said.items()}
    assert raw["a"] == raw["b"] and raw["a"] != raw["other"]
    assert sum(len({a.raw for a in said["a"] if a.id == f"p{i:02}"}) == 3 for i in range(24)) >= 22
    generate(job(tiny, probes, tmp_path / "greedy"))
    greedy = {a.id: a.raw for a in answers(tmp_path / "greedy")}
    assert sum(a.raw == greedy[a.id] for a in said["cold"]) >= 70  # of 72: next to no heat, next to no chance
    facts = json.loads((tmp_path / "other/facts.json").read_text())["decoding"]
    assert (facts["temperature"], facts["repeats"], facts["seed"]) == (1.0, 3, 5)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    torch = pytest.importorskip("torch")
    from runner.jobs.drawing import choose, seed_of

    logits = torch.log(torch.tensor([[0.1, 0.6, 0.0, 0.3]])).expand(1000, 4)
    numbers = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000

    def shares(temperature: float, top_p: float) -> list[float]:
        found = choose(logits, [temperature] * 1000, [top_p] * 1000, numbers)
        return [float((found == token).double().mean()) for token in range(4)]

    assert shares(1, 1) == pytest.approx([0.1, 0.6, 0, 0.3], abs=2e-3)
    assert shares(0.5, 1) == pytest.approx([0.01 / 0.46, 0.36 / 0.46, 0, 0.09 / 0.46], abs=2e-3)
    assert shares(1, 0.85) == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=2e-3)
    assert shares(1, 0.01) == [0, 1, 0, 0]
    ends = torch.tensor([0.0, 1 - 1e-17], dtype=torch.float64)
    assert choose(logits[:2], [1, 1], [1, 1], ends).tolist() == [0, 3]
    assert len({seed_of(1, "a", n) for n in range(5)} | {seed_of(2, "a", 0), seed_of(1, "b", 0)}) == 7


def test_stops_at_the_models_own_stop_token(tiny: Path, probes: Path, tmp_path: Path) -> None:
    from transformers import GenerationConfig

    free = job(tiny, probes, tmp_path / "free")
    generate(free)
    said, loaded = answers(tmp_path / "free")[0], load(free)
    assert said.finish == "length"
    prompt = encode(loaded, msgspec.json.decode(probes.read_bytes().splitlines()[0], type=Probe))
    third = continue_batch(loaded, [prompt], 12)[0][2]
    own = GenerationConfig.from_pretrained(tiny)
    before = (tiny / "generation_config.json").read_bytes()
    own.eos_token_id, own.repetition_penalty = [1, third], 5.0
    try:
        own.save_pretrained(tiny)
        generate(job(tiny, probes, tmp_path / "stopped"))
    finally:
        (tiny / "generation_config.json").write_bytes(before)
    stopped = answers(tmp_path / "stopped")[0]
    assert stopped.finish == "stop" and stopped.message is not None
    assert said.raw.startswith(stopped.raw) and len(stopped.raw) < len(said.raw)


def test_killed_and_resumed_gives_the_same_bytes(
    forks: Any, tiny: Path, probes: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    generate(job(tiny, probes, whole, batch=2, max_new_tokens=200))
    out = tmp_path / "killed"
    spec = tmp_path / "job.json"
    spec.write_bytes(msgspec.json.encode(job(tiny, probes, out, batch=2, max_new_tokens=200)))
    argv = ["-m", "runner.jobs.generate", str(spec)]
    process = forks.python(argv, ROOT)
    progress, until = out / "progress.jsonl", time.monotonic() + 120
    while not (progress.exists() and progress.read_text().count("\n") >= 2):
        assert process.running and time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    partial = out / "answers.jsonl.partial"
    assert partial.exists() and not (out / "answers.jsonl").exists()
    finished = partial.read_bytes().count(b"\n") - 1
    with partial.open("ab") as file:
        file.write(b'{"id":"p00","arm":"ba')  # torn by the kill
    before = progress.read_text().count("\n")
    assert forks.python(argv, ROOT).done().returncode == 0
    assert 0 < finished < 24
    assert progress.read_text().count("\n") - before <= 12 - finished // 2
    assert (out / "answers.jsonl").read_bytes() == (whole / "answers.jsonl").read_bytes()
    assert not partial.exists()


def test_the_adapter_is_proved_and_changes_answers(tiny: Path, probes: Path, tmp_path: Path) -> None:
    good = adapter(tiny, tmp_path / "good", 0.5)
    generate(job(tiny, probes, tmp_path / "base"))
    generate(job(tiny, probes, tmp_path / "tuned", adapter=str(good), arm="tuned"))
    proof = json.loads((tmp_path / "tuned/facts.json").read_text())["adapter_proof"]
    assert proof["modules"] == 4 and proof["max_logit_difference"] > 0
    assert proof["merge_error"] < 1e-3 * proof["max_logit_difference"]
    base, tuned = answers(tmp_path / "base"), answers(tmp_path / "tuned")
    assert {a.arm for a in tuned} == {"tuned"} and [a.raw for a in base] != [a.raw for a in tuned]


def test_a_qlora_adapter_is_put_on_the_weights_it_was_trained_on(
    tiny: Path, probes: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    lora = str(adapter(tiny, tmp_path / "lora", 0.5))
    own = load(job(tiny, probes, tmp_path)).model.model.layers[0].mlp.up_proj.weight
    packed, state = functional.quantize_4bit(
        own.to(torch.bfloat16), quant_type="nf4", blocksize=64, compress_statistics=True
    )
    meant = functional.dequantize_4bit(packed, state).to(torch.float32)
    assert not torch.equal(meant, own)
    tuned = load(job(tiny, probes, tmp_path, adapter=lora, nf4=True, dtype="bfloat16"))
    # The adapter is on q_proj and v_proj: up_proj is the base's, in four bits.
    assert torch.equal(tuned.model.model.layers[0].mlp.up_proj.weight.float(), meant)
    assert tuned.proof is not None
    plain = load(job(tiny, probes, tmp_path, adapter=lora)).model.model.layers[0].mlp.up_proj.weight
    assert torch.equal(plain, own)


def test_an_adapter_of_zeros_is_refused_in_one_line(
    forks: Any, tiny: Path, probes: Path, tmp_path: Path
) -> None:
    zero = adapter(tiny, tmp_path / "zero", 0.0)
    spec = tmp_path / "job.json"
    spec.write_bytes(msgspec.json.encode(job(tiny, probes, tmp_path / "out", adapter=str(zero))))
    done = forks.python(["-m", "runner.jobs.generate", str(spec)], ROOT).done()
    assert done.returncode == 3
    last = done.stderr.strip().splitlines()[-1]
    assert "not loaded or not trained: 4 of 4 LoRA B matrices are all zero" in last
    assert "Traceback" not in done.stderr and not (tmp_path / "out/answers.jsonl").exists()


def test_an_adapter_for_another_model_is_refused(tiny: Path, probes: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    good = adapter(tiny, tmp_path / "good", 0.5)
    weights = load_file(good / "adapter_model.safetensors")
    renamed = {k.replace("layers.1.", "layers.7."): v for k, v in weights.items()}
    save_file(renamed, good / "adapter_model.safetensors")
    with pytest.raises(StepError, match=r"layers\.7.* which this model does not have"):
        generate(job(tiny, probes, tmp_path / "out", adapter=str(good)))
    with pytest.raises(StepError, match="holds no adapter"):
        generate(job(tiny, probes, tmp_path / "out", adapter=str(tmp_path)))


def test_perplexity_is_the_mean_loss(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from runner.jobs.perplexity import PerplexityJob, measure

    said = {"a": "the quick brown fox", "b": "dog", "c": "the lazy dog jumps " * 8, "d": ""}
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": k, "text": v}) + "\n" for k, v in said.items()))
    out = tmp_path / "losses.jsonl"
    measure(PerplexityJob(model=str(tiny), texts=str(path), out=str(out), batch=3))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["id"] for r in rows] == list(said)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny),
        AutoTokenizer.from_pretrained(tiny),
    )
    for row in rows:
        ids = tokenizer(said[row["id"]])["input_ids"]
        assert row["tokens"] == max(0, len(ids) - 1)
        if row["tokens"]:
            batch = torch.tensor([ids])
            assert row["nats"] == pytest.approx(model(batch, labels=batch).loss.item(), rel=1e-4)
        else:
            assert row["nats"] is None


def test_probes_that_do_not_fit_are_named(tiny: Path, probes: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"probe p\d\d has \d+ tokens: with 5000 new ones"):
        generate(job(tiny, probes, tmp_path, max_new_tokens=5000))
    twice = tmp_path / "twice.jsonl"
    twice.write_bytes(probes.read_bytes() * 2)
    with pytest.raises(StepError, match=r"twice.jsonl:25: the id 'p00' is there twice"):
        generate(job(tiny, twice, tmp_path))


def test_a_journal_of_other_work_is_thrown_away(tmp_path: Path) -> None:
    first = Journal(tmp_path / "out", "one")
    first.append({line_key("a"): b'{"id":"a","v":1}', line_key("b"): b'{"id":"b"}'})
    first.file.close()
    again = Journal(tmp_path / "out", "one")
    assert sorted(again.done) == [line_key("a"), line_key("b")]
    again.file.close()
    other = Journal(tmp_path / "out", "two")
    assert not other.done
    other.append({line_key("b"): b'{"id":"b"}', line_key("a"): b'{"id":"a"}'})
    other.finish([line_key("a"), line_key("b")])
    assert (tmp_path / "out").read_bytes() == b'{"id":"a"}\n{"id":"b"}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    several = Journal(tmp_path / "out", "three")
    lines = {line_key("a", n): json.dumps({"id": "a", "repeat": n}).encode() for n in range(3)}
    several.append(lines)
    several.file.close()
    again = Journal(tmp_path / "out", "three")
    assert again.done == lines and len(lines) == 3
    assert line_key("a", 1) != line_key(line_key("a", 1)), "an id may look like any key"
    again.finish(list(lines))
    assert (tmp_path / "out").read_bytes() == b"".join(x + b"\n" for x in lines.values())


def test_lm_eval_from_another_folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from runner.jobs.lm_eval import LmEvalJob, evaluate

    rows = [{"question": f"Is it {i}?", "choices": ["yes", "no"], "answer": i % 2} for i in range(6)]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "everyday-facts.jsonl").write_text(data, encoding="utf-8")
    task = "everyday_facts"
    (tmp_path / f"{task}.yaml").write_bytes((ROOT / f"evals/tasks/{task}.yaml").read_bytes())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    out = tmp_path / "out"
    job = LmEvalJob(
        model=str(tiny), arm="base", tasks=[task], task_folder=str(tmp_path), out=str(out), limit=4
    )
    evaluate(job)
    results = json.loads((out / "results.json").read_text())
    acc = next(r for r in results["results"] if r["metric"] == "acc")
    assert acc["n"] == 4 and sorted(acc["samples"]) == ["0", "1", "2", "3"]
    assert acc["value"] == pytest.approx(sum(acc["samples"].values()) / 4)
    assert results["adapter_proof"] is None
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert samples[0]["prompt"].endswith("<|im_start|>assistant\n")


def test_a_template_that_refuses_a_probe_is_said(tiny: Path) -> None:
    from types import SimpleNamespace

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    loaded: Any = SimpleNamespace(tokenizer=tokenizer)
    for template in (
        None,
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages[0]['content'] + 1 }}",
    ):
        tokenizer.chat_template = template
        with pytest.raises(StepError, match="chat template cannot render the probe 'odd'") as e:
            encode(loaded, Probe("odd", [Message("user", "Hello?")]))
        assert "model.template" in str(e.value) and (template is None or len(str(e.value)) < 600)


def test_small_parts() -> None:
    assert batches({"a": 1, "b": 3, "c": 3, "d": 2}, 3) == [["b", "c", "d"], ["a"]]
    assert cut([5, 1, 0, 0], [1]) == [5, 1] and cut([5, 6], [1]) == [5, 6] and cut([], [1]) == []
    calls = [ToolCall("call_1", FunctionCall("f", a)) for a in ('{"x":null}', "{broken")]
    built = for_template(Message("assistant", None, calls))
    assert [c["function"]["arguments"] for c in built["tool_calls"]] == [{"x": None}, "{broken"]
