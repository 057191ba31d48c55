"""Locked lists: nothing opens them, and nothing shows what is in them."""

import json
import traceback
from pathlib import Path

import pytest
from policies import HEAD, local

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.decision import Attempt, Decision, Reason
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import check_policy
from schoolgate_policy.model import Policy

CATALOGUE = load_catalogue()
ENTRIES = """\
whole.example
http://www.Site.example:80/Bad%2Fplace/
https://site.example/view.php?id=7
shop.example/?album=3&page=2
"""
OPENED = """\
locked: {iwf: {file: iwf.txt}}
always_allow: [whole.example, site.example, www.site.example]
never_inspect: [site.example]
rules: [{allow: everything, reason: all}]
exceptions: [{id: R1, allow: whole.example, until: 2027-01-01, reason: please}]
"""


def policy(folder: Path, body: str, entries: str | None = ENTRIES) -> tuple[Policy | None, list[str]]:
    """Write a policy with a locked list and read it."""
    if entries is not None:
        (folder / "iwf.txt").write_text(entries)
    (folder / "policy.yaml").write_text(HEAD + body)
    built, issues = check_policy(folder / "policy.yaml", CATALOGUE)
    return built, [str(issue) for issue in issues]


def ask(folder: Path, host: str, path: str | None = None, address: str = "10.20.0.5") -> Decision:
    """Ask the policy that would open everything, both ways."""
    built, _ = policy(folder, OPENED)
    assert built is not None
    engine = Engine(built)
    attempt = Attempt(address, host, local("2026-11-23T10:15"), path)
    decision = engine.decide(attempt)
    assert engine.explain(attempt).reason is decision.reason
    return decision


LOCKED_PAGES = [
    "/bad/place", "/Bad/Place", "/bad/place/", "/bad/place/deeper?x=1", "/%62ad/place", "/%2562ad/place", "//bad//place",
    "/x/../bad/./place", "/bad\\place", "/bad;v=1/place", "/bad%2fplace#top",
]  # fmt: skip


@pytest.mark.parametrize("path", LOCKED_PAGES)
def test_a_locked_page_is_found_however_it_is_written(tmp_path: Path, path: str) -> None:
    """Percent signs, dots, slashes, case and parameters do not get past."""
    assert ask(tmp_path, "www.site.example", path).reason is Reason.LOCKED


@pytest.mark.parametrize(
    ("host", "path", "locked"),
    [
        ("whole.example", None, True),
        ("a.whole.example", "/anything", True),
        ("notwhole.example", None, False),
        ("www.site.example", "/bad/places", False),
        ("www.site.example", "/", False),
        ("site.example", "/bad/place", False),
        ("site.example", "/view.php?id=7", True),
        ("www.site.example", "/view.php?x=1&ID=7&y=2", True),
        ("site.example", "/view.php?id=8", False),
        ("site.example", "/view.php", False),
        ("site.example", "/view.php?" + "&".join(f"a{n}=1" for n in range(50)), True),
        ("site.example", "/view.php?" + "&".join(f"a{n}=1" for n in range(500)), True),
        ("shop.example", "/?page=2&album=3", True),
        ("shop.example", "/?page=2&album=3&utm=x", True),
        ("shop.example", "/?page=2", False),
        ("site.example", "/%25252525252525ff", True),
    ],
)
def test_what_is_locked_and_what_is_not(tmp_path: Path, host: str, path: str | None, locked: bool) -> None:
    """A host with all below it, a page with all below it, a page with a query however the query is padded."""
    assert (ask(tmp_path, host, path).reason is Reason.LOCKED) is locked


def test_a_site_with_locked_pages_is_inspected(tmp_path: Path) -> None:
    """By name it passes, but the page decides, and `never_inspect` does not hide it; where only names are seen it passes."""
    for address in ("10.20.0.5", "10.10.0.5"):
        decision = ask(tmp_path, "www.site.example", None, address)
        assert (decision.blocked, decision.path_decides, decision.open_tls) == (False, True, True)
    other = ask(tmp_path, "other.example")
    assert not other.path_decides
    guest = ask(tmp_path, "www.site.example", None, "10.30.0.5")
    assert not guest.open_tls
    _, issues = policy(tmp_path, OPENED)
    assert any("its pages pass on guests" in issue and ": warning: " in issue for issue in issues)


def test_nothing_tells_an_entry(tmp_path: Path) -> None:
    """Neither decision, explanation nor policy spell out an entry that was not asked for."""
    built, _ = policy(tmp_path, OPENED)
    assert built is not None
    engine = Engine(built)
    for host, path in (("whole.example", None), ("site.example", "/view.php?id=7"), ("shop.example", "/")):
        decision = engine.explain(Attempt("10.20.0.5", host, local("2026-11-23T10:15"), path))
        assert decision.list is None
        shown = repr(decision).replace(host, "")
        assert not any(word in shown.lower() for word in ("iwf", "view.php", "bad/place", "album"))
    shown = repr(built.locked) + repr(built.list_status) + json.dumps([str(s) for s in built.list_status])
    assert not any(word in shown for word in ("whole", "site.example", "shop"))


@pytest.mark.parametrize(
    "entries",
    ["fine.example\nsecret thing here\n", "secret..thing\n", "http://[secret/thing\n", "a" * 70_000],
)
def test_a_bad_line_of_a_locked_list_is_told_by_number_only(tmp_path: Path, entries: str) -> None:
    """The message has the line's number and none of its words."""
    built, issues = policy(tmp_path, OPENED, entries)
    assert built is None
    assert "line " in issues[0]
    assert "secret" not in issues[0]
    assert "aaaa" not in issues[0]


def test_an_unexpected_failure_tells_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a fault of ours in reading a locked list leaves its words out of message and trace."""
    from schoolgate_policy.lists import gather

    def fails(text: str) -> str:
        raise RuntimeError(f"cannot cope with {text}")

    monkeypatch.setattr(gather, "canonical_host", fails)
    from listfiles import read

    (tmp_path / "list.txt").write_text("secret.example\n")
    with pytest.raises(ValueError, match="it cannot be compiled: RuntimeError") as caught:
        read(tmp_path, None, locked=True)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("body", ["locked: {iwf: {}}\n", "locked:\n  iwf:\n", "locked: {iwf: {file: iwf.txt}}\n",
                                  "locked: {iwf: {url: 'https://lists.example/iwf'}}\n", "EMPTY"])  # fmt: skip
def test_a_list_nobody_supplied_is_a_warning(tmp_path: Path, body: str) -> None:
    """The school is told that the slot is empty, and is filtered by the rest."""
    entries = "# nothing\n" if body == "EMPTY" else None
    built, issues = policy(tmp_path, "locked: {iwf: {file: iwf.txt}}\n" if body == "EMPTY" else body, entries)
    assert built is not None
    [status] = built.list_status
    assert status.standing == "not supplied"
    assert ": warning: locked.iwf" in issues[0]
    assert "not supplied" in issues[0]
    explained = Engine(built).explain(Attempt("10.20.0.5", "a.example", local("2026-11-23T10:15")))
    assert explained.considered[0].because == "on none of 1 locked lists (1 not supplied)"
