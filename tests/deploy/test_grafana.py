"""The dashboards: made from their source, each panel a question, laid out so that nothing covers anything."""

import re
import subprocess
import sys
from itertools import combinations

import pytest
from running import ROOT
from watching import GRAFANA, dashboards, metrics_in, metrics_of_ours, panels, questions, read

NOT_DRAWN: dict[str, str] = {}  # what nobody draws or alerts on, and why it is counted all the same
KINDS = {
    "stat",
    "timeseries",
    "bargauge",
    "state-timeline",
    "table",
}  # none of them deprecated (Grafana 10 to 12)
UNITS = {"short", "percentunit", "s", "bytes", "Bps", "reqps", "cps", "none"}
EVERY = [pytest.param(board, panel, id=f"{board}-{panel['title']}") for board, panel in panels()]


def test_the_files_are_fresh():
    """Whoever changes a board runs `python deploy/grafana/dashboards.py`."""
    done = subprocess.run(
        [sys.executable, "deploy/grafana/dashboards.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_four_boards_are_there():
    """Circumvention, filtering, requests and health; each with an identity of its own and a time to refresh."""
    boards = dashboards()
    assert sorted(boards) == ["circumvention.json", "filtering.json", "health.json", "requests.json"]
    assert len({board["uid"] for board in boards.values()}) == len({b["title"] for b in boards.values()}) == 4
    for board in boards.values():
        assert board["schemaVersion"] >= 39
        assert board["refresh"] == "1m"
        assert board["description"]
        assert "id" not in board  # a database's number: none in a file


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_nothing_covers_anything(name):
    """Numbers are unique, panels lie within 24 columns, and no two share a place."""
    every = dashboards()[name]["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    for at in places:
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        assert at["y"] >= 0
        assert at["h"] >= 1
    for one, two in combinations(places, 2):
        beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        above = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
        assert beside or above, (one, two)


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_the_source_of_data_can_be_chosen(name):
    """A board asks the Prometheus chosen above it, in every panel, query and variable."""
    board = dashboards()[name]
    first, *others = board["templating"]["list"]
    assert (first["type"], first["name"], first["query"]) == ("datasource", "datasource", "prometheus")
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    for variable in others:
        assert variable["datasource"]["uid"] == "${datasource}"
    known = {variable["name"] for variable in board["templating"]["list"]}
    asked = " ".join(target["expr"] for panel in board["panels"] for target in panel.get("targets", ()))
    assert set(re.findall(r"\$(\w+)", asked)) <= known | {"__range", "__rate_interval", "__interval"}


@pytest.mark.parametrize(("board", "panel"), EVERY)
def test_a_panel_is_a_question(board, panel):
    """The title asks, the description explains, unit and thresholds are set, the legend is not Prometheus' own."""
    assert re.fullmatch(r"[A-Z].*\?", panel["title"])
    assert panel["description"].endswith(".")
    assert panel["type"] in KINDS
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEF"[: len(panel["targets"])])
    for target in panel["targets"]:
        assert target["instant"] is (panel["type"] in {"stat", "bargauge", "table"})
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert label in target["expr"] or label in {"part", "instance"}


def test_titles_are_asked_once():
    """No board asks the same question twice."""
    for board in dashboards().values():
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles)


def test_every_metric_is_drawn_or_watched():
    """A metric that no panel and no rule asks for is of no use, or has a reason: a new one is missing here at first."""
    used = set().union(*(metrics_in(question.text) for question in questions()))
    assert metrics_of_ours() - used == set(NOT_DRAWN)


def test_grafana_is_told_where_everything_is():
    """The provisioned source is a Prometheus, and the boards are read from a folder."""
    (source,) = read(GRAFANA / "provisioning/datasources/schoolgate.yml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    (provider,) = read(GRAFANA / "provisioning/dashboards/schoolgate.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/var/lib/grafana/")
