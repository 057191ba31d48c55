"""URL paths in one spelling (enforcement A4.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schoolgate_policy.errors import InvalidPath
from schoolgate_policy.paths import canonical_path, is_below, is_canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/ourschool", "/ourschool"),
        ("", "/"),
        ("/ourschool/../groups", "/groups"),
        ("/ourschool/%2e%2e/groups", "/groups"),
        ("/ourschool/%252e%252e/groups", "/groups"),
        ("/ourschool%2f..%2fgroups", "/groups"),
        ("/ourschool\\..\\groups", "/groups"),
        ("//ourschool/../groups", "/groups"),
        ("/groups?x=/ourschool", "/groups"),
        ("/groups#/ourschool", "/groups"),
        ("/ourschool;/../groups", "/groups"),
        ("/a/./b//c/", "/a/b/c/"),
        ("/../../etc", "/etc"),
        ("/a%20b", "/a%20b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
    ],
)
def test_tricks_are_undone(raw: str, canonical: str) -> None:
    """A path comes out as the server may read it."""
    assert canonical_path(raw) == canonical


@pytest.mark.parametrize("raw", ["/%25252525e", "/%ff", "/a%00b", "/a%0d%0ab", "/a\nb"])
def test_hopeless_paths_are_refused(raw: str) -> None:
    """What has no single reading has no canonical form."""
    with pytest.raises(InvalidPath):
        canonical_path(raw)
    assert not is_canonical(raw)


@pytest.mark.parametrize(
    ("raw", "plain"),
    [("/ourschool/x", True), ("/a%20b", True), ("/caf%c3%a9", True), ("/x?next=/y", True), ("/a/../b", False),
     ("//a", False), ("/a;b", False), ("/%61", False), ("/a\\b", False)],
)  # fmt: skip
def test_plain_paths_are_told_from_tricks(raw: str, plain: bool) -> None:
    """Only a path that every server reads alike is plain."""
    assert is_canonical(raw) is plain


@given(st.text(max_size=60))
def test_canonical_is_a_fixed_point(raw: str) -> None:
    """A canonical path stays as it is, is absolute and has no dot segments."""
    try:
        path = canonical_path(raw)
    except InvalidPath:
        return
    assert path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))
    if "%25" not in path:
        assert canonical_path(path) == path


@pytest.mark.parametrize(
    ("path", "prefix", "below"),
    [("/school", "/school", True), ("/school/news", "/school", True), ("/schools", "/school", False),
     ("/School", "/school", False), ("/", "/", True), ("/any", "/", True), ("/school/", "/school/", True)],
)  # fmt: skip
def test_prefix_ends_at_a_slash(path: str, prefix: str, below: bool) -> None:
    """A prefix covers itself and what lies below it, not what merely starts alike."""
    assert is_below(path, prefix) is below
