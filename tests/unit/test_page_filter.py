"""The report page's filter, in a real browser that has no network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pages
import pytest

from runner.page import render


def sample(number: int, answer: str) -> dict[str, Any]:
    return {
        "id": f"s{number:02}",
        "prompt": [{"role": "user", "content": f"Question {number}"}],
        "answers": {"base": "No idea.", "tuned": answer},
        "scores": {"right_call": {"base": 0.0, "tuned": 1.0}},
        "reasons": {"right_call": {"base": "no call was made"}},
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    evil = "</script><script>document.title = 'owned'</script>"
    samples = [sample(n, "The river, sir." if n % 10 == 0 else evil) for n in range(40)]
    ids = [s["id"] for s in samples]
    suite = {"name": "s", "metrics": [], "samples": samples, "best": ids[:10], "worst": ids[:-11:-1]}
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render({"name": "r", "suites": [suite]}), encoding="utf-8")
    with pages.chromium() as browser, pages.opened(browser, file) as found:
        yield found


def shown(page: Any) -> list[str]:
    found = page.eval_on_selector_all(
        "details.sample", "rows => rows.filter(r => !r.hidden).map(r => r.querySelector('code').textContent)"
    )
    return sorted(found)


def test_it_filters_by_all_words_in_all_texts(page: tuple[Any, list[str]]) -> None:
    one, said = page
    assert len(shown(one)) == 40 and one.is_visible("#filter")
    assert not one.is_visible("details.more details.sample")
    one.fill("#filter", "RIVER  sir")
    assert shown(one) == ["s00", "s10", "s20", "s30"]
    assert one.text_content("#filtered") == "4 of 40 samples"
    assert one.is_visible("details.more details.sample:not([hidden])")  # what was folded is found too
    one.fill("#filter", "no call was made s07")  # evidence and ids count as well
    assert shown(one) == ["s07"]
    one.fill("#filter", "nowhere")
    assert shown(one) == []
    one.fill("#filter", "")
    assert len(shown(one)) == 40 and one.text_content("#filtered") == ""
    assert (
        one.title() == "r · report" and said == []
    )  # nothing of the report ran, and the policy stopped nothing
