"""Expected calls that no answer could be: the probe's fault, which must not be scored as the model's."""

from __future__ import annotations

from runner.judges.tool_use.bfcl import ExpectedCall, Tools, clip, takes


def faulty_call(call: ExpectedCall, tools: Tools) -> str:
    """Why no call could be the expected one; empty where one could."""
    if call.name not in tools:
        known = clip(", ".join(tools)) or "none"
        return f"a call of {clip(call.name)} is expected, which is none of the probe's tools ({known})"
    schema = tools[call.name]
    for name, accepted in call.arguments.items():
        if not accepted:
            return f"{call.name}: no value of {clip(name)} is right; list those that are"
        if not takes(schema, name) and "" not in accepted:
            return f"{call.name} has no parameter {clip(name)}, which is expected"
    for name in schema.get("required", []):
        if name not in call.arguments:
            return f"{call.name} requires {clip(str(name))}, of which no value is expected"
    return ""
