"""Older policies are brought up to date a step at a time, with everything else in the file untouched."""

from pathlib import Path

import pytest
from policies import small_catalogue

from schoolgate_policy.errors import EditError
from schoolgate_policy.load import parse_policy
from schoolgate_policy.migrate import CURRENT, STEPS, migrate, version_of
from schoolgate_policy.migrate.change import Text
from schoolgate_policy.schema import json_schema

SHIPPED = (Path(__file__).parents[2] / "policy.yaml").read_bytes()
OLD = (
    SHIPPED.replace(b"\nversion: 1", b"\nversion: 0   # draft")
    .replace(b"\nnetworks:", b"\nvlans:")
    .replace(b"\nunknown_clients:", b"\n'unidentified' :")
)


def test_the_newest_version_is_the_one_that_is_read() -> None:
    """The last step leads to what the schema demands, and no step is missing."""
    assert json_schema()["properties"]["version"]["const"] == CURRENT
    assert sorted(STEPS) == list(range(CURRENT))


def test_a_draft_is_brought_up_to_date() -> None:
    """Only the names of the two keys and the version change: comments, layout and quotes stay."""
    migration = migrate(OLD)
    assert (migration.before, migration.after) == (0, 1)
    expected = SHIPPED.replace(b"\nversion: 1", b"\nversion: 1   # draft").replace(
        b"\nunknown_clients:", b"\n'unknown_clients' :"
    )
    assert migration.data == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_breaks_and_marks_stay(newline: str) -> None:
    """Whatever the file's line breaks are, and with a byte order mark before it."""
    old = "\ufeffversion: 0\nvlans: {}".replace("\n", newline).encode()
    assert migrate(old).data == "\ufeffversion: 1\nnetworks: {}".replace("\n", newline).encode()


def test_a_policy_of_today_is_left_alone() -> None:
    """Migrating twice is migrating once."""
    assert migrate(SHIPPED).data == SHIPPED
    assert migrate(migrate(OLD).data).data == migrate(OLD).data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"version: 7\n", "version: 7 is not known here; versions 0 to 1 are"),
        (b"version: -1\n", "version: -1 is not known here"),
        (b"version: one\n", "version: a whole number is expected here"),
        (b"version: true\n", "version: a whole number is expected here"),
        (b"school: {}\n", "version: a whole number is expected here"),
        (b"- a\n", "version: a whole number is expected here"),
        (b"a: [\n", "policy.yaml:2:1: not readable as YAML"),
        (b"version: 0\nvlans: {}\nnetworks: {}\n", "`vlans` is called `networks` now, and both are there"),
        (b"version: &v 0\nvlans: {}\n", "`version` is not written as a plain number"),
        (b"version: 0\n&k vlans: {}\n", "the key `vlans` is not written as a plain word"),
    ],
)
def test_what_cannot_be_brought_up_to_date_is_said(text: bytes, reason: str) -> None:
    """One line with the reason, and nothing half done."""
    with pytest.raises(EditError) as caught:
        migrate(text)
    assert reason in str(caught.value)


def test_steps_follow_one_another() -> None:
    """A policy two versions old takes two steps."""

    def second(text: Text) -> bytes:
        text.rename("networks", "vlan_networks")
        text.set_version(2)
        return text.result()

    migration = migrate(b"version: 0\nvlans: {}   # x\n", steps={**STEPS, 1: second})
    assert migration.data == b"version: 2\nvlan_networks: {}   # x\n"
    assert version_of(migration.data) == 2


def test_a_step_that_leads_elsewhere_is_refused() -> None:
    """A faulty step cannot loop or skip."""
    with pytest.raises(EditError, match="the step from 0 led to 0"):
        migrate(b"version: 0\n", steps={0: lambda text: text.result()})


def test_the_loader_says_what_to_do_about_an_old_version() -> None:
    """Whoever reads the error knows the command."""
    policy, issues = parse_policy(OLD, "policy.yaml", small_catalogue(), lambda _: pytest.fail("no lists"))
    assert policy is None
    assert any(
        "an older one; `schoolgate policy migrate` brings it up to date" in str(issue) for issue in issues
    )
