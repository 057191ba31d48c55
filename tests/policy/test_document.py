"""Edits of policy.yaml, a shape at a time: what stands in the file afterwards, and what is refused and why."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schoolgate_policy.decision import Verdict
from schoolgate_policy.document import add_exception, add_target, change_end, remove_exception
from schoolgate_policy.errors import EditError
from schoolgate_policy.grant import NewException
from schoolgate_policy.quote import is_plain, quote
from schoolgate_policy.yaml_text import read_yaml

NEW = NewException("R1", ("youtube",), "2026-12-18", "a lesson")
ROWS = "id: R1\n    allow: [youtube]\n    until: 2026-12-18\n    reason: a lesson\n"
INLINE = "{id: R1, allow: [youtube], until: 2026-12-18, reason: a lesson}"

SHAPES = {
    "empty": ("exceptions: []\nlimits: {}\n", f"exceptions:\n  - {ROWS}limits: {{}}\n"),
    "empty, with a comment": ("exceptions: []   # none\n\n# x\n", f"exceptions:   # none\n  - {ROWS}\n# x\n"),
    "empty, spaced": ("exceptions: [ ]\n", f"exceptions: [{INLINE} ]\n"),
    "missing": (
        "a: 1\n",
        f"a: 1\n\nexceptions:                         # approved requests are written here\n  - {ROWS}",
    ),
    "missing, before the end of the document": (
        "a: 1\n...\n# x\n",
        f"a: 1\n\nexceptions:                         # approved requests are written here\n  - {ROWS}...\n# x\n",
    ),
    "missing, after a text that keeps blank lines": (
        "a: |+\n  b\n\n",
        f"a: |+\n  b\n\nexceptions:                         # approved requests are written here\n  - {ROWS}",
    ),
    "before the banner of the next section": (
        "exceptions:\n  - id: A\n    reason: b   # c\n    # of A\n\n# --- next ---\nlimits: {}\n",
        f"exceptions:\n  - id: A\n    reason: b   # c\n    # of A\n  - {ROWS}\n# --- next ---\nlimits: {{}}\n",
    ),
    "not indented": (
        "exceptions:\n- id: A\n# x\nlimits: {}\n",
        "exceptions:\n- id: A\n- " + ROWS.replace("    ", "  ") + "# x\nlimits: {}\n",
    ),
    "set apart": (
        "exceptions:\n  - id: A\n\n  - id: B\n\n\n# x\n",
        f"exceptions:\n  - id: A\n\n  - id: B\n\n  - {ROWS}\n\n# x\n",
    ),
    "after a text of several lines": (
        "exceptions:\n  - id: A\n    reason: |\n      b\n\n\nlimits: {}\n",
        f"exceptions:\n  - id: A\n    reason: |\n      b\n  - {ROWS}\n\nlimits: {{}}\n",
    ),
    "after a text that keeps its blank lines": (
        "exceptions:\n  - id: A\n    reason: |+\n      b\n\n\nlimits: {}\n",
        f"exceptions:\n  - id: A\n    reason: |+\n      b\n\n\n  - {ROWS}limits: {{}}\n",
    ),
    "no line break at the end": (
        "exceptions:\n  - id: A",
        f"exceptions:\n  - id: A\n  - {ROWS}".removesuffix("\n"),
    ),
    "carriage returns": (
        "exceptions:\r\n  - id: A\r\n# x\r\n",
        "exceptions:\r\n  - id: A\r\n  - " + ROWS.replace("\n", "\r\n") + "# x\r\n",
    ),
    "byte order mark": ("\ufeffexceptions:\n  - id: A\n", f"\ufeffexceptions:\n  - id: A\n  - {ROWS}"),
    "a dash on its own": (
        "exceptions:\n  -\n    # why\n    id: A\n",
        f"exceptions:\n  -\n    # why\n    id: A\n  - {ROWS}",
    ),
    "inline items": ("exceptions:\n  - {id: A}   # b\n", f"exceptions:\n  - {{id: A}}   # b\n  - {ROWS}"),
    "a list in brackets": ("exceptions: [{id: A}]   # b\n", f"exceptions: [{{id: A}}, {INLINE}]   # b\n"),
    "a list in brackets over lines": (
        "exceptions: [\n  {id: A},   # a, b\n  {id: B}   # b\n ]\n",
        f"exceptions: [\n  {{id: A}},   # a, b\n  {{id: B}},   # b\n  {INLINE}\n ]\n",
    ),
    "a list in brackets that ends in a comma": (
        "exceptions: [\n  {id: A},   # a\n ]\n",
        f"exceptions: [\n  {{id: A}},   # a\n  {INLINE},\n ]\n",
    ),
    "an anchor that nothing uses": (
        "exceptions: &all\n  - id: A\n",
        f"exceptions: &all\n  - id: A\n  - {ROWS}",
    ),
    "an item that is a copy": (
        "a: &x {id: A}\nexceptions:\n  - *x\n",
        f"a: &x {{id: A}}\nexceptions:\n  - *x\n  - {ROWS}",
    ),
    "the whole file in brackets": ("{a: 1, exceptions: []}\n", f"{{a: 1, exceptions: [{INLINE}]}}\n"),
    "as JSON": ('{"exceptions": [{"id": "A"}]}', f'{{"exceptions": [{{"id": "A"}}, {INLINE}]}}'),
    "indented as a whole": (
        "  a: 1\n  exceptions:\n    - id: A\n",
        "  a: 1\n  exceptions:\n    - id: A\n    - " + ROWS.replace("    ", "      "),
    ),
}


@pytest.mark.parametrize(("before", "after"), SHAPES.values(), ids=SHAPES)
def test_an_exception_lands_where_an_officer_would_put_it(before: str, after: str) -> None:
    """Only its own lines are new; taking it out again gives the old file byte for byte."""
    assert add_exception(before.encode(), NEW).decode() == after
    assert remove_exception(after.encode(), "R1").decode() == before


@pytest.mark.parametrize("nothing", ["", " ~", " null", "   # none", "\n  # none"])
def test_a_key_without_a_value_gets_a_list(nothing: str) -> None:
    """`exceptions:` and nothing more takes an exception, and is `[]` when it has gone."""
    added = add_exception(f"exceptions:{nothing}\na: 1\n".encode(), NEW)
    assert read_yaml(added, "")[0].value == {"exceptions": [NEW.fields()], "a": 1}
    assert read_yaml(remove_exception(added, "R1"), "")[0].value == {"exceptions": [], "a": 1}


REFUSED = {
    "a copy": (
        "a: &x [{id: A}]\nexceptions: *x\n",
        "`exceptions` is written as `*x`, a copy of something else",
    ),
    "copied": ("exceptions: &x\n  - id: A\na: *x\n", "`exceptions` is used elsewhere too, as `*x`"),
    "no list": ("exceptions: none\n", "`exceptions` is not a list"),
    "two documents": (
        "a: 1\n---\nexceptions: []\n",
        "policy.yaml:2:1: the file holds more than one document",
    ),
    "no YAML": ("a: [\n", "policy.yaml:2:1: not readable as YAML"),
    "a key twice": ("a: 1\na: 2\n", "policy.yaml:2:1: a: the key stands here a second time"),
    "all in brackets": ("{a: 1}\n", "there is no `exceptions:` and no line to put it on"),
    "there already": ("exceptions:\n  - id: R1\n", "exceptions: `R1` stands there already"),
    "two byte order marks": ("\ufeff\ufeffa: 1\n", "the file starts with two byte order marks"),
    "a list at the top": ("- a\n", "a policy is a list of keys and values"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_changed_alone_is_refused_with_the_reason(text: str, reason: str) -> None:
    """One line says why, and what to paste is handed over."""
    with pytest.raises(EditError) as caught:
        add_exception(text.encode(), NEW)
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "there already" in str(caught.value) or caught.value.snippet == f"  - {ROWS}".removesuffix("\n")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "B",
            "exceptions:\n  - id: A\n  - id: B   # b\n    # of B\n  # c\n",
            "exceptions:\n  - id: A\n  # c\n",
        ),
        ("A", "exceptions:\n  # a\n  - id: A\n\n  - id: B\n", "exceptions:\n  # a\n  - id: B\n"),
        ("A", "exceptions:   # x\n  - id: A\n\n# y\n", "exceptions: []   # x\n\n# y\n"),
        (
            "B",
            "exceptions:\n  - id: A\n    reason: |+\n      a\n  - id: B\n\n\n# c\n",
            "exceptions:\n  - id: A\n    reason: |+\n      a\n# c\n",
        ),
        (
            "B",
            "exceptions:\n  - id: A\n    reason: |+\n      a\n\n  - id: B",
            "exceptions:\n  - id: A\n    reason: |+\n      a\n\n",
        ),
        ("A", "exceptions: [{id: A}, {id: B}]\n", "exceptions: [{id: B}]\n"),
        ("A", "exceptions: [{id: A},]\n", "exceptions: []\n"),
        ("B", "exceptions: [\n  {id: A},  # a\n  {id: B}   # b\n ]\n", "exceptions: [\n  {id: A}  # a\n ]\n"),
        (
            "A",
            "exceptions: [\n  {id: A},  # a\n  {id: B}   # b\n ]\n",
            "exceptions: [\n  {id: B}   # b\n ]\n",
        ),
        ("B", "exceptions: [{id: A}, # a\n  {id: B}]\n", "exceptions: [{id: A} # a\n  ]\n"),
    ],
)
def test_an_exception_goes_with_its_own_lines_only(name: str, before: str, after: str) -> None:
    """Neighbours and comments that are not its own stay."""
    assert remove_exception(before.encode(), name).decode() == after


def test_an_exception_that_others_copy_from_is_not_removed() -> None:
    """Removing it would leave a copy of nothing."""
    with pytest.raises(EditError, match="without changing something else"):
        remove_exception(b"exceptions:\n  - id: A\n    allow: &x [youtube]\n  - id: B\n    allow: *x\n", "A")


@pytest.mark.parametrize(
    ("before", "until", "after"),
    [
        ("until: 2026-12-18   # c", "2027-01-01", "until: 2027-01-01   # c"),
        ("until: 2026-12-18", "2027-01-01 12:10", 'until: "2027-01-01 12:10"'),
        ("until: '2026-12-18'", "2027-01-01 12:10", "until: '2027-01-01 12:10'"),
        ('"until" : "2026-12-18"', " 2027-01-01", '"until" : "2027-01-01"'),
    ],
)
def test_the_end_of_an_exception_changes_in_place(before: str, until: str, after: str) -> None:
    """The new end is written as the old one was."""
    text = "exceptions:\n  - id: A\n    {}\n    reason: b\n"
    assert change_end(text.format(before).encode(), "A", until).decode() == text.format(after)


@pytest.mark.parametrize(
    ("until", "new", "reason"),
    [
        ("2026-12-18", "next week", "until: `next week` is no date"),
        ("&x 2026-12-18", "2026-12-19", "exceptions[0].until is not written as a plain value"),
        ("|\n      2026-12-18", "2026-12-19", "exceptions[0].until is not written as a plain value"),
    ],
)
def test_an_end_that_cannot_be_changed_is_refused(until: str, new: str, reason: str) -> None:
    """The text stays as it is, and the reason is said."""
    with pytest.raises(EditError) as caught:
        change_end(f"exceptions:\n  - id: A\n    until: {until}\n".encode(), "A", new)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("block: facebook   # c", "block: [facebook, example.org]   # c"),
        ('block: "facebook"', 'block: ["facebook", example.org]'),
        ("block: a.org/b,c", 'block: ["a.org/b,c", example.org]'),
        ("block: [facebook]", "block: [facebook, example.org]"),
        ("allow: []", "allow: [example.org]"),
        ("block: [\n      facebook,\n      ]", "block: [\n      facebook,\n      example.org,\n      ]"),
        ("block:\n    - facebook   # c\n    # d", "block:\n    - facebook   # c\n    - example.org\n    # d"),
        ("block:\n    -   facebook", "block:\n    -   facebook\n    -   example.org"),
        (
            "block:\n    - facebook\n\n    - twitter",
            "block:\n    - facebook\n\n    - twitter\n\n    - example.org",
        ),
    ],
)
def test_a_target_joins_its_list(before: str, after: str) -> None:
    """In the style of the list; a single name becomes a list."""
    text = "rules:\n  - reason: a\n  - {}\n    reason: b\n  - reason: c\n"
    text = text.replace("{}\n    reason: b", "{}") if before.endswith("d") else text
    assert add_target(text.format(before).encode(), 1, "Example.ORG").decode() == text.format(after)


@pytest.mark.parametrize(
    ("rule", "target", "reason"),
    [
        (9, "youtube", "rules: there is no rule 9"),
        (-1, "youtube", "rules: there is no rule -1"),
        (0, "https://a.org", "rules[0].block: `https://a.org`: write the name without https://"),
        (0, "facebook", "policy.yaml:2: rules[0].block: `facebook` stands there already"),
        (1, "youtube", "`rules[1].block` is written as `*x`, a copy of something else"),
        (0, "youtube", "`rules[0].block` is used elsewhere too, as `*x`"),
        (2, "youtube", "rules[2].block is neither a list nor a plain value"),
    ],
)
def test_a_target_that_cannot_be_added_is_refused(rule: int, target: str, reason: str) -> None:
    """A list that two rules share is not changed behind the back of one of them."""
    text = b"rules:\n  - block: &x [facebook]\n  - block: *x\n  - block: |\n      facebook\n"
    with pytest.raises(EditError) as caught:
        add_target(text, rule, target)
    assert reason in str(caught.value)


def test_the_shipped_policy_keeps_its_look() -> None:
    """An exception in the shipped file looks like the one that is there."""
    data = (Path(__file__).parents[2] / "policy.yaml").read_bytes()
    new = NewException(
        "REQ-2026-0013",
        ("category:video", "Facebook.com/School"),
        "2026-12-18",
        "History,\n  year 6",
        whom=("staff", "office-pc"),
        starts="2026-11-23 12:10",
        during=("not  lessons",),
        reviewed_by="e-safety officer",
        approved_by="headteacher",
    )
    added = add_exception(data, new).decode()
    assert (
        """\
    approved_by: headteacher
  - id: REQ-2026-0013
    allow: [category:video, facebook.com/School]
    for: [staff, office-pc]
    from: "2026-11-23 12:10"
    until: 2026-12-18
    during: [not lessons]
    reason: "History, year 6"
    reviewed_by: e-safety officer
    approved_by: headteacher


# --- What an approval may not do"""
        in added
    )
    assert remove_exception(added.encode(), "REQ-2026-0013") == data


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"id": " "}, "id: some words are needed here"),
        ({"targets": ()}, "allow: the list is empty; name at least one"),
        ({"targets": ("*.a.org",), "verdict": Verdict.BLOCK}, "block: `*.a.org`: write `a.org`"),
        ({"until": "tomorrow"}, "until: `tomorrow` is no date"),
        ({"starts": "2026-13-01"}, "from: `2026-13-01` is no date"),
        ({"whom": ("A pupil",)}, "for: `A pupil` is no name"),
        ({"during": ("on mondays only",)}, "during: `on mondays only` is no schedule"),
        ({"during": ("not Lunch",)}, "during: `Lunch` is no name"),
        ({"reason": "\n"}, "reason: some words are needed here"),
        ({"reason": "\ud83d"}, "reason: half of a character is no text"),
        ({"approved_by": "\t"}, "approved_by: some words are needed here"),
    ],
)
def test_an_exception_is_checked_when_it_is_made(changed: dict, message: str) -> None:
    """What the policy language does not allow never gets as far as the file."""
    fields = {"id": "N", "targets": ("youtube",), "until": "2026-12-18", "reason": "a"}
    with pytest.raises(EditError) as caught:
        NewException(**{**fields, **changed})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "text", ["on", "No", "null", "~", "12:10", "12", "1_0", "0x1f", "1e3", "1.5", "2026-1-5", "- a", "a: b", "a #b", " a", "a ",
             "", "a,b", "[a", "*a", "&a", "!a", "%a", "@a", "`a", "'a", '"a', "a\nb", "\u202ea", "a\u200fb", "a\u00a0b", "\ufeff", "\x07", "=", "<<", "?", "0?", "is it? yes", "true", "y", "a  b"]
)  # fmt: skip
def test_what_could_be_taken_for_something_else_is_quoted(text: str) -> None:
    """Every such text comes back whole, and no invisible character stands in the file."""
    written = quote(text)
    assert written.startswith('"')
    assert written.isprintable()
    assert yaml.safe_load(f"[{written}]") == [text]


@given(st.text())
def test_every_text_comes_back_whole_from_both_versions_of_yaml(text: str) -> None:
    """PyYAML's own reader (1.1) and ours (1.2) agree on what was written, in a list and out of it."""
    written = quote(text)
    assert read_yaml(f"a: {written}\nb: [{written}, x]  # c".encode(), "")[0].value == {
        "a": text,
        "b": [text, "x"],
    }
    again = yaml.safe_load(f"a: {written}\nb: [{written}, x]")
    assert str(again["a"]) == text
    assert [str(item) for item in again["b"]] == [text, "x"]


@pytest.mark.parametrize(
    "text",
    ["2026-11-23", "category:video", "facebook.com/school", "Mrs Jones's class", "Ysgol Dŵr", "not lessons"],
)
def test_what_is_safe_stands_without_quotes(text: str) -> None:
    """The file stays readable."""
    assert is_plain(text)
    assert quote(text) == text
