"""The report page: one offline HTML file, from the dict that is also report.json.

The page asks nothing of the network (its own policy forbids it) and depends on nothing but its
input: no clock, no random names. All text of the report is untrusted: it is made `visible` first and
escaped by the template engine. The one script that the policy lets run, named by its digest, is page.js:
it hides samples that lack the words typed, and where it does not run the page is whole without it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import shown
from runner.page import charts, data
from runner.page.river import COLOURS, river
from runner.page.samples import words
from runner.page.view import style, view
from runner.shown import finite

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
BREAKS = re.compile(r"(?<=[._/])(?=\w)")
FILTERS = (
    *(shown.count, shown.number, shown.measure, shown.spread, shown.change, shown.chance),
    *(shown.size, shown.share, shown.part, shown.duration, words, style),
)
CURVES = (
    *(("loss", "Loss"), ("learning_rate", "Learning rate"), ("grad_norm", "Gradient norm")),
    *(("tokens_per_second", "Tokens a second"), ("memory", "GPU memory, GiB")),
)
MEASURED = ("tokens_per_second", "memory")


def render(report: dict[str, Any]) -> str:
    """The whole page as HTML. Parts that the report lacks, or holds as null, are left out."""
    return environment().get_template("page.html.j2").render(view(shown.clean(report))) + "\n"


@cache
def environment(*folders: Path) -> Environment:
    """What renders templates of ours: this folder's and those of `folders`; all text is escaped.

    What a template is given must be `shown.clean`.
    """
    from jinja2 import ChainableUndefined, Environment, FileSystemLoader
    from markupsafe import Markup

    def drawn(draw: Any) -> Any:
        return lambda *args, **options: Markup(draw(*args, **options))

    env = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=ChainableUndefined,
        loader=FileSystemLoader([HERE, *folders]),
    )
    env.filters.update({one.__name__: one for one in FILTERS})
    env.filters["breaks"] = lambda text: Markup("<wbr>").join(BREAKS.split(str(text)))
    env.globals.update(
        bar=drawn(charts.bar),
        arm=drawn(arm),
        ruler=drawn(lambda m: charts.scale(m["domain"], shown.coarse(m.get("unit", "")))),
        histogram=drawn(data.histogram),
        river=drawn(river),
        colours=COLOURS,
        curves=drawn(training_curves),
        stylesheet=Markup(stylesheet()),
        script=Markup(script()),
        script_digest=f"'sha256-{base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()}'",
    )
    return env


def stylesheet() -> str:
    """The style of every page of ours, as it stands between its tags."""
    return (HERE / "style.css").read_text(encoding="utf-8")


def script() -> str:
    """The text of the page's one script, as it stands between its tags."""
    return "\n" + (HERE / "page.js").read_text(encoding="utf-8")


def arm(metric: dict[str, Any], side: str) -> str:
    """One arm of a metric, drawn on the metric's axis."""
    cell = metric["cells"].get(side) or {}
    low, high = finite(cell.get("low")), finite(cell.get("high"))
    limits = (low, high) if low is not None and high is not None else None
    value, gates = finite(cell.get("value")), metric["thresholds"]
    return charts.interval(style(side), value, limits, metric["domain"], gates)


def training_curves(training: dict[str, Any], measured: list[dict[str, Any]]) -> str:
    """Loss with validation, then the learning rate, the gradient's norm, and what a log says of memory and speed."""
    drawn = []
    for key, name in CURVES:
        line = _points(measured if key in MEASURED else training.get("steps"), key)
        if not line and key != "loss" and key != "learning_rate":
            continue
        series = [charts.Series(f"train {key}", line)]
        if key == "loss":
            if len(line) >= 20:
                soft = charts.smooth(line, max(2, len(line) // 30))
                series = [charts.Series("raw", line), charts.Series("train", soft)]
            series.append(charts.Series("valid", _points(training.get("validation"), key), True))
        ends = f", from {shown.number(line[0][1])} to {shown.number(line[-1][1])}" if line else ""
        height = 240 if key == "loss" else 110
        label = f"{name} over {len(line)} logged steps{ends}."
        drawn.append(charts.curves(series, x="step", y=name, label=label, height=height))
    return "".join(drawn)


def _points(rows: Any, key: str) -> list[tuple[float, float]]:
    """The finite points of a logged quantity, by step."""
    pairs = [(finite(row.get("step")), finite(row.get(key))) for row in rows or []]
    return sorted((x, y) for x, y in pairs if x is not None and y is not None)
