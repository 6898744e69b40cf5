"""What `recipe check` takes, each a process of its own: `python benchmarks/check/bench.py [FOLDER …]`.

Of all shipped recipes, all examples, right and wrong, some with thousands of mistakes, and the recipes in the folders
that are named. CPU seconds, start and all, beside those of an interpreter that imports click, yaml and jsonschema, and
memory at its largest.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tests/examples"
IMPORTS = "import click, yaml, jsonschema"
# Of a small process of its own, since a child counts as large as whoever forked it.
MEASURE = (
    "import json, resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=-3, stderr=-3); "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    "print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
)


def measured(cwd: Path, *argv: str) -> tuple[int, float, float]:
    """Exit code, CPU seconds, MiB."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *argv], check=True, capture_output=True, cwd=cwd)
    code, seconds, mib = json.loads(done.stdout)
    return code, seconds, mib


START = "recipe: 1\nname: many\nsources:\n  - jsonl: {files: [data/talk.jsonl]}\n"
MANY = {
    "40,000 unknown keys": START + "".join(f"key{i}: 1\n" for i in range(40_000)),
    "20,000 unknown suites": START
    + "evaluate:\n  suites:\n"
    + "".join(f"    - suite{i}\n" for i in range(20_000)),
    "20,000 weights of no source": START
    + "mix:\n  weights:\n"
    + "".join(f"    w{i}: 0\n" for i in range(20_000)),
    "50,000 numbers for text": START + "adapter:\n  targets:\n" + "    - 1\n" * 50_000,
    "1,000 sources": "recipe: 1\nname: many\nsources:\n"
    + "".join(f"  - jsonl: {{files: [data/talk.jsonl]}}\n    name: s{i}\n" for i in range(1000)),
}


def main() -> None:
    given = [(Path(f).resolve(), Path(f).resolve()) for f in sys.argv[1:]]
    places = [
        (ROOT, ROOT / "recipes"),
        (EXAMPLES, EXAMPLES / "valid"),
        (EXAMPLES, EXAMPLES / "invalid"),
        *given,
    ]
    files = [(cwd, file) for cwd, folder in places for file in sorted(folder.rglob("*.yaml"))]
    bare = min(measured(ROOT, sys.executable, "-c", IMPORTS)[1] for _ in range(5))
    recipe = str(Path(sys.executable).with_name("recipe"))
    all_of = [(*measured(cwd, recipe, "check", str(file)), file) for cwd, file in files]
    codes = [code for code, *_ in all_of]
    seconds = [s for _, s, *_ in all_of]
    slowest = max(all_of, key=lambda one: one[1])
    largest = max(all_of, key=lambda one: one[2])
    print(f"{len(files)} recipes; exit codes { ({c: codes.count(c) for c in sorted(set(codes))}) }")
    print(f"bare interpreter with {IMPORTS[7:]}: {bare:.2f} s of CPU")
    print(f"median {statistics.median(seconds):.2f} s, {statistics.median(seconds) / bare:.1f} times that")
    print(f"slowest {slowest[1]:.2f} s, {slowest[1] / bare:.1f} times that: {slowest[3].name}")
    print(f"largest {largest[2]:.0f} MiB: {largest[3].name}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "many.yaml")
        for what, text in MANY.items():
            file.write_text(text)
            code, took, mib = measured(EXAMPLES, recipe, "check", str(file))
            print(f"{what}: {took:.2f} s, {mib:.0f} MiB, exit code {code}")


if __name__ == "__main__":
    main()
