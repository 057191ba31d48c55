"""A school's calendar file (.ics, RFC 5545) → `calendar:` of policy.yaml, for a person to look over.

Terms, half terms and days off are recognised by the words schools use for them; what is not is told, never guessed.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from icalendar import Calendar

from schoolgate_policy.errors import SchoolgateError
from schoolgate_policy.schedule import DateRange, overlapping

_DAY = timedelta(days=1)
_MOST_BYTES = 16 * 1024 * 1024
_LONGEST_TERM = timedelta(days=140)
_MOST_NOTES = 40

_HALF_TERM = re.compile(r"\bhalf[\s-]*term\b(?!\s*[1-6]\b)")
_OFF = re.compile(
    r"\b(inset|inservice|in-service|non[\s-]pupil|occasional day|(staff|teacher) training|training day"
    r"|professional development|school (is )?closed|closure)\b"
)
_TERM = re.compile(r"\bterm\b")
_STARTS = re.compile(r"\b(starts?|begins?|opens?|first day|start|return|back)\b")
_ENDS = re.compile(r"\b(ends?|finish(es)?|closes?|last day|end|breaks? up)\b")
_HOLIDAY = re.compile(r"\b(holidays?|break|vacation)\b")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ./()'-]*")


class TermsError(SchoolgateError):
    """A calendar file that gives no terms; the text says why."""


class _Kind(StrEnum):
    TERM = "term"
    TERM_STARTS = "term starts"
    TERM_ENDS = "term ends"
    CLOSED = "closed"
    HALF_TERM_STARTS = "half term starts"
    HALF_TERM_ENDS = "half term ends"
    HOLIDAY = "holiday"  # outside the terms anyway
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SchoolYear:
    """What was recognised; `notes` say what was left out and what looks wrong."""

    terms: tuple[DateRange, ...]
    closed: tuple[DateRange, ...]
    notes: tuple[str, ...]

    def as_yaml(self) -> str:
        """Write it as it stands in policy.yaml, with the notes as comments."""
        lines = ["calendar:", "  terms:", *(f"    - {_flow(term)}" for term in self.terms)]
        if self.closed:
            lines += ["  closed:", *(f"    - {_flow(closure)}" for closure in self.closed)]
        return "\n".join([*lines, *(f"# {note}" for note in self.notes)]) + "\n"


def _flow(days: DateRange) -> str:
    name = days.name if _PLAIN.fullmatch(days.name) else json.dumps(days.name, ensure_ascii=False)
    when = f"on: {days.first}" if days.first == days.last else f"from: {days.first}, to: {days.last}"
    return f"{{name: {name}, {when}}}"


def import_terms(data: bytes, school_year: int | None = None) -> SchoolYear:
    """Recognise the terms in a calendar file; `school_year` 2026 keeps what starts from August 2026 to July 2027.

    Raises:
        TermsError: no calendar, or none with terms.

    """
    events = sorted(_events(data), key=lambda event: (event.first, event.last))
    if school_year is not None:
        events = [event for event in events if _school_year(event.first) == school_year]
    kinds = {event: _kind(event) for event in events}
    notes: list[str] = []
    terms = _of(kinds, _Kind.TERM)
    terms += _paired(kinds, _Kind.TERM_STARTS, _Kind.TERM_ENDS, terms, notes)
    if not terms:
        year = f" in the school year {school_year}/{(school_year + 1) % 100:02}" if school_year else ""
        raise TermsError(
            f"none of its {len(events)} entries{year} is a term; a term is an entry such as `Autumn term` over all "
            "its days, or `Autumn term starts` and `Autumn term ends`"
        )
    closed = _of(kinds, _Kind.CLOSED)
    closed += _paired(kinds, _Kind.HALF_TERM_STARTS, _Kind.HALF_TERM_ENDS, closed, notes)
    inside = [day for day in closed if any(day.first in term or day.last in term for term in terms)]
    notes += [f"outside every term, so not needed: {_flow(day)}" for day in closed if day not in inside]
    notes += _doubts(terms, kinds)
    notes += _left_out(kinds)
    return SchoolYear(_named(terms), _distinct(inside), tuple(notes))


def _events(data: bytes) -> Iterator[DateRange]:
    if len(data) > _MOST_BYTES:
        raise TermsError(f"the file has {len(data)} bytes; at most {_MOST_BYTES} are read")
    try:
        calendars = Calendar.from_ical(data, multiple=True)
    except (ValueError, IndexError, KeyError, RecursionError) as error:
        said = "".join(letter for letter in str(error) if letter.isprintable()) or type(error).__name__
        raise TermsError(f"no calendar file (.ics): {said[:120]}") from None
    if not calendars:
        raise TermsError("no calendar file (.ics): it holds no calendar")
    for calendar in calendars:
        for event in calendar.walk("VEVENT"):
            days = _days(event)
            if days is not None:
                yield days


def _days(event: Any) -> DateRange | None:
    """Return the days of an event: the end of an all-day one is the day after (RFC 5545 3.6.1)."""
    start, end, length = (event.get(key) for key in ("DTSTART", "DTEND", "DURATION"))
    name = " ".join(str(event.get("SUMMARY", "")).split())
    first = getattr(start, "dt", None)
    last = getattr(end, "dt", None)
    if not isinstance(first, date) or not name:
        return None
    if last is None:
        span = getattr(length, "dt", None)
        last = first + span if isinstance(span, timedelta) else first
    if not isinstance(last, date):
        return None
    ends_before = not isinstance(last, datetime) or last.time() == time()
    begin, finish = _day(first), _day(last)
    return DateRange(name, begin, max(begin, finish - _DAY if ends_before else finish))


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _school_year(day: date) -> int:
    return day.year if day.month >= 8 else day.year - 1


def _kind(event: DateRange) -> _Kind:
    text = event.name.lower()
    if _OFF.search(text):
        return _Kind.CLOSED
    if _HALF_TERM.search(text):
        return _edge(event, _Kind.HALF_TERM_STARTS, _Kind.HALF_TERM_ENDS) or _Kind.CLOSED
    if _HOLIDAY.search(text):
        return _Kind.HOLIDAY
    if not _TERM.search(text):
        return _Kind.OTHER
    return _edge(event, _Kind.TERM_STARTS, _Kind.TERM_ENDS) or (
        _Kind.OTHER if event.first == event.last else _Kind.TERM
    )


def _edge(event: DateRange, starts: _Kind, ends: _Kind) -> _Kind | None:
    """Tell an entry for the first or the last day only."""
    text = event.name.lower()
    if event.first != event.last:
        return None
    if _ENDS.search(text):
        return ends
    return starts if _STARTS.search(text) else None


def _of(kinds: dict[DateRange, _Kind], wanted: _Kind) -> list[DateRange]:
    return [event for event, kind in kinds.items() if kind is wanted]


def _paired(
    kinds: dict[DateRange, _Kind],
    starts: _Kind,
    ends: _Kind,
    known: Iterable[DateRange],
    notes: list[str],
) -> list[DateRange]:
    """Join entries for a first and a last day; those that an entry over all the days covers are not needed."""
    found: list[DateRange] = []
    opened: DateRange | None = None
    spans = tuple(known)
    for event in (event for event, kind in kinds.items() if kind in {starts, ends}):
        if any(event.first in span for span in spans):
            continue
        if kinds[event] is starts:
            if opened is not None:
                notes.append(f"no end was found for: {_flow(opened)}")
            opened = event
        elif opened is not None:
            found.append(DateRange(_without_verb(opened.name, starts), opened.first, event.last))
            opened = None
        else:
            notes.append(f"no start was found for: {_flow(event)}")
    if opened is not None:
        notes.append(f"no end was found for: {_flow(opened)}")
    return found


def _without_verb(name: str, kind: _Kind) -> str:
    """Turn `Autumn Term begins` into `Autumn Term`; `First day of term` into `term`."""
    words = re.sub(r"(?i)\b(starts?|begins?|opens?|start of|first day of|the)\b", " ", name)
    plain = " ".join(words.split()).strip(" -–:,")  # noqa: RUF001 - the dash people write
    return plain or ("half term" if kind is _Kind.HALF_TERM_STARTS else "term")


def _named(terms: Iterable[DateRange]) -> tuple[DateRange, ...]:
    """Put the year behind names that have none, so that each stands once."""
    ordered = sorted(_distinct(terms), key=lambda term: term.first)
    return tuple(
        term
        if re.search(r"20\d\d", term.name)
        else DateRange(f"{term.name} {term.first.year}", term.first, term.last)
        for term in ordered
    )


def _distinct(days: Iterable[DateRange]) -> tuple[DateRange, ...]:
    by_dates: dict[tuple[date, date], DateRange] = {}
    for part in days:
        by_dates.setdefault((part.first, part.last), part)
    return tuple(sorted(by_dates.values(), key=lambda part: (part.first, part.last)))


def _doubts(terms: Iterable[DateRange], kinds: dict[DateRange, _Kind]) -> Iterator[str]:
    for one, other in overlapping(_distinct(terms)):
        yield f"please check: `{other.name}` starts on {other.first}, but `{one.name}` ends on {one.last}"
    for term in terms:
        if term.last - term.first > _LONGEST_TERM:
            yield f"please check: `{term.name}` has {(term.last - term.first).days + 1} days"
    for event in _of(kinds, _Kind.HOLIDAY):
        if any(event.first in term and event.last in term for term in terms):
            yield f"please check, is this a day off within a term? {_flow(event)}"


def _left_out(kinds: dict[DateRange, _Kind]) -> Iterator[str]:
    other = [event for event in _of(kinds, _Kind.OTHER) if _TERM.search(event.name.lower())]
    yield from (f"not understood: {_flow(event)}" for event in other[:_MOST_NOTES])
    count = len(_of(kinds, _Kind.OTHER)) - len(other)
    if count:
        yield f"{count} other entries have nothing to do with terms"
