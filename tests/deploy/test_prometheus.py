"""The files for Prometheus: valid, tried out rule by rule, and speaking only of what there is."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from running import ROOT, clean_environment
from watching import PROMETHEUS, alerts, metrics_in, metrics_of_ours, questions, read, recorded

from schoolgate.metrics_targets import main, targets
from schoolgate.settings import Settings

CASES = ROOT / "tests/deploy/alerts.test.yml"
RENDERED = ROOT / "tests/deploy/alerts.rendered.txt"
RUNBOOK = ROOT / "docs/alerts.md"
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (prometheus)")
amtool = pytest.mark.skipif(
    not shutil.which("amtool"), reason="amtool is not installed (prometheus-alertmanager)"
)


def run(*words) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=280, check=False
    )


@promtool
def test_the_configuration_is_valid():
    """Prometheus takes the configuration and its rules as they are committed."""
    done = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    rules = run("promtool", "check", "rules", PROMETHEUS / "alerts.yml", PROMETHEUS / "recording.yml")
    assert rules.returncode == 0, rules.stdout + rules.stderr
    assert "SUCCESS" in rules.stdout


@promtool
def test_every_alert_fires_and_is_quiet_when_it_should():
    """The unit tests of the rules pass in promtool."""
    done = run("promtool", "test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_recording_rule_is_tried():
    """Each recording rule is asked for in a case of its own, or an alert with a case is made of it."""
    asked = " ".join(one["expr"] for case in read(CASES)["tests"] for one in case["promql_expr_test"])
    made_of = " ".join([asked, *(alert["expr"] for alert in alerts()), *recorded().values()])
    assert {name for name in recorded() if name not in made_of} == set()
    assert "network_verdict:" in asked
    assert "block_ratio5m" in asked


def rendered(folder) -> list[str]:
    """Return what promtool makes of the annotations of every alert that fires in a case: a line for each."""
    cases = read(CASES)
    cases["rule_files"] = [str((CASES.parent / name).resolve()) for name in cases["rule_files"]]
    for case in cases["tests"]:
        firing = [
            (re.findall(r'alertname="(\w+)"', one["expr"]), one)
            for one in case.pop("promql_expr_test")
            if one["exp_samples"]
        ]
        case["alert_rule_test"] = [
            {"eval_time": one["eval_time"], "alertname": name, "exp_alerts": []}
            for names, one in firing
            for name in names
        ]
    file = folder / "annotations.yml"
    file.write_text(yaml.safe_dump(cases))
    done = run("promtool", "test", "rules", file)
    found = re.findall(r"Labels:\{(.*)\}\s+Annotations:\{(.*)\}", done.stdout + done.stderr)
    return sorted(
        f"{re.search('alertname=.(\\w+)', labels)[1]}: {re.search('summary=.(.*?)"(, |$)', notes)[1]}".replace(
            "\\", ""
        )
        for labels, notes in found
    )


@promtool
def test_what_people_read_is_whole(tmp_path):
    """Every alert that fires says its summary with numbers and names put in, as committed beside the cases."""
    lines = list(dict.fromkeys(rendered(tmp_path)))
    assert {line.partition(":")[0] for line in lines} == {alert["alert"] for alert in alerts()}
    assert not [line for line in lines if "{{" in line or "no value" in line or "error" in line]
    assert lines == RENDERED.read_text().splitlines()


def test_every_alert_is_tried_both_ways():
    """Each alert has a case in which it fires and a moment at which it must not."""
    fires, quiet = set(), set()
    for case in read(CASES)["tests"]:
        for one in case["promql_expr_test"]:
            if not (found := re.findall(r'alertname="(\w+)"', one["expr"])):
                continue  # about a recording rule
            (name,) = found
            (fires if one["exp_samples"] else quiet).add(name)
    everyone = {alert["alert"] for alert in alerts()}
    assert fires == quiet == everyone


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_to_do(alert):
    """Summary, description, action, and a section of the runbook; who is told, and how urgent it is."""
    notes, labels = alert["annotations"], alert["labels"]
    assert set(notes) == {"summary", "description", "action", "runbook"}
    assert len(notes["summary"]) < 110
    assert labels["severity"] in {"critical", "warning"}
    assert labels.get("audience", "people") in {"technician", "officer", "head", "people"}
    assert ("audience" in labels) != ("people" in alert["expr"])
    assert notes["runbook"] == f"docs/alerts.md#{alert['alert'].lower()}"
    assert f"\n## {alert['alert']}\n" in RUNBOOK.read_text()


def test_the_runbook_speaks_of_no_other_alerts():
    """Every section is that of an alert."""
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alert["alert"] for alert in alerts())


def test_rules_and_panels_name_metrics_that_exist():
    """What is asked for is a metric of the registry or a recording rule; a renamed metric is found here."""
    known = metrics_of_ours()
    for question in questions():
        assert metrics_in(question.text) <= known, question.where
        used = set(re.findall(r"[a-z_]+:[a-z_0-9:]+", question.text))
        assert used <= set(recorded()), question.where


@amtool
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=SchoolgateAttemptsSpike people=pupil network=pupils", "safeguarding-lead"),
        ("alertname=SchoolgateAttemptsSpike people=staff network=staff", "headteacher"),
        ("alertname=SchoolgateAttemptsSpike people=guest network=guests", "e-safety-officer"),
        ("alertname=SchoolgateReloadFailed audience=officer severity=warning", "e-safety-officer"),
        ("alertname=SchoolgateReviewOverdue audience=head severity=warning", "headteacher"),
        ("alertname=SchoolgatePartDown audience=technician severity=critical", "technician"),
        ("alertname=SchoolgateFaults audience=technician severity=warning", "technician"),
        ("alertname=SomethingElse", "technician"),
    ],
)
def test_alerts_reach_who_can_act(labels, receiver):
    """Pupils' events go to the DSL, staff's to the head, duties to whom they belong, the rest to the technician."""
    file = PROMETHEUS / "alertmanager.yml"
    assert run("amtool", "check-config", file).returncode == 0
    done = run("amtool", "config", "routes", "test", f"--config.file={file}", *labels.split())
    assert done.stdout.strip() == receiver


def test_the_targets_that_ship_are_the_defaults():
    """targets.yml names the parts where a box without settings has them."""
    assert read(PROMETHEUS / "targets.yml") == targets(Settings())


def test_targets_are_made_from_the_settings(tmp_path, capsys):
    """Every worker is a target of its own; the firewall is one where interfaces are named; mistakes are one line each."""
    file = tmp_path / "schoolgate.toml"
    file.write_text('[dns]\nworkers = 2\n[proxy]\nworkers = 3\n[interfaces]\npupils = "vlan20"\n')
    assert main([str(file)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["labels"]["part"], one["targets"][0].rpartition(":")[2]) for one in found] == [
        ("dns", "9153"), ("dns", "9163"), ("proxy", "9154"), ("proxy", "9164"), ("proxy", "9174"),
        ("portal", "9155"), ("firewall", "9156"),
    ]  # fmt: skip
    file.write_text("[dns]\nworker = 2\n")
    assert main([str(file)]) == 2
    assert "dns.worker" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, "-m", "schoolgate.metrics_targets"], cwd=tmp_path, env=clean_environment(), capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
