"""BFCL's own checker as an oracle, in an environment of its own: `BFCL-PYTHON bfcl_oracle.py < cases > verdicts`.

A case is a line {"category", "functions", "calls": [{name: arguments}], "truth"}; its verdict a line {"valid"} or
{"crashed"}. The checker's module imports the list of models, and with it the clients of a dozen services, for one thing:
whether a model's function names have their dots replaced. A stand-in for that list says no, so that nothing but
bfcl-eval itself need be installed.
"""

import json
import sys
import types

models = types.ModuleType("bfcl_eval.constants.model_config")
models.MODEL_CONFIG_MAPPING = {"any": types.SimpleNamespace(underscore_to_dot=False)}
sys.modules[models.__name__] = models

from bfcl_eval.constants.enums import Language  # noqa: E402
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # noqa: E402

for line in sys.stdin:
    case = json.loads(line)
    try:
        said = ast_checker(
            case["functions"], case["calls"], case["truth"], Language.PYTHON, case["category"], "any"
        )
        verdict = {"valid": said["valid"], "why": str(said.get("error_type", ""))}
    except Exception as e:
        verdict = {"crashed": f"{type(e).__name__}: {e}"}
    sys.stdout.write(json.dumps(verdict) + "\n")
