"""vLLM's server with our caps on chat templates: `VLLM_PYTHON …/vllm_server.py ARGUMENTS`, the arguments being vLLM's.

vLLM renders the messages of each request in its own process, by transformers. Its Python may be of an environment in
which mirepoix is not installed, and which must see nothing of ours: so this file is named by its path, and takes from
beside it `runner.templates` and what that needs, which is Python's own library and Jinja.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

SERVER = "vllm.entrypoints.openai.api_server"


def cap() -> None:
    """Cap what this process renders; ends it with exit code 3 where that cannot be done."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if not p or Path(p).resolve() != here]  # before Python 3.11
    if "runner" not in sys.modules:
        package = here.parent
        spec = importlib.util.spec_from_file_location(
            "runner", package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules["runner"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    from runner import templates
    from runner.errors import StepError

    try:
        templates.cap()
    except StepError as e:
        sys.stderr.write(f"error: {e}\n")
        raise SystemExit(e.exit_code) from None


if __name__ in ("__main__", "__mp_main__"):  # processes that vLLM starts come by here as the second
    cap()
if __name__ == "__main__":
    runpy.run_module(SERVER, run_name="__main__")
