"""The commands that change policy.yaml: history, restore, migrate and exceptions."""

import json
import re
import shutil

import pytest
from running import ROOT, schoolgate

ADD = (
    "policy", "except", "add", "REQ-9", "--allow", "youtube", "--for", "staff", "--until", "2026-12-18",
    "--from", "2026-11-23 09:00", "--during", "lunch", "--reason", "Science: films", "--approved-by", "headteacher",
    "--by", "e-safety officer",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    return tmp_path


def test_an_exception_comes_changes_and_goes(folder):
    """Each step is in the history, and the file ends as it began."""
    before = (folder / "policy.yaml").read_bytes()
    done = schoolgate(*ADD, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"policy.yaml: added exception REQ-9; version \w{12} became \w{12}\n", done.stdout)
    assert '    reason: "Science: films"\n' in (folder / "policy.yaml").read_text()
    assert schoolgate("policy", "except", "end", "REQ-9", "2026-12-01", cwd=folder).returncode == 0
    assert "    until: 2026-12-01\n" in (folder / "policy.yaml").read_text()
    assert schoolgate("policy", "except", "remove", "REQ-9", cwd=folder).returncode == 0
    assert (folder / "policy.yaml").read_bytes() == before
    listed = json.loads(schoolgate("policy", "history", "--json", cwd=folder).stdout)
    assert [(entry["why"], entry["added"], entry["removed"]) for entry in listed[:3]] == [
        ("removed exception REQ-9", 0, 8),
        ("exception REQ-9 ends 2026-12-01", 1, 1),
        ("added exception REQ-9", 8, 0),
    ]
    assert listed[2]["who"] == "e-safety officer"
    assert listed[3]["why"] == "found in the file"
    rows = schoolgate("policy", "history", cwd=folder).stdout.splitlines()
    assert re.fullmatch(
        rf"{listed[0]['version']}  [-0-9]+ [:0-9]+ +\+0 -8  .+: removed exception REQ-9", rows[0]
    )


def test_a_version_is_brought_back_and_that_is_a_version_too(folder):
    """A mistake is undone by its digest; the mistake stays in the history."""
    before = (folder / "policy.yaml").read_bytes()
    schoolgate(*ADD, cwd=folder)
    first = json.loads(schoolgate("policy", "history", "--json", cwd=folder).stdout)[-1]["version"]
    done = schoolgate("policy", "restore", first[:6], cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"restored version {first}" in done.stdout
    assert (folder / "policy.yaml").read_bytes() == before
    assert len(schoolgate("policy", "history", cwd=folder).stdout.splitlines()) == 3
    again = schoolgate("policy", "restore", first, cwd=folder)
    assert (again.returncode, again.stdout) == (0, "policy.yaml: nothing to change\n")


@pytest.mark.parametrize("broken", [b"\x00 broken", None])
def test_a_broken_file_is_replaced_by_a_version_that_was_kept(folder, broken):
    """Restoring works when the file there is beyond reading, and when there is none."""
    before = (folder / "policy.yaml").read_bytes()
    schoolgate(*ADD, cwd=folder)
    if broken is None:
        (folder / "policy.yaml").unlink()
    else:
        (folder / "policy.yaml").write_bytes(broken)
    first = json.loads(schoolgate("policy", "history", "--json", cwd=folder).stdout)[-1]["version"]
    assert schoolgate("policy", "restore", first, cwd=folder).returncode == 0
    assert (folder / "policy.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("restore", "abcdef"), "there is no version `abcdef`; the newest: none"),
        (("except", "end", "REQ-9", "2026-12-01"), "there is no `REQ-9`; available: REQ-2026-0012"),
        (("except", "remove", "REQ-9"), "there is no `REQ-9`; available: REQ-2026-0012"),
        (
            ("except", "add", "A", "--until", "2026-12-18", "--reason", "x"),
            "say exactly one of --allow and --block",
        ),
        (
            ("except", "add", "A", "--until", "soon", "--reason", "x", "--block", "youtube"),
            "until: `soon` is no date",
        ),
        (
            ("except", "add", "A", "--until", "2026-12-18", "--reason", "x", "--allow", "category:doh"),
            "`category:doh` may not be opened: `limits.never` names `category:circumvention`",
        ),
        (("migrate", "--policy", "nowhere.yaml"), "nowhere.yaml: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(folder, arguments, message):
    """Exit code 2, the reason on stderr, and the file as it was."""
    before = (folder / "policy.yaml").read_bytes()
    done = schoolgate("policy", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert (folder / "policy.yaml").read_bytes() == before


def test_what_a_machine_cannot_write_is_printed_for_pasting(folder):
    """The lines of the exception follow the reason."""
    (folder / "policy.yaml").write_text("exceptions: *x\n")
    done = schoolgate(*ADD, cwd=folder)
    assert done.returncode == 2
    (folder / "policy.yaml").write_text("a: &x []\nexceptions: *x\n")
    lines = schoolgate(*ADD, cwd=folder).stderr.splitlines()
    assert lines[:3] == [
        "policy.yaml: `exceptions` is written as `*x`, a copy of something else; change it by hand",
        "to paste:",
        "  - id: REQ-9",
    ]


def test_an_old_policy_is_shown_as_a_diff_and_written_only_on_request(folder):
    """Without --write only the diff is printed and the exit code is 1; with it the file is usable."""
    file = folder / "policy.yaml"
    today = file.read_text()
    file.write_text(today.replace("\nversion: 1", "\nversion: 0").replace("\nnetworks:", "\nvlans:"))
    old = file.read_bytes()
    shown = schoolgate("policy", "migrate", cwd=folder)
    assert shown.returncode == 1
    assert "-vlans:\n+networks:\n" in shown.stdout
    assert file.read_bytes() == old
    done = schoolgate("policy", "migrate", "--write", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_text() == today
    assert (
        schoolgate("policy", "migrate", cwd=folder).stdout
        == "policy.yaml: version 1 is the newest; nothing to change\n"
    )
    assert "brought from version 0" in schoolgate("policy", "history", cwd=folder).stdout
