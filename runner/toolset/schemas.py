"""The JSON Schemas of a tool set's tools, which a stranger wrote: looked at as those of records are (`toolschema`)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from runner import toolschema


def unsound(schema: Any) -> str:
    """Why a schema is none, or one by which nothing can be judged; empty where one can."""
    from jsonschema import SchemaError  # type: ignore[import-untyped,unused-ignore]
    from referencing.exceptions import Unresolvable

    try:
        toolschema.sound(schema)
    except SchemaError as e:
        return f"not a JSON Schema: {e.message[:500]}"
    except Unresolvable as e:
        return f"refers to {e.ref[:80]!r}, which is not in it"
    except toolschema.Unsafe as e:
        return str(e)
    except RecursionError:
        return "nested too deep"
    return ""


@lru_cache(maxsize=1024)
def _validator(schema: str) -> toolschema.Validator:
    return toolschema.validator(json.loads(schema))


def refused(schema: Any, value: Any) -> str:
    """What a sound schema has against a value; empty for nothing."""
    from referencing.exceptions import Unresolvable

    try:
        return next((str(e.message) for e in _validator(json.dumps(schema)).iter_errors(value)), "")
    except Unresolvable as e:
        return f"it refers to {e.ref[:80]!r}, which is not in it"
    except toolschema.Unsafe as e:
        return str(e)
    except RecursionError:
        return "it is nested too deep"
    except OverflowError:  # multipleOf divides: a whole number of 400 digits is no float
        return "a number too large"
