"""The card's text: the model, its use, data, training, verdicts, limits, and where it all comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.markdown import code, fenced, paragraph, plain, table
from runner.modelcard.facts import Facts, Form
from runner.modelcard.notes import rights
from runner.modelcard.usage import usage
from runner.modelcard.verdicts import verdicts

ATTRIBUTIONS = 100  # a card names so many; LICENCES.md of an export has them all


def body(facts: Facts, form: Form, proof: Mapping[str, Any]) -> list[str]:
    """The lines after the header."""
    return [
        f"# {plain(facts.name)}",
        "",
        *([paragraph(facts.description), ""] if facts.description.strip() else []),
        *_model(facts, form, proof),
        *usage(facts, form),
        *_data(facts),
        *_training(facts),
        *verdicts(facts),
        *_limits(facts, form),
        *_origin(facts),
    ]


def _base(facts: Facts) -> str:
    base = facts.base
    name = f"[{base.hub}](https://huggingface.co/{base.hub})" if base.hub else code(base.name)
    at = f", revision {code(base.revision)}" if base.revision else ""
    return f"{name}{at}"


def _model(facts: Facts, form: Form, proof: Mapping[str, Any]) -> list[str]:
    base = facts.base
    merged = "every weight trained" if facts.full else "with a LoRA adapter merged into it"
    what = {
        "adapter": "A LoRA adapter. The base model is not in it.",
        "merged": f"The whole base model, {merged}.",
        "gguf": f"The base model, {merged}, as one GGUF file.",
    }[form]
    lines = ["## Model", "", what, "", f"- Base model: {_base(facts)}"]
    if base.origin:
        lines.append(f"- Its weights are those of {plain(base.origin)}, not the hub's own")
    elif not base.revision and base.hub:
        lines.append("- No revision of the base model was pinned")
    if not facts.full:
        lines += [f"- Base weights in training: {_weights(facts)}", f"- Adapter: {_adapter(facts.adapter)}"]
    if many := facts.training.get("trainable_parameters"):
        lines.append(f"- Trainable parameters: {many:,}")
    template = facts.template
    name = "the base model's own" if template.name == "model" else code(template.name)
    sha = f" (sha256 {template.sha256})" if template.sha256 else ""
    lines.append(f"- Chat template: {name}{sha}")
    if template.end_of_turn:
        lines.append(f"- A turn ends with {code(template.end_of_turn)}")
    lines.append(f"- Longest record: {facts.max_length:,} tokens")
    if form != "adapter" and not facts.full:
        bits = base.four_bits
        onto = f"the numbers that {bits[0].upper()} stands for" if bits else "the base model's own weights"
        lines.append(f"- Merged in float32 onto {onto}, which are what it was trained on")
    if proof and not facts.full:
        lines.append(f"- Merged against adapter and base, on one prompt: {_proved(proof)}")
    return [*lines, ""]


def _weights(facts: Facts) -> str:
    if not (bits := facts.base.four_bits):
        return "as they are"
    return f"in 4 bits ({bits[0].upper()}{', double quantization' if bits[1] else ''})"


def _adapter(adapter: Mapping[str, Any]) -> str:
    kinds = [name for key, name in (("dora", "DoRA"), ("rslora", "rank-stabilised")) if adapter.get(key)]
    whole = adapter.get("modules_to_save") or []
    return (
        f"{', '.join([adapter['type'], *kinds])}, rank {adapter['r']}, alpha {adapter['alpha']}, dropout "
        f"{adapter['dropout']:g}, on {', '.join(map(code, adapter['targets']))}"
        + (f"; trained whole: {', '.join(map(code, whole))}" if whole else "")
    )


def _proved(proof: Mapping[str, Any]) -> str:
    return (
        f"the same {proof['greedy_tokens']} greedy tokens; the largest difference of a logit is "
        f"{proof['merge_error']:.2g} in float32 and {proof['saved_error']:.2g} as saved, where the adapter's own "
        f"effect is {proof['max_logit_difference']:.2g}"
    )


def _data(facts: Facts) -> list[str]:
    rows = facts.rows
    said = (
        f"{rows['in']:,} rows came in: {rows['trained']:,} were trained, {rows['validation']:,} held out for "
        f"validation, {rows['dropped']:,} dropped."
    )
    if facts.proof.get("tokens"):
        said += (
            f" The {facts.proof['records']:,} records that were used have {facts.proof['tokens']:,} tokens, of which "
            f"{facts.proof['trained_tokens']:,} carry a loss."
        )
    lines = ["## Data", "", said, "", *rights(facts, ATTRIBUTIONS), ""]
    if facts.datasets:
        pinned = ((code(path), code(facts.revisions.get(path, "not pinned"))) for path in facts.datasets)
        lines += [*table(("data set of the hub", "revision"), pinned), ""]
    if facts.terms:
        lines += ["What the licences ask:", "", *(f"- {paragraph(t)}" for t in facts.terms), ""]
    dropped: dict[tuple[str, str], int] = {}
    for x in rows["by_reason"]:
        key = (x["by"], x["reason"])
        dropped[key] = dropped.get(key, 0) + x["rows"]
    if dropped:
        told = ((plain(by), plain(why), f"{n:,}") for (by, why), n in sorted(dropped.items()))
        lines += ["### Dropped", "", *table(("by", "reason", "rows"), told), ""]
    shares = (
        (
            plain(s["name"]),
            "" if s["asked"] is None else f"{s['asked']:.1%}",
            f"{s['got']:.1%}",
            f"{s['records']:,}",
        )
        for s in facts.mix["shares"]
    )
    head = (plain(facts.mix["by"]), "asked", f"got, in {facts.mix['unit']}", "records")
    return [*lines, "### Mix", "", *table(head, shares), ""]


def _training(facts: Facts) -> list[str]:
    train, found = facts.train, facts.training
    steps = [s for s in found.get("steps", []) if s.get("loss") is not None]
    rows: list[tuple[str, str]] = []
    if steps:
        epoch = steps[-1].get("epoch")
        rows += [
            ("steps", f"{steps[-1]['step']:,}"),
            *([("epochs", f"{epoch:.3g}")] if epoch is not None else []),
            ("loss of the first step", f"{steps[0]['loss']:.4g}"),
            ("loss of the last step", f"{steps[-1]['loss']:.4g}"),
        ]
        if len(last := [s["loss"] for s in steps[-10:]]) == 10:
            rows.append(("loss, mean of the last 10 steps", f"{sum(last) / 10:.4g}"))
    for name, n in (("first", 0), ("last", -1)):
        if held := found.get("validation", []):
            rows.append((f"validation loss, {name}", f"{held[n]['loss']:.4g} at step {held[n]['step']:,}"))
    if best := found.get("best"):
        rows.append(("taken: the lowest validation loss", f"{best['loss']:.4g} at step {best['step']:,}"))
    rows += [
        ("learning rate", f"{train['learning_rate']:g}, {train['schedule']}, warm-up {train['warmup']:g}"),
        ("batch", f"{train['effective_batch']}, {train['micro_batch']} at a time"),
        ("packing", "yes" if train["packing"] else "no"),
        ("optimizer", plain(str(train["optimizer"]))),
        ("precision", plain(str(train["precision"]))),
        ("hardware profile", plain(facts.profile)),
        ("seed", str(train["seed"])),
    ]
    return ["## Training", "", *table(("what", "value"), rows), ""]


def _limits(facts: Facts, form: Form) -> list[str]:
    lines = ["## Limits", ""]
    failed, unsure = (
        [g["gate"] for g in facts.gates if g["verdict"] == what] for what in ("fail", "inconclusive")
    )
    if not any(m["tuned"]["value"] is not None for s in facts.suites for m in s["metrics"]):
        lines.append("- It was not evaluated.")
    else:
        lines.append(
            "- Only what stands in the tables above was measured, on as many prompts as they say. Of its safety, its "
            "biases and its other abilities nothing is known beyond that."
        )
    if failed:
        lines.append(f"- These conditions of its own recipe are not met: {', '.join(map(code, failed))}.")
    if unsure:
        lines.append(
            f"- Whether it meets these is open, the prompts were too few to tell: {', '.join(map(code, unsure))}."
        )
    if facts.languages:
        lines.append(
            f"- Trained on text in {', '.join(map(plain, facts.languages))} only, as a language detector saw it."
        )
    lines.append(
        f"- Trained on records of up to {facts.max_length:,} tokens; of longer ones nothing is known."
    )
    if form == "adapter" and facts.base.four_bits:
        lines.append(
            "- It was trained on a base in 4 bits and belongs on one. On the base's own weights it is a different "
            "model, which was not evaluated."
        )
    if form == "adapter" and facts.base.origin:
        lines.append(
            "- The base's weights on the hub differ from those that it was trained on; on them it was not evaluated."
        )
    if form == "gguf":
        lines.append("- The verdicts are those of the model before its conversion.")
    lines.append("- It must be used with its chat template; with another, what was measured does not hold.")
    return [*lines, ""]


def _origin(facts: Facts) -> list[str]:
    versions = ((plain(name), plain(of)) for name, of in sorted(facts.versions.items()))
    return [
        "## Where it comes from",
        "",
        f"- sha256 of the recipe as it took effect: `{facts.recipe_sha256}`",
        f"- fingerprint of the training: `{facts.step}`",
        "",
        *table(("library", "version"), versions),
        "",
        "<details>",
        "<summary>The whole recipe</summary>",
        "",
        *fenced(facts.recipe_yaml, "yaml"),
        "",
        "</details>",
    ]
