"""What Grafana's dashboards are made of: questions, each with a picture that answers it.

A panel says what it asks for and in which unit; where it lies, its number and all that Grafana wants besides follows
from that. No type of panel is one that Grafana has given up.
"""

from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 39  # Grafana 10.4 and later
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, AMBER, RED, BLUE = "green", "orange", "red", "blue"
_WIDTH = 24

type Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """One expression; `legend` may name labels as `{{network}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A question, and how it is answered.

    `steps` are thresholds: a colour, and the value from which it holds (None: from the start). `words` gives values
    a name and a colour. `instant`: only the newest value counts.
    """

    kind: str
    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    steps: tuple[tuple[str, float | None], ...] = ((BLUE, None),)
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    stacked: bool = False
    decimals: int | None = None
    least: float | None = 0
    most: float | None = None
    custom: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    transformations: tuple[Json, ...] = ()

    @property
    def instant(self) -> bool:
        """Whether the newest value is all that is shown."""
        return self.kind in {"stat", "bargauge", "table", "gauge"}


def stat(title: str, about: str, expr: str, unit: str = "short", legend: str = "", **more: Any) -> Panel:
    """Return one number, or one for each series."""
    return Panel("stat", title, about, (Query(expr, legend),), unit, **{"width": 6, "height": 5, **more})


def lines(title: str, about: str, *queries: Query, unit: str = "short", **more: Any) -> Panel:
    """Return lines over time."""
    return Panel("timeseries", title, about, queries, unit, **more)


def bars(title: str, about: str, *queries: Query, unit: str = "short", **more: Any) -> Panel:
    """Return stacked bars over time: for counts of events."""
    custom = {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0}
    return Panel(
        "timeseries", title, about, queries, unit, stacked=True, custom=custom, **{"decimals": 0, **more}
    )


def ranks(title: str, about: str, expr: str, legend: str, unit: str = "short", **more: Any) -> Panel:
    """Return a horizontal bar for each series, the longest first."""
    return Panel("bargauge", title, about, (Query(expr, legend),), unit, **more)


def states(
    title: str, about: str, expr: str, legend: str, words: dict[str, tuple[str, str]], **more: Any
) -> Panel:
    """Return a band of colour for each series over time."""
    return Panel(
        "state-timeline", title, about, (Query(expr, legend),), "none", words=words, **{"height": 6, **more}
    )


def table(title: str, about: str, *queries: Query, transformations: tuple[Json, ...], **more: Any) -> Panel:
    """Return a table of the newest values."""
    return Panel(
        "table", title, about, queries, **{"transformations": transformations, "least": None, **more}
    )


@dataclass(frozen=True)
class Board:
    """A dashboard: sections, each with a heading and panels in reading order."""

    uid: str
    title: str
    about: str
    sections: tuple[tuple[str, tuple[Panel, ...]], ...]
    by_network: bool = False
    hours: int = 24

    def to_json(self) -> Json:
        """Return what Grafana reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["schoolgate"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": f"now-{self.hours}h", "to": "now"},
            "timezone": "",
            "links": [_LINKS],
            "annotations": {"list": []},
            "templating": {"list": [_DATASOURCE, *([_NETWORK] if self.by_network else [])]},
            "panels": self._panels(),
        }

    def _panels(self) -> list[Json]:
        made: list[Json] = []
        top = 0
        for heading, panels in self.sections:
            made.append(_row(len(made) + 1, heading, top))
            top += 1
            left = tallest = 0
            for panel in panels:
                if left + panel.width > _WIDTH:
                    top, left, tallest = top + tallest, 0, 0
                made.append(_panel(len(made) + 1, panel, left, top))
                left, tallest = left + panel.width, max(tallest, panel.height)
            top += tallest
        return made


_LINKS: Json = {
    "type": "dashboards", "tags": ["schoolgate"], "title": "Schoolgate", "asDropdown": False, "includeVars": True,
    "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": "",
}  # fmt: skip
_DATASOURCE: Json = {
    "type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "hide": 0,
    "current": {}, "options": [], "multi": False, "includeAll": False, "refresh": 1, "regex": "",
}  # fmt: skip
_NETWORK: Json = {
    "type": "query", "name": "network", "label": "Network", "datasource": SOURCE, "hide": 0,
    "definition": "label_values(schoolgate_network_info, network)",
    "query": {"query": "label_values(schoolgate_network_info, network)", "refId": "network"},
    "multi": True, "includeAll": True, "allValue": ".*", "refresh": 2, "sort": 1, "regex": "", "options": [],
    "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
}  # fmt: skip


def _row(number: int, title: str, top: int) -> Json:
    at = {"h": 1, "w": _WIDTH, "x": 0, "y": top}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": at, "panels": []}


def _panel(number: int, panel: Panel, left: int, top: int) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": left, "y": top},
        "targets": [_target(panel, query, place) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "transformations": list(panel.transformations),
    }


def _target(panel: Panel, query: Query, place: int) -> Json:
    made = {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "editorMode": "code",
        "instant": panel.instant,
        "range": not panel.instant,
    }
    return {**made, "format": "table"} if panel.kind == "table" else made


def _defaults(panel: Panel) -> Json:
    coloured = panel.kind in {"stat", "bargauge", "gauge", "state-timeline", "table"}
    made: Json = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if coloured else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in panel.steps],
        },
        "mappings": [_mapping(panel.words)] if panel.words else [],
        "custom": _custom(panel),
    }
    for key, value in (("min", panel.least), ("max", panel.most), ("decimals", panel.decimals)):
        if value is not None:
            made[key] = value
    return made


def _mapping(words: dict[str, tuple[str, str]]) -> Json:
    named = {
        value: {"text": text, "color": color, "index": place}
        for place, (value, (text, color)) in enumerate(words.items())
    }
    return {"type": "value", "options": named}


def _custom(panel: Panel) -> Json:
    if panel.kind == "state-timeline":
        return {"fillOpacity": 80, "lineWidth": 0}
    if panel.kind != "timeseries":
        return panel.custom
    # Bars carry their number; between two scrapes that were missed a line is not drawn as if all had been well.
    return {
        "drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
        **panel.custom,
    }  # fmt: skip


_NEWEST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, Json] = {
    "stat": {
        "reduceOptions": _NEWEST, "colorMode": "value", "graphMode": "none", "textMode": "auto",
        "justifyMode": "auto", "orientation": "auto", "wideLayout": True,
    },
    "bargauge": {
        "reduceOptions": _NEWEST, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": True,
        "valueMode": "color",
    },
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "calcs": ["mean", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "state-timeline": {
        "showValue": "auto", "mergeValues": True, "rowHeight": 0.9, "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
}  # fmt: skip


def _options(panel: Panel) -> Json:
    return {**_OPTIONS[panel.kind], **panel.options}


ON_OFF = {"1": ("in force", GREEN), "0": ("not", "transparent")}
FINE = {"1": ("yes", GREEN), "0": ("no", RED)}
WRONG_FROM_ONE = ((GREEN, None), (RED, 1))
HIDE_TIME = {
    "id": "organize",
    "options": {"excludeByName": {"Time": True, "Value": False}, "indexByName": {}, "renameByName": {}},
}
TIMETABLE = states(
    "What was in force in the timetable?",
    "The schedules of policy.yaml: look up from a peak to see whether it was a lesson or lunch.",
    "max by (schedule) (schoolgate_schedule_in_force)",
    "{{schedule}}",
    ON_OFF,
    width=24,
)
