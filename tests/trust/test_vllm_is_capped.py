"""vLLM renders in its own process, maybe of another environment: it is started with our caps on chat templates in it.

Tried by hand with vLLM 0.32 for the CPU in an environment without mirepoix: a request that made the template loop
without end was answered 400 in 0.02 seconds, with the sentence below, and the next one by the model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runner.serving import vllm

FAKE = """\
import sys
from transformers.utils.chat_template_utils import render_jinja_template
try:
    render_jinja_template([[]], chat_template="{% for i in range(99999) %}{{ 'a' * 99999 }}{% endfor %}")
except Exception as e:
    print(f"refused: {e}")
ours = {name.partition(".")[0] for name, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(OURS)}
print(sorted(ours), sys.argv[1:], "msgspec" in sys.modules)
"""
# As where mirepoix is not installed: nothing is found by that name.
WITHOUT = """\
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "runner":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def server(folder: Path, more: str = "") -> subprocess.CompletedProcess[str]:
    """What vllm_server.py does, where vLLM's server is a few lines that render as vLLM does."""
    place = folder / "vllm" / "entrypoints" / "openai"
    place.mkdir(parents=True)
    for part in (place, place.parent, place.parent.parent):
        (part / "__init__.py").touch()
    (place / "api_server.py").write_text(f"OURS = {str(vllm.SERVER.parents[1])!r}\n{FAKE}")
    (folder / "without.py").write_text(WITHOUT + more)
    argv = [sys.executable, str(folder / "without.py"), str(vllm.SERVER), "--model", "x"]
    env = os.environ | {"PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(argv, capture_output=True, text=True, env=env, check=False, timeout=120)


def test_it_refuses_the_request_and_goes_on(tmp_path: Path) -> None:
    done = server(tmp_path)
    assert done.returncode == 0, done.stderr
    refused, about = done.stdout.splitlines()
    assert refused.startswith("refused: takes too much work or memory")
    # Nothing of ours but templates, and no package that it needs.
    assert about == "['__main__', 'runner'] ['--model', 'x'] False"


def test_one_that_cannot_be_capped_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "transformers" / "utils").mkdir(parents=True)
    for name in ("__init__.py", "utils/__init__.py", "utils/chat_template_utils.py"):
        (tmp_path / "transformers" / name).touch()
    done = server(tmp_path)
    assert done.returncode == 3
    assert (
        "error: templates: this version of transformers renders chat templates in a way that" in done.stderr
    )
    assert not done.stdout
