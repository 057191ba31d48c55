"""What pages say, in the languages of `texts/*.LANGUAGE.yaml`, and how people write times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

LANGUAGES: Mapping[str, str] = {"en": "English", "cy": "Cymraeg"}
FILES = ("pages", "office", "pictures")  # of `texts/`: for everybody, for who is signed in, below pictures


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language; call it with `page.key` and the values that stand in braces."""

    language: str
    zone: ZoneInfo
    now: datetime

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text.

        Raises:
            KeyError: there is none of that key.

        """
        page, _, name = key.partition(".")
        text = str(_texts(self.language)[page][name])
        return text.format_map(values) if values else text

    def has(self, key: str) -> bool:
        """Whether there is a text of that key."""
        page, _, name = key.partition(".")
        return name in _texts(self.language).get(page, ())

    def of(self, stem: str, name: str) -> str:
        """Return the text of `stem` and a name that the code gives something; the name itself where there is none."""
        key = f"{stem}{name.replace(' ', '-')}"
        return self(key) if self.has(key) else name

    @property
    def tag(self) -> str:
        """The language as BCP 47 has it."""
        return self("common.tag")

    def when(self, at: datetime) -> str:
        """Say when something is or was: `tomorrow at 15:30`."""
        there, here = at.astimezone(self.zone), self.now.astimezone(self.zone)
        days = (there.date() - here.date()).days
        name = {0: "today", 1: "tomorrow", -1: "yesterday"}.get(days, "day" if abs(days) < 200 else "year")
        return self._time(name, there)

    def until(self, at: datetime) -> str:
        """Say when something ends; midnight is the end of the day before it."""
        there = at.astimezone(self.zone)
        if (there.hour, there.minute) != (0, 0):
            return self.when(at)
        last = there - timedelta(hours=12)
        days = (last.date() - self.now.astimezone(self.zone).date()).days
        name = "end-today" if days == 0 else "end-day" if abs(days) < 200 else "end-year"
        return self._time(name, last)

    def day(self, at: date) -> str:
        """Write a day: `27 November 2026`; of an instant the day it is at school."""
        there = at.astimezone(self.zone) if isinstance(at, datetime) else at
        return f"{there.day} {_texts(self.language)['months'][there.month - 1]} {there.year}"

    def _time(self, name: str, there: datetime) -> str:
        texts = _texts(self.language)
        return str(texts["times"][name]).format(
            time=f"{there:%H:%M}",
            weekday=texts["days"][there.weekday()],
            day=there.day,
            month=texts["months"][there.month - 1],
            year=there.year,
        )


def choose_language(wanted: str, kept: str, account: str, accepted: str) -> str:
    """Return the language of a page: asked for just now, kept in a cookie, the account's, or the browser's."""
    for one in (wanted, kept, account):
        if one in LANGUAGES:
            return one
    first = accepted.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().lower()
    return "cy" if first == "cy" or first.startswith("cy-") else "en"


@cache
def _texts(language: str) -> Mapping[str, Any]:
    folder = files("schoolgate_exceptions") / "texts"
    read: dict[str, Any] = {}
    for name in FILES:
        read |= yaml.safe_load((folder / f"{name}.{language}.yaml").read_text("utf-8"))
    return read
