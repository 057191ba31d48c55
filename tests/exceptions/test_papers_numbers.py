"""What may be shown of small numbers, and which days a report is about."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import LONDON

from schoolgate_exceptions.papers.numbers import LEAST, few, series, tally
from schoolgate_exceptions.papers.period import choose, half_terms, usual
from schoolgate_policy.schedule import Calendar, DateRange

COUNTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 40), max_size=8)
CALENDAR = Calendar(
    LONDON,
    (DateRange("autumn", date(2026, 9, 2), date(2026, 12, 18)), DateRange("spring", date(2027, 1, 4), date(2027, 3, 25))),
    (DateRange("half term", date(2026, 10, 26), date(2026, 10, 30)), DateRange("INSET", date(2026, 11, 27), date(2026, 11, 27))),
)  # fmt: skip


@given(COUNTS)
def test_the_rows_add_up_and_no_small_count_is_told(counts: dict[str, int]) -> None:
    """Rows and rest are the total, whatever was counted; neither a row nor the rest is small."""
    found, total = tally(counts), sum(counts.values())
    if found.total is None:
        assert 0 < total < LEAST
        assert not found.rows
        return
    assert found.total == total == sum(count for _, count in found.rows) + found.rest
    assert all(counts[name] == count >= LEAST for name, count in found.rows)
    assert found.rest == 0 or found.rest >= LEAST
    assert len(found.rows) + found.rest_of == sum(count > 0 for count in counts.values())


@given(st.lists(st.integers(0, 40), max_size=12))
def test_a_week_left_out_cannot_be_worked_out(counts: list[int]) -> None:
    """With the total known, what is left out is never one week alone, and never small together, unless all is."""
    found = series([(str(number), count) for number, count in enumerate(counts)])
    hidden = [count for count, (_, shown) in zip(counts, found, strict=True) if shown is None]
    assert all(shown is None or shown == counts[int(name)] for name, shown in found)
    assert all(
        not 0 < count < LEAST for count, (_, shown) in zip(counts, found, strict=True) if shown is not None
    )
    if hidden and any(shown for _, shown in found):
        assert len(hidden) >= 2
        assert sum(hidden) >= LEAST


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, None), (4, None), (5, 5), (700, 700)])
def test_a_count_alone(count: int, shown: int | None) -> None:
    """Nothing is nothing, one to four are few."""
    assert few(count) == shown


def test_half_terms() -> None:
    """A term is cut where the school is closed for days, not for a single one."""
    assert [(one.name, one.first, one.last) for one in half_terms(CALENDAR)] == [
        ("autumn, part 1", date(2026, 9, 2), date(2026, 10, 25)),
        ("autumn, part 2", date(2026, 10, 31), date(2026, 12, 18)),
        ("spring", date(2027, 1, 4), date(2027, 3, 25)),
    ]


@pytest.mark.parametrize(
    ("today", "first", "last"),
    [
        (date(2026, 11, 23), date(2026, 9, 2), date(2026, 10, 25)),
        (date(2027, 1, 10), date(2026, 10, 31), date(2026, 12, 18)),
        (date(2026, 9, 20), date(2026, 8, 22), date(2026, 9, 20)),
        (date(2028, 3, 1), date(2028, 2, 1), date(2028, 3, 1)),
    ],
)
def test_the_usual_period(today: date, first: date, last: date) -> None:
    """The half term that ended last; thirty days where none did lately."""
    found = usual(CALENDAR, today)
    assert (found.first, found.last) == (first, last)
    assert found.since.utcoffset() == LONDON.utcoffset(found.since.replace(tzinfo=None))
    weeks = list(found.weeks())
    assert weeks[0][0] == first
    assert weeks[-1][1] == last
    assert sum((end - begin).days + 1 for begin, end in weeks) == found.days


def test_a_period_by_one_end() -> None:
    """From a day until today; thirty days to a day; never backwards."""
    today = date(2026, 11, 23)
    assert choose(date(2026, 11, 2), None, CALENDAR, today).last == today
    assert choose(None, date(2026, 11, 10), CALENDAR, today).days == 30
    with pytest.raises(ValueError, match="before it begins"):
        choose(date(2026, 11, 3), date(2026, 11, 2), CALENDAR, today)
