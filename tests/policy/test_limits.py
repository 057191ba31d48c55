"""What the filter cannot see is told for each network, from the policy alone."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from schoolgate.cli import app
from schoolgate_policy.limits import Limitation, limits
from schoolgate_policy.load import load_policy
from schoolgate_policy.technique import Technique

POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks:
  guests: {people: guest, addresses: [10.30.0.0/16], inspection: names, otherwise: allow}
  staff: {people: staff, addresses: [10.10.0.0/16], inspection: needed, otherwise: allow}
  pupils: {people: pupil, addresses: [10.20.0.0/16], inspection: all, otherwise: block}
unknown_clients: pupils
never_inspect: @@
rules: []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.replace("@@", "[bank.example]"))
    return path


def _of(found: tuple[Limitation, ...], network: str) -> list[Limitation]:
    return [one for one in found if one.network == network]


def test_every_network_is_told_of_in_order(file: Path) -> None:
    """Each network has its own list, in the order of the file, the gravest first, each thing once."""
    found = limits(load_policy(file))
    assert list(dict.fromkeys(one.network for one in found)) == ["guests", "staff", "pupils"]
    assert len(set(found)) == len(found)
    for network in ("guests", "staff", "pupils"):
        assert _of(found, network)[0].technique is Technique.FRONTING


def test_sentences_are_plain(file: Path) -> None:
    """Each is one line without a full stop, and begins small, as messages do."""
    for one in limits(load_policy(file)):
        assert "\n" not in one.text
        assert one.text[0].islower()
        assert not one.text.endswith(".")


def test_fronting_is_told_where_connections_are_passed_on(file: Path) -> None:
    """Domain fronting inside an unread connection is told of; where everything is read it is not."""
    assert Technique.FRONTING in {one.technique for one in _of(limits(load_policy(file)), "pupils")}
    file.write_text(POLICY.replace("@@", "[]"))
    policy = load_policy(file)
    if not policy.never_inspect:
        assert Technique.FRONTING not in {one.technique for one in _of(limits(policy), "pupils")}


def test_levels_differ(file: Path) -> None:
    """No page is shown on `names`; devices without the certificate matter only where something is opened."""
    found = limits(load_policy(file))
    assert any("without a page" in one.text for one in _of(found, "guests"))
    assert Technique.CLIENT_DISTRUST not in {one.technique for one in _of(found, "guests")}
    for network in ("staff", "pupils"):
        assert Technique.CLIENT_DISTRUST in {one.technique for one in _of(found, network)}
    assert any("maker's certificate" in one.text for one in _of(found, "pupils"))


def test_the_command_prints_them(file: Path) -> None:
    """`schoolgate policy limits` says them, also as JSON; a missing file is one line and exit 2."""
    runner = CliRunner()
    shown = runner.invoke(app, ["policy", "limits", str(file)])
    assert shown.exit_code == 0
    assert "guests (inspection: names)" in shown.output
    assert "[fronting]" in shown.output
    assert '"technique": "fronting"' in runner.invoke(app, ["policy", "limits", str(file), "--json"]).output
    missing = runner.invoke(app, ["policy", "limits", str(file.with_name("none.yaml"))])
    assert missing.exit_code == 2
