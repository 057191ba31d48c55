"""Every version of the policy: kept once, listed in order, found again, and never silently wrong."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from schoolgate_policy.errors import HistoryError
from schoolgate_policy.history import History, digest_of

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return a history of nothing yet."""
    return History(tmp_path / "history")


def test_nothing_was_kept_yet(history: History) -> None:
    """An empty history lists nothing, and says so when asked for a version."""
    assert history.versions() == []
    with pytest.raises(HistoryError, match="there is no version `abcd`; the newest: none"):
        history.find("abcd")


def test_versions_come_newest_first_with_who_and_why(history: History) -> None:
    """Bytes, instant, author and reason come back as they were noted, and how many lines changed."""
    texts = [b"a\nb\n", b"a\nc\nd\n", b"a\nc\nd\n\xff\n"]
    for number, text in enumerate(texts):
        history.note(text, AT + timedelta(hours=number), f"who {number}", "why: é")
    listed = list(history.listed())
    assert [(entry.added, entry.removed) for entry in listed] == [(1, 0), (2, 1), (2, 0)]
    assert [history.read(entry.version) for entry in listed] == texts[::-1]
    assert listed[0].version.who == "who 2"
    assert listed[0].version.why == "why: é"
    assert listed[0].version.at == AT + timedelta(hours=2)


def test_the_newest_version_is_not_noted_twice(history: History) -> None:
    """Noting what is there already changes nothing; a version that comes back is listed again."""
    assert history.note(b"a", AT, "x", "y") is not None
    assert history.note(b"a", AT, "x", "y") is None
    assert history.note(b"b", AT, "x", "y") is not None
    assert history.note(b"a", AT, "x", "again") is not None
    assert [version.why for version in history.versions()] == ["again", "y", "y"]
    assert len(list((Path(history._versions)).iterdir())) == 2


def test_a_version_is_found_by_the_first_digits_of_its_digest(history: History) -> None:
    """Four digits are enough where they are unambiguous."""
    history.note(b"a", AT, "x", "y")
    digest = digest_of(b"a")
    assert history.find(digest[:4]).digest == history.find(digest.upper()).digest == digest
    with pytest.raises(HistoryError, match="there is no version"):
        history.find(digest[:3])


def test_an_ambiguous_name_lists_the_candidates(history: History) -> None:
    """Two versions that begin alike are told apart by writing more."""
    by_start: dict[str, bytes] = {}
    number = 0
    while True:
        text = str(number).encode()
        other = by_start.setdefault(digest_of(text)[:4], text)
        if other != text:
            break
        number += 1
    history.note(other, AT, "x", "y")
    history.note(text, AT, "x", "y")
    with pytest.raises(HistoryError, match=f"may be any of {digest_of(text)[:12]}, {digest_of(other)[:12]}"):
        history.find(digest_of(text)[:4])


def test_a_damaged_version_is_not_handed_out(history: History, tmp_path: Path) -> None:
    """Bytes that are gone, or are not those that were kept, are an error."""
    version = history.note(b"a", AT, "x", "y")
    assert version is not None
    file = tmp_path / "history" / "versions" / f"{version.digest}.yaml"
    file.write_bytes(b"b")
    with pytest.raises(HistoryError, match="was damaged"):
        history.read(version)
    file.unlink()
    with pytest.raises(HistoryError, match="cannot be read"):
        history.read(version)


def test_a_line_cut_short_by_a_power_cut_is_left_behind(history: History, tmp_path: Path) -> None:
    """The unfinished line is not listed, and the next note replaces it."""
    history.note(b"a", AT, "x", "first")
    index = tmp_path / "history" / "index.jsonl"
    with index.open("ab") as file:
        file.write(b'{"at": "2026-')
    assert [version.why for version in history.versions()] == ["first"]
    history.note(b"b", AT, "x", "second")
    assert [version.why for version in history.versions()] == ["second", "first"]
    assert index.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    "line", [b"{}\n", b"nonsense\n", b'{"at": 1, "digest": "", "who": "", "why": ""}\n', b"[]\n"]
)
def test_a_damaged_index_is_an_error_with_its_line(history: History, tmp_path: Path, line: bytes) -> None:
    """Nothing is listed as if it were whole."""
    history.note(b"a", AT, "x", "y")
    with (tmp_path / "history" / "index.jsonl").open("ab") as file:
        file.write(line)
    with pytest.raises(HistoryError, match=r"index\.jsonl:2: this line of the history is damaged"):
        history.versions()


def test_many_writers_lose_no_version(history: History) -> None:
    """Writers at the same time each get their line."""
    threads = [
        threading.Thread(target=history.note, args=(str(number % 10).encode(), AT, "x", str(number)))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = history.versions()
    assert {history.read(version) for version in versions} == {str(number).encode() for number in range(10)}
    assert all(one.digest != other.digest for one, other in pairwise(versions))


def test_a_history_without_versions_lists_none(tmp_path: Path) -> None:
    """Before anything was kept the list is empty, and that is no error."""
    assert list(History(tmp_path / "history").listed()) == []
