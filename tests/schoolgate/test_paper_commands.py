"""`schoolgate report`, `evidence`, `limits` and `annex` on the shipped policy, and the box they look at."""

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from running import ROOT
from told_parts import answering

from schoolgate.box_facts import SettingsBox
from schoolgate.cli import main
from schoolgate.settings import Endpoint, MetricsSettings, Settings
from schoolgate_policy.event import Visit

pytestmark = pytest.mark.timeout(300)
type Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the shipped policy."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> Command:
    """Gives a command in that folder as its user does, in this process: a new one takes seconds on a busy machine."""

    def give(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["schoolgate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return give


def run(command: Command, *words: str) -> str:
    code, out, err = command(*words)
    assert code == 0, err
    return out


def test_the_report_from_the_terminal(folder: Path, command: Command) -> None:
    """Every form is made from the shipped policy; nobody is asked who acts; each is a row of the audit."""
    text = run(command, "report", "--from", "2026-11-02", "--to", "2026-11-20")
    assert text.startswith(
        "Web filter report: Perryfields Primary PRU\n2 November 2026 to 20 November 2026\n"
    )
    assert "No check was made in this period." in text
    assert "The policy is due for review on 1 September 2027." in text
    assert "<main" in run(command, "report", "--format", "html")
    assert run(command, "report", "--format", "csv").startswith("people,figure,name,count")
    assert json.loads(run(command, "report", "--json"))["school"] == "Perryfields Primary PRU"
    run(command, "report", "--format", "pdf", "--output", "report.pdf")
    assert "Web filter report" in pypdf.PdfReader(folder / "report.pdf").pages[0].extract_text()
    rows = [json.loads(line) for line in run(command, "audit", "export").splitlines()]
    assert [row["details"]["form"] for row in rows if row["action"] == "report.made"] == [
        "text",
        "html",
        "csv",
        "json",
        "pdf",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "--format", "docx"), "--format: no form `docx`; available: html, pdf, csv, json, text"),
        (("evidence", "--format", "csv"), "--format: no form `csv`; available: html, pdf, json, text"),
        (("report", "--from", "2026-11-20", "--to", "2026-11-02"), "before it begins"),
        (
            ("report", "--output", "nowhere/report.html"),
            "nowhere/report.html: cannot be written: no such file or directory",
        ),
        (("report", "--from", "soon"), "soon"),
    ],
)
def test_what_cannot_be_made_is_one_line(command: Command, words: tuple[str, ...], said: str) -> None:
    """A wrong form, wrong days or a folder that is not there end with one line on stderr."""
    code, out, err = command(*words)
    assert code in {1, 2}
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_the_evidence_of_the_shipped_policy(command: Command) -> None:
    """Nothing is supplied, so nothing about illegal content is met; what the engine can prove by itself is."""
    found = {one["id"]: one for one in json.loads(run(command, "evidence", "--json"))}
    for point in ("iwf-member", "iwf-list", "terrorist-list", "cannot-be-switched-off", "illegal-always-on", "prevent-duty",
                  "network-level", "checks", "safe-search"):  # fmt: skip
        assert found[point]["stands"] == "not met"
        assert found[point]["do"]
    for point in ("without-harm", "age-appropriate", "yearly-review", "log-retention", "limitations"):
        assert found[point]["stands"] == "met"
    assert "services of the catalogue, blocked on each network of pupils" in " ".join(
        found["categories"]["proof"]
    )
    assert (
        "119" in found["circumvention"]["proof"][0]
        or "tried on 3 networks" in found["circumvention"]["proof"][0]
    )
    assert "[not met] IWF membership" in run(command, "evidence")


def test_limits_and_annex(command: Command) -> None:
    """Both are made from the shipped policy: networks and periods are its own."""
    limits = " ".join(run(command, "limits").split())
    assert "Network guests" in limits
    assert "Mobile data:" in limits
    assert "No list of illegal content has been supplied" in limits
    annex = " ".join(run(command, "annex").split())
    assert "Kept: 30 days; longer where the device is held for a case." in annex
    assert "Name servers (" in annex
    assert len(json.loads(run(command, "annex", "--json"))["tables"]) > 20


def test_policy_limits_says_both(command: Command) -> None:
    """`policy limits` tells what is passed on unread, and what no network sees."""
    text = run(command, "policy", "limits")
    assert "passed on unread\n  - never opened on staff, pupils: Banks and payments" in text
    assert "everywhere\n  - mobile data" in text


METRICS = """# HELP schoolgate_firewall_loaded 1 where the ruleset is loaded and could be read.
schoolgate_firewall_loaded {loaded}
schoolgate_firewall_refused_packets_total{{technique="dot",network="pupils"}} 7.0
schoolgate_firewall_refused_packets_total{{technique="quic",network="staff"}} 5.0
"""


@pytest.mark.parametrize(("loaded", "problem"), [("1.0", ""), ("0.0", "its reader finds no ruleset")])
def test_the_firewall_is_told_by_its_reader(tmp_path: Path, loaded: str, problem: str) -> None:
    """The box asks the reader's metrics, and needs no right of its own."""
    with answering({"/metrics": (200, METRICS.format(loaded=loaded)), "/readyz": (200, "ok")}) as at:
        box = SettingsBox(
            Settings(state=tmp_path, interfaces={"pupils": "vlan20"}, metrics=MetricsSettings(firewall=at))
        )
        found = box.firewall()
        assert (found.loaded, found.problem) == (loaded == "1.0", problem)
        assert found.refused == 12
        assert box.interfaces() == ("pupils",)


def test_a_box_where_nothing_runs(tmp_path: Path) -> None:
    """Parts that do not answer are named with the reason, and no firewall is taken for loaded."""
    dns, proxy, portal, firewall = (Endpoint("127.0.0.1", port) for port in range(1, 5))  # of nobody
    metrics = MetricsSettings(dns=dns, proxy=proxy, portal=portal, firewall=firewall)
    box = SettingsBox(Settings(state=tmp_path, interfaces={"pupils": "vlan20"}, metrics=metrics))
    assert [one.name for one in box.parts()] == ["dns", "proxy", "portal", "evidence"]
    assert all("nothing answers" in one.problem for one in box.parts())
    assert not box.firewall().loaded
    assert not SettingsBox(Settings(state=tmp_path, metrics=metrics)).firewall().loaded
    assert [one.what for one in box.connected()] == ["Name servers"]


def test_visits_of_a_running_log_are_in_the_report(folder: Path, command: Command) -> None:
    """What the portal's log wrote is what the command reports."""
    from datetime import UTC, datetime

    from schoolgate.commands.queue_access import opened

    now = datetime.now(UTC)
    with opened(folder / "policy.yaml", folder / "state", None) as service:
        one = Visit(now.timestamp(), "dns", "pupils", "127.0.20.5", "www.instagram.com", "block", "rule", "policy.yaml:101",
                    "instagram", "social-network", 23)  # fmt: skip
        service.log.take([one])
        service.log.flush()
    day = now.date().isoformat()
    read = json.loads(run(command, "report", "--from", day, "--json"))
    assert read["streams"][0]["blocked"]["rows"] == [["Social networks", 23]]
    assert io.StringIO(run(command, "report", "--from", day, "--format", "csv")).readline()
