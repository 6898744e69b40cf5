"""`recipe evaluate`: an endpoint, a model folder and a run's result on suites, without a recipe."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import main
from runner.evaluating import folder_name, plan
from runner.store import digest


class Handler(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        bad = "three" in body["messages"][-1]["content"]
        message = {"content": None if bad else "Hello."}
        raw = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    Handler.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("evals/suites", "evals/probes"):
        (tmp_path / folder).mkdir(parents=True)
    rows = [
        {
            "id": w,
            "messages": [{"role": "user", "content": f"Question {w} of these?"}],
            "expect": {"calls": []},
        }
        for w in ("one", "two", "three", "four")
    ]
    (tmp_path / "evals/probes/few.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    text = "suite: 1\nname: few\nprobes: probes/few.jsonl\nmax_new_tokens: 8\njudge: {tool_use: {}}\n"
    (tmp_path / "evals/suites/few.yaml").write_text(text)
    (tmp_path / "evals/suites/facts.yaml").write_text(
        "suite: 1\nname: facts\nlm_eval: {tasks: [everyday_facts], limit: 5}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIREPOIX_PACE", "1000")
    return tmp_path


def evaluate(*argv: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *argv])


def test_an_endpoint_that_no_recipe_made(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIREPOIX_ENDPOINTS", f"house={url}")
    done = evaluate("big-one", "--endpoint", "house", "--suite", "few", "--system", "Be brief.")
    assert done.exit_code == 0, done.output
    assert re.search(r"few\.no_call +house +1\.0000 \[0\.\d+, 1\.0000\]  n = 3, 1 missing", done.stdout), (
        done.stdout
    )
    run = home / "runs" / folder_name("big-one", "house")
    report = json.loads((run / "report.json").read_bytes())
    assert report["suites"][0]["failed"] == {"house": 1}
    assert report["suites"][0]["decoding"]["house"]["engine"] == "endpoint house: big-one"
    assert "the answer is empty" in json.dumps(report["suites"][0]["samples"])
    page = (run / "report.html").read_text().replace("<wbr>", "")
    assert "few.no_call" in page and "Traceback" not in page
    assert not (run / "recipe.yaml").exists() and "big-one" in (run / "evaluation.yaml").read_text()
    assert url not in (run / "report.json").read_text()
    assert len(Handler.asked) == 4 and {m["messages"][0]["content"] for m in Handler.asked} == {"Be brief."}
    again = evaluate("big-one", "--endpoint", "house", "--suite", "few", "--system", "Be brief.", "--json")
    assert json.loads(again.stdout)["suites"] == report["suites"]
    assert len(Handler.asked) == 4, "what was answered before is not asked again"
    other = evaluate("other-one", "--endpoint", "house", "--suite", "few", "--name", "theirs")
    assert other.exit_code == 0, other.output
    both = CliRunner().invoke(main, ["compare", run.name, "theirs", "--json"])
    assert both.exit_code == 0 and "few.no_call" in both.stdout, both.output


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nothing", "--suite", "few"), "no model 'nothing': no folder with a config.json, no hub id"),
        (("~nosuchuser/x", "--suite", "few"), "no model '~nosuchuser/x'"),
        (
            ("big", "--endpoint", "house", "--suite", "few", "--suite", "fe_w", "--suite", "fe-w"),
            "the suites 'fe-w' and 'fe_w' would both name their metrics fe_w.…; rename one",
        ),
        (("tiny", "--suite", "few", "--endpoint", "own"), "is the run of a recipe; take another name"),
        (("nothing", "--suite", "fwe"), "no model 'nothing'"),
        (("big", "--endpoint", "house", "--suite", "fwe"), "no suite 'fwe' (did you mean few?)"),
        (
            ("big", "--endpoint", "house", "--suite", "facts"),
            "needs a model's weights: an endpoint tells none",
        ),
        (("big", "--endpoint", "No House", "--suite", "few"), "cannot be an endpoint's name"),
        (("tiny", "--suite", "few", "--name", "mine"), "'mine' is the run of a recipe; take another name"),
        (("tiny", "--suite", "few", "--name", "../x"), "'../x' cannot name a run"),
        (("tiny", "--suite", "strict"), "decodes as transformers cannot; take --engine vllm"),
    ],
)
def test_what_cannot_be_is_said(home: Path, argv: tuple[str, ...], said: str) -> None:
    (home / "tiny").mkdir()
    (home / "tiny/config.json").write_text("{}")
    (home / "runs/mine").mkdir(parents=True)
    (home / "runs/mine/recipe.yaml").write_text("recipe: 1\n")
    text = (home / "evals/suites/few.yaml").read_text().replace("name: few", "name: strict")
    (home / "evals/suites/strict.yaml").write_text(text + "decoding: {strict: true}\n")
    for name in ("fe_w", "fe-w"):
        text = (home / "evals/suites/few.yaml").read_text().replace("name: few", f"name: {name}")
        (home / f"evals/suites/{name}.yaml").write_text(text)
    taken = home / "runs" / folder_name("tiny", "own")
    taken.mkdir()
    (taken / "recipe.yaml").write_text("recipe: 1\n")
    done = evaluate(*argv)
    assert done.exit_code == 2 and said in done.stderr, done.output


@pytest.mark.parametrize("argv", [("big", "--endpoint", "house"), ("tiny",), ("../tiny",)])
def test_no_suite_reads_a_file_outside(
    home: Path, url: str, argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIREPOIX_ENDPOINTS", f"house={url}")
    for folder in (home / "tiny", home.parent / "tiny"):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
    (home.parent / "private.jsonl").write_text((home / "evals/probes/few.jsonl").read_text())
    text = (home / "evals/suites/few.yaml").read_text().replace("name: few", "name: leaks")
    text = text.replace("probes/few.jsonl", "../../private.jsonl")
    (home / "evals/suites/leaks.yaml").write_text(text)
    done = evaluate(*argv, "--suite", "leaks")
    assert done.exit_code == 4 and "lies outside the workspace" in done.stderr, done.output
    assert not Handler.asked
    plan(argv[0], ["few"], home, endpoint=argv[-1] if len(argv) > 1 else None)  # the model may lie outside


def test_two_models_of_one_last_name_have_two_folders() -> None:
    names = {folder_name(m, e) for m in ("a/llama", "b/llama", "x" * 99) for e in (None, "house")}
    assert len(names) == 6 and all(len(n) <= 64 for n in names)
    assert folder_name("a/llama", None).startswith("evaluate-llama-")


def test_an_endpoint_that_is_not_in_the_settings(home: Path) -> None:
    done = evaluate("big", "--endpoint", "house", "--suite", "few")
    assert done.exit_code == 3 and "say where it is: setting endpoints, as house=URL" in done.stderr


@pytest.mark.usefixtures("forked_jobs")
def test_a_folder_and_a_run(home: Path, tiny: Path, lora: Callable[[Path, Path], Path]) -> None:
    done = evaluate(str(tiny), "--suite", "few", "--suite", "facts", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["run"].endswith("runs/" + folder_name(str(tiny), None))
    metrics = {m["metric"]: m["arms"] for s in found["suites"] for m in s["metrics"]}
    assert set(metrics["few.no_call"]) == {"base"} and metrics["facts.everyday_facts.acc"]["base"]["n"] == 5

    shutil.copytree(tiny, home / "tiny")
    run = home / "runs/mine"
    lora(tiny, run / "adapter")
    (run / "recipe.yaml").write_text(
        "recipe: 1\nname: mine\nmodel: {base: tiny, template: model}\nevaluate: {system: Be a captain.}\n"
    )
    about = {"recipe": "mine", "step": "0" * 64, "template": digest(None), "base_weights": "as they are"}
    (run / "adapter/mirepoix.json").write_text(json.dumps(about))
    done = evaluate("mine", "--suite", "few", "--json")
    assert done.exit_code == 0, done.output
    suite = json.loads(done.stdout)["suites"][0]
    assert set(suite["metrics"][0]["arms"]) == {"base", "tuned"}
    said = suite["samples"][0]["answers"]
    assert said["base"] != said["tuned"]
    report = json.loads((home / "runs" / folder_name("mine", None) / "report.json").read_bytes())
    assert report["adapter_proof"]["max_logit_difference"] > 0
    rows = [
        json.loads(x)
        for x in (home / "runs" / folder_name("mine", None) / "answers/tuned/few.jsonl")
        .read_bytes()
        .splitlines()
    ]
    assert [r["id"] for r in rows] == ["one", "two", "three", "four"]

    # Suites that its recipe did not name are looked for in what it was trained on.
    asked = json.loads((home / "evals/probes/few.jsonl").read_bytes().splitlines()[0])["messages"]
    (run / "data").mkdir()
    talk = {"messages": [*asked, {"role": "assistant", "content": "So it is."}], "meta": {"id": "talk/1"}}
    (run / "data/train.jsonl").write_text(json.dumps(talk) + "\n")
    done = evaluate("mine", "--suite", "few", "--name", "again")
    assert done.exit_code == 3, done.output
    assert "contaminated: the probe 'one' of the suite 'few' stands in the record 'talk/1'" in done.stderr


def test_another_models_evaluation_is_not_written_over(home: Path, url: str) -> None:
    (home / "runs/mine").mkdir(parents=True)
    (home / "runs/mine/evaluation.yaml").write_text("evaluation:\n  model: small\n  endpoint: house\n")
    done = evaluate("big", "--endpoint", "house", "--suite", "few", "--name", "mine")
    assert done.exit_code == 2 and "'mine' holds the evaluation of 'small' at 'house'" in done.stderr
