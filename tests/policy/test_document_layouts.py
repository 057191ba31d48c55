"""Edits over policies in any layout: what is not the edit survives, and the result says what it should."""

from contextlib import suppress
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import Layout, layouts
from policies import small_catalogue

from schoolgate_policy.document import add_exception, add_target, change_end, remove_exception
from schoolgate_policy.errors import EditError
from schoolgate_policy.grant import NewException
from schoolgate_policy.load import parse_policy
from schoolgate_policy.yaml_text import Value, read_yaml

NEW = NewException(
    "REQ-NEW",
    ("facebook.com/page", "youtube"),
    "2026-12-18",
    'he said: "x" # y',
    whom=("staff",),
    during=("not lessons",),
)

PIECES = ["", " ", "  ", "\n", "\r\n", "\r", "\n\n", "\t", "#", " # x", "- ", "-", ": ", "?", "? ", ",", "[", "]", "{", "}", "&a ", "*a",
          "!t ", "|", ">+", "|+\n", "'", '"', "---\n", "...\n", "~", "exceptions:", "\u2028", "\x85", "\ufeff", "é", "😀", "\\"]  # fmt: skip


def value(data: bytes) -> Value:
    """Return what a text says; a last line without a break counts as one with it."""
    document, issues = read_yaml(data if data.endswith((b"\n", b"\r")) else data + b"\n", "policy.yaml")
    assert document is not None
    assert not issues
    return document.value


def ids(data: bytes) -> list[str]:
    """Return the exceptions of a policy, which must be a usable one."""
    policy, issues = parse_policy(data, "policy.yaml", small_catalogue(), lambda _: pytest.fail("no lists"))
    assert policy is not None, issues
    return [exception.id for exception in policy.exceptions]


def is_subsequence(part: bytes, whole: bytes) -> bool:
    """Whether all bytes of one text stand in another, in order."""
    rest = iter(whole)
    return all(byte in rest for byte in part)


def outside(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Cut the common beginning and end off two texts."""
    start = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


@given(layouts())
@settings(max_examples=60, deadline=None)
def test_every_layout_is_a_policy(layout: Layout) -> None:
    """The layouts are usable policies, so that the properties below speak of something."""
    assert ids(layout.data) == list(layout.ids)


@given(layouts())
@settings(max_examples=200, deadline=None)
def test_an_exception_added_is_the_only_change_and_leaves_no_trace_when_removed(layout: Layout) -> None:
    """Old plus the exception, every old byte kept, and the old file byte for byte after removing it again."""
    added = add_exception(layout.data, NEW)
    before = value(layout.data)
    assert value(added) == {**before, "exceptions": [*before.get("exceptions", []), NEW.fields()]}
    assert ids(added) == [*layout.ids, "REQ-NEW"]
    kept = layout.data if b": []" not in layout.data else layout.data.replace(b": []", b":")
    assert is_subsequence(kept, added)
    assert remove_exception(added, "REQ-NEW") == layout.data


@given(layouts(), st.data())
@settings(max_examples=100, deadline=None)
def test_an_exception_removed_is_the_only_change(layout: Layout, data: st.DataObject) -> None:
    """The other exceptions and everything around them stay, or the edit is refused with a reason."""
    if not layout.ids:
        with pytest.raises(EditError, match="there is no `REQ-0`; available: none"):
            remove_exception(layout.data, "REQ-0")
        return
    name = data.draw(st.sampled_from(layout.ids))
    removed = remove_exception(layout.data, name)
    assert ids(removed) == [other for other in layout.ids if other != name]
    assert is_subsequence(removed.replace(b": []", b":"), layout.data)
    for banner in (b"# --- next ---", b"# first", b"# here", b"# top"):
        assert removed.count(banner) == layout.data.count(banner)


@given(layouts(), st.data())
@settings(max_examples=100, deadline=None)
def test_only_the_end_changes(layout: Layout, data: st.DataObject) -> None:
    """Nothing but the value of `until` differs."""
    if not layout.ids:
        return
    number = data.draw(st.integers(0, len(layout.ids) - 1))
    until = data.draw(st.sampled_from(["2026-12-03", "2026-12-04 09:30", "2026-10-25T01:45Z"]))
    changed = change_end(layout.data, layout.ids[number], until)
    expected = deepcopy(value(layout.data))
    expected["exceptions"][number]["until"] = until
    assert value(changed) == expected
    old, new = outside(layout.data, changed)
    assert b"\n" not in old
    assert b"\n" not in new


@given(layouts(), st.integers(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_target_is_added_to_its_rule_alone(layout: Layout, rule: int) -> None:
    """The rule speaks of one target more; every old byte is still there."""
    changed = add_target(layout.data, rule, "example.org/a,b")
    verb = ("block", "allow")[rule]
    expected = deepcopy(value(layout.data))
    old = expected["rules"][rule][verb]
    expected["rules"][rule][verb] = [*([old] if isinstance(old, str) else old), "example.org/a,b"]
    assert value(changed) == expected
    assert is_subsequence(layout.data, changed)


@given(layouts())
@settings(max_examples=100, deadline=None)
def test_many_edits_one_after_the_other(layout: Layout) -> None:
    """Three exceptions come and go in any order, and the file is what it was."""
    data = layout.data
    for number in range(3):
        data = add_exception(data, NewException(f"N{number}", ("youtube",), "2026-12-18", "x"))
    for number in (2, 1, 0):
        data = remove_exception(data, f"N{number}")
    assert data == layout.data


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_anything_else_is_refused_by_the_documented_error(data: bytes) -> None:
    """What is no policy raises no other error."""
    with suppress(EditError):
        add_exception(data, NEW)


@given(
    layouts(),
    st.lists(
        st.tuples(st.integers(0, 600), st.integers(0, 3), st.sampled_from(PIECES)), min_size=1, max_size=4
    ),
)
@settings(max_examples=100, deadline=None)
def test_odd_texts_are_changed_rightly_or_refused(
    layout: Layout, changes: list[tuple[int, int, str]]
) -> None:
    """Characters put in and taken out anywhere near the end: the edit is right and can be undone, or is refused."""
    text = layout.data.decode()
    for back, length, piece in changes:
        at = max(len(text) - back, 0)
        text = text[:at] + piece + text[at + length :]
    data = text.encode()
    try:
        added = add_exception(data, NEW)
    except EditError:
        return
    before = value(data)
    assert value(added) == {**before, "exceptions": [*(before.get("exceptions") or []), NEW.fields()]}
    if before.get("exceptions", []) is not None:
        assert remove_exception(added, "REQ-NEW") == data
