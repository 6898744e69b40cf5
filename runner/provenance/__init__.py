"""Why a thing of a run is what it is: the steps that it came of, back to raw inputs. For `recipe show why RUN WHAT`.

    left   what a run left: its folder, what its steps were made of, its artifacts, its lock
    asked  what is asked for, and where it came from first: a `file`, a `number`, an `answer` or a `row`, each a `thing`
    chain  the steps behind that, each with its statement (runner/store/statement.py)
    told   all of that for people

Only reads, and plans nothing: no input needs to be there any more, nor any artifact. What is gone is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.provenance.asked import asked
from runner.provenance.chain import chain, doubts, entry
from runner.provenance.left import find
from runner.provenance.told import text

__all__ = ["text", "why"]


def why(run: str, what: str, workspace: Path) -> dict[str, Any]:
    """The chain behind a thing of a run, as plain data. Raises UsageError where there is no such run or thing.

    `found` says what it is; `chain` are steps, the last one first, each with its `statement` or, where its artifact is
    gone, with what is still `known` of how it was made (None: nothing); `inputs` are raw files; `doubts` are sentences.
    """
    left = find(run, workspace)
    thing = asked(left, what)
    links = chain(left, thing.starts, thing.follow)
    inputs = {
        (d.name, *d.digest.items()): {"name": d.name, **d.digest, "step": one.step}
        for one in links
        for d in one.inputs
    }
    return {
        "run": run,
        "what": what,
        "kind": thing.kind,
        "found": thing.found,
        "chain": [entry(one, left) for one in links],
        "inputs": list(inputs.values()),
        "gone": [one.step for one in links if one.artifact is None],
        "doubts": [*thing.doubts, *doubts(links)],
    }
