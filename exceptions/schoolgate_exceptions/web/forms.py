"""What a form or a query holds, and how its fields are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

_MOST_FIELDS = 300


@dataclass(frozen=True, slots=True)
class Form:
    """Fields by name; a field may be there several times."""

    fields: Mapping[str, list[str]] = field(default_factory=dict)

    def one(self, name: str, default: str = "") -> str:
        """Return the first value of a field."""
        return next(iter(self.fields.get(name, ())), default)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field that is not empty."""
        return tuple(value for value in self.fields.get(name, ()) if value)

    def has(self, name: str) -> bool:
        """Whether a field is there, even empty."""
        return name in self.fields

    def lines(self, name: str) -> tuple[str, ...]:
        """Return the lines of a field that are not empty; commas part them too."""
        text = self.one(name).replace(",", "\n")
        return tuple(line.strip() for line in text.splitlines() if line.strip())


def parse_form(text: str) -> Form:
    """Read `application/x-www-form-urlencoded`, of a body or of a query.

    Raises:
        ValueError: there are too many fields.

    """
    return Form(parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))


def parse_day(text: str) -> date | None:
    """Read the value of a date field; None for what is none."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def parse_end(text: str, zone: ZoneInfo) -> datetime | None:
    """Read an end: a day (it ends with that day) or a day with a time; None for what is neither."""
    day = parse_day(text)
    if day is not None:
        after = day + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=zone)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def write_end(at: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """Return an end as the two fields of a form have it: the last day, and a time where it is not the day's end."""
    there = at.astimezone(zone)
    if (there.hour, there.minute) == (0, 0):
        return str((there - timedelta(hours=12)).date()), ""
    return str(there.date()), f"{there:%H:%M}"


def read_end(form: Form, zone: ZoneInfo, day: str = "until", time: str = "until_time") -> datetime | None:
    """Read an end from two fields, a day and a time that may be empty."""
    clock = form.one(time).strip()
    return parse_end(f"{form.one(day).strip()}T{clock}" if clock else form.one(day), zone)
