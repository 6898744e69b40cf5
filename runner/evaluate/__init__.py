"""Stage evaluate: base and tuned model, and the arms that a recipe names, meet the same held-out prompts; judges score
what they said. A file here is a step; `jobs` starts the child processes, `probes` says what is asked.

Answers are artifacts of their own, so a changed judge never makes a model speak again.
"""

from __future__ import annotations

from runner.evaluate.answers import answers
from runner.evaluate.askable import askable
from runner.evaluate.contaminated import contaminated
from runner.evaluate.judging import judge
from runner.evaluate.lmeval import lm_eval
from runner.evaluate.perplexity import perplexity
from runner.evaluate.result import result, verdict
from runner.evaluate.taskdata import task
from runner.making import Maker

MAKERS: dict[str, Maker] = {
    "askable": askable,
    "contaminated": contaminated,
    "generate": answers,
    "judge": judge,
    "lm_eval": lm_eval,
    "perplexity": perplexity,
    "result": result,
    "task": task,
    "verdict": verdict,
}
