"""What Prometheus and Grafana are configured with, as the tests look at it: rules, panels, and the metrics in them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from running import ROOT

from schoolgate.metrics_reference import POLICY, by_part

PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"
_SELECTOR = re.compile(r"(?<![\w:])([a-z_]+(?::[a-z_0-9]+)*)(\{[^{}]*\})?")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@dataclass(frozen=True)
class Question:
    """An expression that somebody asks Prometheus, and where it stands."""

    where: str
    text: str


def groups(name: str) -> list[dict[str, Any]]:
    """Return the groups of a file of rules."""
    return yaml.safe_load((PROMETHEUS / name).read_text())["groups"]


def alerts() -> list[dict[str, Any]]:
    """Return every alert."""
    return [rule for group in groups("alerts.yml") for rule in group["rules"]]


def recorded() -> dict[str, str]:
    """Return the recording rules: what each is called, and its expression."""
    return {rule["record"]: rule["expr"] for group in groups("recording.yml") for rule in group["rules"]}


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard by its file's name."""
    return {
        path.name: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
    }


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every panel with the dashboard it is on; rows are none."""
    for name, board in dashboards().items():
        yield from ((name, panel) for panel in board["panels"] if panel["type"] != "row")


def questions() -> list[Question]:
    """Return every expression of every rule and every panel."""
    found = [Question(alert["alert"], alert["expr"]) for alert in alerts()]
    found += [Question(name, text) for name, text in recorded().items()]
    for board, panel in panels():
        found += [
            Question(f"{board}: {panel['title']}", target["expr"]) for target in panel.get("targets", ())
        ]
    return found


def metrics_of_ours() -> set[str]:
    """Return the names of all metrics of the product."""
    return {one.name for metrics in by_part(ROOT / POLICY).values() for one in metrics}


def selectors(text: str) -> set[str]:
    """Return the vector selectors of ours, of `up` and of `process_…` in an expression, with their labels."""
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    return {
        match[1] + (match[2] or "")
        for match in _SELECTOR.finditer(bare)
        if ":" in match[1] or match[1].startswith(("schoolgate_", "process_")) or match[1] == "up"
    }


def metrics_in(text: str) -> set[str]:
    """Return the metrics of ours that an expression names, without the endings of histograms."""
    names = {selector.partition("{")[0] for selector in selectors(text)}
    return {_SUFFIX.sub("", name) for name in names if name.startswith("schoolgate_")}


def read(path: Path) -> Any:
    """Return what stands in a YAML file."""
    return yaml.safe_load(path.read_text())
