"""`schoolgate policy test`, `diff`, `import-terms`, and the findings of `check`."""

import json
import shutil

import pytest
from running import ROOT, schoolgate

EXPECTATIONS = """\
moments: {in a lesson: 2026-11-24 10:15}
expectations:
  - {who: pupils, what: facebook.com, when: in a lesson, expect: block}
  - {who: pupils, what: facebook.com, when: in a lesson, expect: allow, because: we thought so}
"""


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    shutil.copy(ROOT / "policy.test.yaml", tmp_path)
    return tmp_path


def test_the_shipped_expectations_hold(folder):
    """The expectation file that ships passes, beside the policy that ships."""
    done = schoolgate("policy", "test", "policy.test.yaml", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("passed, in 1 expectation file\n")


def test_a_failure_is_told_in_full(folder):
    """Line, who, what, when, what came out, what decided and why it was expected; exit code 1."""
    (folder / "mine.yaml").write_text(EXPECTATIONS)
    done = schoolgate("policy", "test", "mine.yaml", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "FAILED mine.yaml:4: pupils, facebook.com, in a lesson: verdict allow is expected, block comes out",
        "    decided by rules[0] (policy.yaml:102): blocks twitter, facebook, instagram",
        "    expected because we thought so",
        "1 failed, 1 passed, in 1 expectation file",
    ]
    answers = json.loads(schoolgate("policy", "test", "mine.yaml", "--json", cwd=folder).stdout)
    assert [answer["passed"] for answer in answers] == [True, False]
    assert answers[1]["where"] == "mine.yaml:4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EXPECTATIONS.replace("who: pupils", "who: pupil"), "mine.yaml:3:11: expectations[0].who: unknown"),
        (EXPECTATIONS.replace("expectations:", "expectation:"), "did you mean `expectations`?"),
        ("policy: nowhere.yaml\n" + EXPECTATIONS, "nowhere.yaml: cannot be read"),
        (None, "mine.yaml: cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_is_exit_2(folder, text, words):
    """A file that cannot be read is named on stderr, with all its mistakes."""
    if text is not None:
        (folder / "mine.yaml").write_text(text)
    done = schoolgate("policy", "test", "mine.yaml", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_diff_says_what_changes(folder):
    """No change is exit code 0; a change is 1, in words and as JSON, with recorded attempts counted."""
    assert schoolgate("policy", "diff", "policy.yaml", "policy.yaml", cwd=folder).returncode == 0
    text = (
        (folder / "policy.yaml").read_text().replace("[twitter, facebook, instagram]", "[twitter, facebook]")
    )
    (folder / "new.yaml").write_text(text)
    record = {"at": "2026-11-23T18:00:00Z", "network": "staff", "host": "www.instagram.com"}
    (folder / "events.jsonl").write_text(json.dumps(record) + "\n")
    arguments = (
        "policy",
        "diff",
        "policy.yaml",
        "new.yaml",
        "--since",
        "2026-11-21",
        "--replay",
        "events.jsonl",
    )
    done = schoolgate(*arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("staff: Instagram, ")
    assert ": blocked → allowed, mon-fri 00:00-08:50, 10:30-10:50, 12:10-13:10" in lines[0]
    assert lines[-1] == "staff: instagram: blocked → allowed: 1"
    answer = json.loads(schoolgate(*arguments, "--json", cwd=folder).stdout)
    assert (answer["changes"][0]["who"], answer["replay"]["changed"]) == (["staff"], 1)


def test_diff_that_cannot_run(folder):
    """Broken input is one line on stderr and exit code 2."""
    (folder / "events.jsonl").write_text("{\n")
    done = schoolgate("policy", "diff", "policy.yaml", "policy.yaml", "--replay", "events.jsonl", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "events.jsonl: line 1: not JSON: expecting property name enclosed in double quotes\n")  # fmt: skip
    done = schoolgate("policy", "diff", "policy.yaml", "none.yaml", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "none.yaml: cannot be read: No such file or directory\n")
    done = schoolgate("policy", "diff", "policy.yaml", "policy.yaml", "--since", "now", cwd=folder)
    assert done.returncode == 2


def test_import_terms_prints_a_calendar(tmp_path):
    """A calendar file becomes YAML for review; what is none is one line and exit code 2."""
    event = "BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Autumn term\r\nDTSTART;VALUE=DATE:20260902\r\nDTEND;VALUE=DATE:20261219\r\nEND:VEVENT\r\n"
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n"
    (tmp_path / "school.ics").write_text(f"{head}{event}END:VCALENDAR\r\n", newline="")
    done = schoolgate("policy", "import-terms", "school.ics", "--school-year", "2026/27", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "- {name: Autumn term 2026, from: 2026-09-02, to: 2026-12-18}" in done.stdout
    for arguments in (("none.ics",), ("school.ics", "--school-year", "2026/28"), ("school.ics", "--school-year", "2031")):  # fmt: skip
        done = schoolgate("policy", "import-terms", *arguments, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_check_shows_findings_and_strict_counts_them(folder):
    """Warnings are shown beside errors; only with --strict are they a reason for exit code 1."""
    text = (folder / "policy.yaml").read_text() + "\nlocked: {iwf: {file: iwf.txt}}\n"
    (folder / "policy.yaml").write_text(text)
    (folder / "iwf.txt").write_text("")
    done = schoolgate("policy", "check", cwd=folder)
    assert done.returncode == 0
    assert "warning: locked.iwf.file: not supplied: the list is empty" in done.stdout
    assert schoolgate("policy", "check", "--strict", cwd=folder).returncode == 1
