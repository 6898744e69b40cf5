"""Are a call's arguments valid against the JSON Schema of the probe's own tool?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner import toolschema
from runner.errors import Problem, RecipeError
from runner.judges.tool_use.bfcl import clip, read_arguments, short
from runner.record import FunctionCall


def schema_fault(call: FunctionCall, schema: Mapping[str, Any]) -> str:
    """Why the arguments are not valid against the tool's own schema (Draft 2020-12), or empty.

    Raises RecipeError where the schema itself is none: that is the probe's fault, never the answer's.
    """
    from jsonschema import SchemaError  # type: ignore[import-untyped,unused-ignore]
    from referencing.exceptions import Unresolvable

    try:
        arguments = read_arguments(call)
    except (ValueError, RecursionError) as e:
        return f"arguments: not JSON ({e})"
    if not isinstance(arguments, dict):
        return f"arguments: {short(arguments)} is not an object"
    try:
        errors = sorted(
            toolschema.validator(schema).iter_errors(arguments), key=lambda e: (e.json_path, e.message)
        )
    except RecursionError:
        return "arguments: nested too deep"
    except OverflowError:  # multipleOf divides: a whole number of 400 digits is no float
        return "arguments: a number too large"
    except (SchemaError, Unresolvable, toolschema.Unsafe) as e:
        raise RecipeError([Problem("probes", 0, 0, call.name, f"bad schema: {e}")]) from e
    return _worded(errors[0]) if errors else ""


def _worded(error: Any) -> str:
    where = "arguments" + str(error.json_path)[1:]
    if error.validator == "enum":
        allowed = ", ".join(map(str, error.validator_value))
        return f"{where}: {short(error.instance)} is not one of {clip(allowed)}"
    if error.validator == "type":
        kinds = error.validator_value
        kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
        return f"{where}: {short(error.instance)} is not of type {kind}"
    if error.validator == "required":
        missing = [k for k in error.validator_value if k not in error.instance]
        return f"{where}.{missing[0]}: is missing"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        extra = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        return f"{where}.{extra[0]}: is not a parameter" if extra else f"{where}: {error.message}"
    return f"{where}: {clip(str(error.message))}"
