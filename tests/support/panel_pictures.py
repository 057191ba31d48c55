"""Draws the panels of the dashboards from a live Prometheus, one page for each dashboard, where there is no Grafana.

Not what Grafana draws pixel by pixel: the same question, series, legend and unit, so that an empty panel, a legend that says
nothing and a wrong unit can be seen.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from watching import dashboards

WORDS = {"$__range": "2m", "$__rate_interval": "20s", "$__interval": "5s", "$network": ".*"}
_WIDE, _HIGH, _LEFT = 560, 170, 64
_COLOURS = ("#1b4f72", "#b9770e", "#1e8449", "#a93226", "#6c3483", "#117a65", "#7b7d7d", "#d35400")
_MOST = 12
_TIMES = ((86_400, "days"), (3_600, "h"), (60, "min"))
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body{{font:14px/1.4 system-ui,sans-serif;margin:20px;background:#f4f5f6;color:#1c2833}}
main{{display:grid;grid-template-columns:repeat(2,1fr);gap:14px}}
section{{background:#fff;border:1px solid #ccd1d5;border-radius:4px;padding:10px}}
h2{{font-size:15px;margin:0}} p{{margin:2px 0;color:#566;font-size:12px}} b{{font-size:26px}}
li{{list-style:none;display:inline-block;margin-right:12px;font-size:12px}} ul{{margin:4px 0;padding:0}}
td{{padding:1px 14px 1px 0}} .empty{{color:#a93226}} i{{display:inline-block;width:10px;height:10px;margin-right:4px}}
</style></head><body><h1>{title}</h1><main>{panels}</main></body></html>"""

type Ask = Callable[[str, bool], list[dict[str, Any]]]
"""Ask Prometheus: an expression, and whether over the last minutes (`values`) or now (`value`)."""


@dataclass(frozen=True)
class Series:
    """One series of a panel: what the legend says, and its points (when, how much)."""

    legend: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Drawn:
    """A panel as it was drawn."""

    board: str
    title: str
    unit: str
    series: tuple[Series, ...]
    words: dict[str, str]  # what stands for a value


def meant(expr: str) -> str:
    """Put something in the place of Grafana's words."""
    for word, value in WORDS.items():
        expr = expr.replace(word, value)
    return expr


def legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    """Return what the legend says of a series."""
    said = target.get("legendFormat") or ""
    if said in {"", "__auto"}:
        return ", ".join(value for name, value in labels.items() if name != "__name__") or "value"
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), said)


def read(ask: Ask, board: str, panel: dict[str, Any]) -> Drawn:
    """Ask everything that a panel asks."""
    found = []
    lasting = panel["type"] in {"timeseries", "state-timeline"}
    for target in panel["targets"]:
        for row in ask(meant(target["expr"]), lasting):
            values = row["values"] if lasting else [row["value"]]
            points = tuple((float(at), float(value)) for at, value in values)
            found.append(Series(legend(target, row["metric"]), points))
    defaults = panel["fieldConfig"]["defaults"]
    words = {
        value: said["text"]
        for one in defaults.get("mappings", ())
        if one["type"] == "value"
        for value, said in one["options"].items()
    }
    return Drawn(board, panel["title"], defaults.get("unit", ""), tuple(found), words)


def write(ask: Ask, folder: Path) -> list[Drawn]:
    """Draw every dashboard into a page in a folder; return every panel."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = []
    for name, board in dashboards().items():
        drawn = []
        panels = []
        for panel in board["panels"]:
            if panel["type"] == "row":
                continue
            one = read(ask, name, panel)
            drawn.append(one)
            panels.append(_section(panel, one))
        page = _PAGE.format(title=escape(board["title"]), panels="".join(panels))
        (folder / name).with_suffix(".html").write_text(page, "utf-8")
        everything += drawn
    return everything


def _section(panel: dict[str, Any], one: Drawn) -> str:
    body = _body(panel["type"], one) if one.series else '<p class="empty">no data</p>'
    about = escape(panel["description"])
    return (
        f"<section><h2>{escape(one.title)}</h2><p>{about}</p>{body}<p>unit: {escape(one.unit)}</p></section>"
    )


def _body(kind: str, one: Drawn) -> str:
    if kind in {"timeseries", "state-timeline"}:
        return _lines(one)
    if kind == "stat" and len(one.series) == 1:
        return f"<b>{_said(one, one.series[0].points[-1][1])}</b>"
    rows = "".join(
        f"<tr><td>{escape(each.legend)}</td><td>{_said(one, each.points[-1][1])}</td></tr>"
        for each in one.series[:_MOST]
    )
    return f"<table>{rows}</table>"


def _lines(one: Drawn) -> str:
    points = [point for each in one.series for point in each.points if math.isfinite(point[1])]
    if not points:
        return '<p class="empty">nothing but NaN</p>'
    begin, end = min(at for at, _ in points), max(at for at, _ in points)
    low, high = min(0.0, *(value for _, value in points)), max(value for _, value in points)
    high = high if high > low else low + 1

    def place(at: float, value: float) -> str:
        across = _LEFT + (at - begin) / ((end - begin) or 1) * (_WIDE - _LEFT - 6)
        return f"{across:.1f},{_HIGH - 14 - (value - low) / (high - low) * (_HIGH - 28):.1f}"

    drawn, said = "", ""
    for number, each in enumerate(one.series[:_MOST]):
        colour = _COLOURS[number % len(_COLOURS)]
        path = [place(at, value) for at, value in each.points if math.isfinite(value)]
        drawn += f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(path)}"/>'
        drawn += "".join(
            f'<circle cx="{x}" cy="{y}" r="1.6" fill="{colour}"/>' for x, y in (p.split(",") for p in path)
        )
        said += f'<li><i style="background:{colour}"></i>{escape(each.legend)}</li>'
    axis = (
        f'<text x="2" y="18">{_said(one, high)}</text><text x="2" y="{_HIGH - 10}">{_said(one, low)}</text>'
    )
    frame = f'<path d="M{_LEFT} 8V{_HIGH - 14}H{_WIDE}" fill="none" stroke="#aab"/>'
    more = f"<li>and {len(one.series) - _MOST} more</li>" if len(one.series) > _MOST else ""
    picture = f'<svg viewBox="0 0 {_WIDE} {_HIGH}" width="100%" role="img" font-size="12">{frame}{axis}{drawn}</svg>'
    return f"{picture}<ul>{said}{more}</ul>"


def _said(one: Drawn, value: float) -> str:
    """Write a value as the panel says it: by its words, or with its unit."""
    if (word := one.words.get(f"{value:g}")) is not None:
        return word
    if one.unit == "percentunit":
        return f"{100 * value:.3g} %"
    if one.unit == "s" and abs(value) >= 60:
        size, name = next((size, name) for size, name in _TIMES if abs(value) >= size)
        return f"{value / size:.3g} {name}"
    return _number(value) + (" s" if one.unit == "s" else "")


def _number(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
