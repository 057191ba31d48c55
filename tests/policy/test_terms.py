"""Term dates from a school's calendar file."""

import pytest
from policies import HEAD, policy_of

from schoolgate_policy.terms import TermsError, import_terms


def calendar(*events: tuple[str, str, str | None]) -> bytes:
    """Write a calendar file of all-day events: name, first day, and the day after the last."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//"]
    for name, first, after in events:
        lines += ["BEGIN:VEVENT", f"UID:{name}{first}", f"SUMMARY:{name}", f"DTSTART;VALUE=DATE:{first}"]
        lines += [f"DTEND;VALUE=DATE:{after}"] if after else []
        lines.append("END:VEVENT")
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


AUTUMN = ("Autumn Term", "20260902", "20261219")


def test_whole_terms_half_terms_and_inset_days() -> None:
    """All-day events end on the day before their DTEND; the result can stand in a policy."""
    data = calendar(
        AUTUMN,
        ("Half term", "20261026", "20261031"),
        ("INSET Day", "20261127", None),
        ("Christmas holidays", "20261219", "20270104"),
        ("Sports day", "20261001", "20261002"),
    )
    text = import_terms(data).as_yaml()
    assert text == (
        "calendar:\n  terms:\n    - {name: Autumn Term 2026, from: 2026-09-02, to: 2026-12-18}\n"
        "  closed:\n    - {name: Half term, from: 2026-10-26, to: 2026-10-30}\n"
        "    - {name: INSET Day, on: 2026-11-27}\n# 1 other entries have nothing to do with terms\n"
    )
    start, end = HEAD.index("calendar:"), HEAD.index("schedules:")
    assert [term.name for term in policy_of("", HEAD[:start] + text + HEAD[end:]).calendar.terms] == [
        "Autumn Term 2026"
    ]


def test_first_and_last_days() -> None:
    """Entries for single days are joined to terms and half terms."""
    year = import_terms(
        calendar(
            ("First day of term", "20270104", None),
            ("Half-term begins", "20270215", "20270216"),
            ("Half-term ends", "20270219", "20270220"),
            ("Spring term ends", "20270325", None),
            ("Summer Term starts", "20270412", None),
            ("Last day of Summer Term", "20270720", None),
        )
    )
    assert [(t.name, str(t.first), str(t.last)) for t in year.terms] == [
        ("term 2027", "2027-01-04", "2027-03-25"),
        ("Summer Term 2027", "2027-04-12", "2027-07-20"),
    ]
    assert [(c.name, str(c.first), str(c.last)) for c in year.closed] == [("Half-term", "2027-02-15", "2027-02-19")]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["INSET", "Staff training day", "Non-pupil day", "School closed", "Occasional Day", "Teacher training"],
)
def test_words_for_days_off(name: str) -> None:
    """Schools call them differently."""
    assert len(import_terms(calendar(AUTUMN, (name, "20261127", None))).closed) == 1


def test_six_terms_a_year() -> None:
    """`Autumn half term 2` is a term, not a week off."""
    year = import_terms(calendar(("Term 1", "20260902", "20261024"), ("Half term 2", "20261102", "20261219")))
    assert [term.name for term in year.terms] == ["Term 1 2026", "Half term 2 2026"]


def test_one_school_year_of_several() -> None:
    """Only what starts from August to July is kept."""
    data = calendar(AUTUMN, ("Summer Term", "20260413", "20260723"), ("Autumn Term", "20270902", "20271218"))
    assert [str(term.first) for term in import_terms(data, 2026).terms] == ["2026-09-02"]
    with pytest.raises(TermsError, match="in the school year 2030/31"):
        import_terms(data, 2030)


def test_doubts_are_told() -> None:
    """What does not fit together comes out as comments to look at."""
    year = import_terms(
        calendar(
            AUTUMN,
            ("Term 2", "20261201", "20270201"),
            ("Term starts", "20270412", None),
            ("INSET day", "20260815", None),
            ("October holiday", "20261012", "20261013"),
            ("Half: term, review", "20261013", None),
        )
    )
    notes = "\n".join(year.notes)
    assert "please check: `Term 2` starts on 2026-12-01, but `Autumn Term` ends on 2026-12-18" in notes
    assert "no end was found for: {name: Term starts, on: 2027-04-12}" in notes
    assert "outside every term, so not needed: {name: INSET day, on: 2026-08-15}" in notes
    assert "is this a day off within a term? {name: October holiday, on: 2026-10-12}" in notes
    assert 'not understood: {name: "Half: term, review", on: 2026-10-13}' in notes


def test_events_with_times() -> None:
    """An event with a clock time counts for its days; one that ends at midnight ended the day before."""
    data = calendar(AUTUMN).replace(
        b"END:VCALENDAR",
        b"BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:School closed\r\nDTSTART:20261127T083000\r\nDTEND:20261127T153000\r\nEND:VEVENT\r\n"
        b"BEGIN:VEVENT\r\nUID:2\r\nSUMMARY:School closed\r\nDTSTART:20261130T000000\r\nDURATION:P2D\r\nEND:VEVENT\r\nEND:VCALENDAR",
    )
    assert [(str(c.first), str(c.last)) for c in import_terms(data).closed] == [
        ("2026-11-27", "2026-11-27"),
        ("2026-11-30", "2026-12-01"),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it holds no calendar"),
        (b"hello", "no calendar file"),
        (b"\x89PNG\x00\xff", "no calendar file"),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "none of its 0 entries is a term"),
        (b"x" * (16 * 1024 * 1024 + 1), "at most 16777216 are read"),
    ],
)
def test_what_is_no_calendar_is_refused(data: bytes, words: str) -> None:
    """One clear line, whatever the file is."""
    with pytest.raises(TermsError, match=words) as caught:
        import_terms(data)
    assert "\n" not in str(caught.value)
