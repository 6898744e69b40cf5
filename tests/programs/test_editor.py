"""What an editor shows of recipes and suites: a real yaml-language-server, offline, with the schemas of this checkout.

It is asked at every place of the schemas: what it offers there, what it says of each key under the cursor, and what it
marks in every typo of tests/examples/typos.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from runner.saying.misplaced import resolved
from runner.schema import recipe_schema, suite_schema

ROOT = Path(__file__).parents[2]
TYPOS = ROOT / "tests" / "examples" / "typos"
Keys = tuple[str | int, ...]
SETTINGS = {"yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}}

BEYOND = {
    "names a file, recipe, suite, model or template, and a schema knows none that are in a folder": (
        "base-unknown base-without-ending file-missing model-unknown suite template-unknown"
    ),
    "compares two places of the recipe": (
        "batch gate-arm gate-metric gate-suite least-above-most mix-by-tag sources-of-one-name tag-misspelt "
        "weight-of-no-source weights-sum"
    ),
    "is of a metric's scale, which its suite knows": "gate-above-one",
    "is right by YAML 1.1, or by what the server makes of it": (
        "colon-without-space-in-braces merge-key two-recipes"
    ),
}
"""Typos that no schema can see, by reason."""
BESIDE = {
    "quote-not-closed": "the server marks where the file ends",
    "two-plugins-in-one-item": "the server marks the item, not its second key",
}


class Server:
    """A language server, spoken to over its standard input and output."""

    def __init__(self, program: Path) -> None:
        argv = ["node", str(program), "--stdio"]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.numbers, self.notes = count(1), []
        completion = {"completionItem": {"documentationFormat": ["markdown"], "snippetSupport": True}}
        text = {"completion": completion, "hover": {"contentFormat": ["markdown"]}, "publishDiagnostics": {}}
        can = {"workspace": {"configuration": True}, "textDocument": text}
        self.ask("initialize", processId=None, rootUri=None, capabilities=can)
        self.tell("initialized")

    def _send(self, **message: Any) -> None:
        assert self.process.stdin
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the server has ended"
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        if "method" in message and "id" in message:  # it asks for its settings
            items = message["params"].get("items", ())
            self._send(id=message["id"], result=[SETTINGS.get(i.get("section")) for i in items] or None)
        elif "method" in message:
            self.notes.append(message)
        return message

    def tell(self, method: str, **params: Any) -> None:
        self._send(method=method, params=params)

    def ask(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self._send(id=number, method=method, params=params)
        while (answer := self._read()).get("id") != number or "method" in answer:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", textDocument=document)

    def marks(self, uris: set[str]) -> dict[str, list[dict[str, Any]]]:
        """What is wrong with files that are open."""
        found: dict[str, list[dict[str, Any]]] = {}
        while True:
            for note in self.notes:
                if note["method"] == "textDocument/publishDiagnostics":
                    found[note["params"]["uri"]] = note["params"]["diagnostics"]
            self.notes.clear()
            if uris <= found.keys():
                return found
            self._read()

    def offered(self, uri: str, line: int, column: int) -> dict[str, str]:
        """What is offered at a place, counted from 0: label → text beside it."""
        position = {"line": line, "character": column}
        items = self.ask("textDocument/completion", textDocument={"uri": uri}, position=position)
        items = items["items"] if isinstance(items, dict) else items
        return {i["label"]: _text(i.get("documentation")) for i in items}

    def hovered(self, uri: str, line: int, column: int) -> str:
        position = {"line": line, "character": column}
        said = self.ask("textDocument/hover", textDocument={"uri": uri}, position=position)
        return _text(said and said["contents"])


def _text(said: Any) -> str:
    return said["value"] if isinstance(said, dict) else said or ""


@pytest.fixture(scope="module")
def server(node_modules: Path) -> Iterator[Server]:
    program = node_modules / "yaml-language-server/bin/yaml-language-server"
    if shutil.which("node") is None or not program.is_file():
        pytest.skip("no yaml-language-server here: bash .ci/tools")
    server = Server(program)
    yield server
    server.process.kill()
    server.process.wait()


def objects(schema: Any, root: Any, path: Keys = ()) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """Every map that has keys of its own, by a path that leads to it, and the schemas of its keys."""
    schema = resolved(schema, root)
    if "items" in schema:
        yield from objects(schema["items"], root, (*path, 0))
    if isinstance(more := schema.get("additionalProperties"), dict):
        name = resolved(schema.get("propertyNames", {}), root).get("enum", ["some"])[0]
        yield from objects(more, root, (*path, name))
    if properties := schema.get("properties"):
        yield path, properties
        for key, inner in properties.items():
            yield from objects(inner, root, (*path, key))


def written(path: Keys) -> tuple[str, int]:
    """Lines that lead to the map at a path, and the column at which its keys are written."""
    text, column = "", 0
    for key in path:
        text += "- " if isinstance(key, int) else ("" if text.endswith("- ") else " " * column) + f"{key}:\n"
        if isinstance(key, int):
            text = text[:-2] + " " * column + "- "
        column += 2
    return text + ("" if text.endswith("- ") else " " * column), column


KINDS: dict[str, Callable[[], dict[str, Any]]] = {"recipe": recipe_schema, "suite": suite_schema}
PLACES = [(kind, path) for kind, schema in KINDS.items() for path, _ in objects(schema(), schema())]


def modeline(kind: str) -> str:
    return f"# yaml-language-server: $schema={(ROOT / 'schemas' / f'{kind}.schema.json').as_posix()}\n"


def described(schema: Any, root: Any) -> str:
    return str(schema.get("description") or resolved(schema, root).get("description") or "")


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\\", ""))


def test_there_are_places() -> None:
    assert len(PLACES) > 60
    wanted = {
        ("recipe", ()),
        ("recipe", ("sources", 0)),
        ("recipe", ("filters", 0, "language")),
        ("suite", ("judge",)),
    }
    assert wanted <= set(PLACES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_offered_and_explained(server: Server, kind: str) -> None:
    root = KINDS[kind]()
    missing = []
    for n, (path, properties) in enumerate(objects(root, root)):
        begin, column = written(path)
        uri = f"file:///{kind}-{n}.yaml"
        text = modeline(kind) + begin
        server.open(uri, text)
        offered = server.offered(uri, text.count("\n"), column)
        keys = f"\n{' ' * column}".join(f"{key}:" for key in properties)
        server.open(f"{uri}.all.yaml", text + keys + "\n")
        for line, (key, schema) in enumerate(properties.items(), text.count("\n")):
            about = plain(described(schema, root))
            said = plain(offered.get(key, "(it is not offered)"))
            hover = plain(server.hovered(f"{uri}.all.yaml", line, column + 1))
            if not about or said != about or about not in hover:
                missing.append((path, key, about, said, hover))
    assert not missing, json.dumps(missing, indent=1)


def test_a_typo_is_marked_where_it_is(server: Server) -> None:
    files = sorted(TYPOS.glob("*.yaml"))
    for file in files:
        server.open(file.as_uri(), modeline("recipe") + file.read_text(encoding="utf-8"))
    found = server.marks({file.as_uri() for file in files})
    beyond = {name for names in BEYOND.values() for name in names.split()}
    assert beyond <= {file.stem for file in files}
    unseen = {file.stem for file in files if not found[file.as_uri()]}
    assert unseen == beyond, "what a schema can see, and what it cannot"
    astray = []
    for file in files:
        marked = {mark["range"]["start"]["line"] for mark in found[file.as_uri()]}  # line 0 is the modeline
        golden = file.with_suffix(".txt").read_text(encoding="utf-8")
        said = {int(n) for n in re.findall(rf"^typos/{file.stem}\.yaml:(\d+):", golden, re.M)}
        near = {n + d for n in said for d in (-1, 0, 1)}  # the parsers take some faults for the next line's
        if marked and not marked & (said if "not YAML" not in golden else near) and file.stem not in BESIDE:
            astray.append((file.stem, said, found[file.as_uri()]))
    assert not astray


def test_a_right_recipe_has_no_mark(server: Server) -> None:
    files = [
        *sorted((ROOT / "recipes").glob("*.yaml")),
        *sorted((ROOT / "tests/examples/valid").glob("*.yaml")),
    ]
    for file in files:
        text = file.read_text(encoding="utf-8")
        server.open(file.as_uri(), re.sub(r"(?m)^# yaml-language-server:.*\n", "", text) + modeline("recipe"))
    suites = sorted((ROOT / "evals/suites").glob("*.yaml"))
    for file in suites:
        text = file.read_text(encoding="utf-8")
        server.open(file.as_uri(), re.sub(r"(?m)^# yaml-language-server:.*\n", "", text) + modeline("suite"))
    found = server.marks({file.as_uri() for file in (*files, *suites)})
    assert not {uri: marks for uri, marks in found.items() if marks and "typos" not in uri}


def test_values_are_offered(server: Server) -> None:
    text = modeline("recipe") + "train:\n  schedule: \n  packing: \nadapter: {type: }\nfilters:\n  - \n"
    server.open("file:///values.yaml", text)
    schedules = recipe_schema()["$defs"]["Train"]["properties"]["schedule"]["enum"]
    assert set(server.offered("file:///values.yaml", 2, 12)) == set(schedules)
    assert set(server.offered("file:///values.yaml", 3, 11)) >= {"true", "false"}
    assert {"qlora", "lora", "full"} <= set(server.offered("file:///values.yaml", 4, 16))


def test_a_suites_typos_are_marked(server: Server) -> None:
    good = next(f for f in sorted((ROOT / "evals/suites").glob("*.yaml")) if "judge:" in f.read_text())
    lines = re.sub(r"(?m)^# yaml-language-server:.*\n", "", good.read_text(encoding="utf-8")).splitlines()
    keys = [n for n, line in enumerate(lines) if re.match(r"\s*[a-z_]+:", line)]
    assert len(keys) >= 4
    for n in keys:
        bad = [
            re.sub(r"([a-z_]+):", r"\1zz:", line, count=1) if i == n else line for i, line in enumerate(lines)
        ]
        server.open(f"file:///suite-typo-{n}.yaml", modeline("suite") + "\n".join(bad) + "\n")
    found = server.marks({f"file:///suite-typo-{n}.yaml" for n in keys})
    for n in keys:
        marked = {mark["range"]["start"]["line"] for mark in found[f"file:///suite-typo-{n}.yaml"]}
        assert n + 1 in marked, lines[n]
