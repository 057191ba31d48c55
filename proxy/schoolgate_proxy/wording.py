"""The words of the block page, by language and reader (`templates/block.words.yaml`), and how moments are said."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from schoolgate_policy.errors import PolicyError
from schoolgate_policy.yaml_text import read_yaml

type Reader = Literal["child", "older", "adult"]
LANGUAGES = ("en", "cy")
_CHOICE = re.compile(r"([A-Za-z]{1,8})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Heading(_Section):
    """What stands on top."""

    title: str
    lead: str


class SupportWords(Heading):
    """What somebody reads who looked for something that hurts."""

    calm: str
    helpline: str


class SupervisedWords(Heading):
    """What somebody reads whose device is under close supervision for a time."""

    until: str
    ask: str


class FaultWords(Heading):
    """What stands there when the filter itself failed."""

    calm: str
    ask: str


class ReaderWords(_Section):
    """The words for one kind of reader."""

    time: Heading
    content: Heading
    support: SupportWords
    supervised: SupervisedWords
    calm: str
    ask: str
    ask_label: str
    mail_label: str = ""
    contact_label: str


class MomentWords(_Section):
    """How the moment at which something opens is said."""

    today: str
    tomorrow: str
    weekday: str
    date: str


class LanguageWords(_Section):
    """All words of one language. `code` is its tag (BCP 47)."""

    code: str
    weekdays: Annotated[tuple[str, ...], Field(min_length=7, max_length=7)]
    months: Annotated[tuple[str, ...], Field(min_length=12, max_length=12)]
    when: MomentWords
    this_page: str
    rule: str
    fault: FaultWords
    child: ReaderWords
    older: ReaderWords
    adult: ReaderWords

    def reader(self, who: Reader) -> ReaderWords:
        """Return the words for a kind of reader."""
        match who:
            case "child":
                return self.child
            case "older":
                return self.older
            case _:
                return self.adult


@dataclass(frozen=True, slots=True)
class _Choice:
    language: str
    weight: float


@cache
def words_in(language: str) -> LanguageWords:
    """Return the words of one of `LANGUAGES`.

    Raises:
        PolicyError, ValueError: the data that ships is broken.

    """
    name = "block.words.yaml"
    document, issues = read_yaml((files(__package__) / "templates" / name).read_bytes(), name)
    if document is None or issues:
        raise PolicyError(tuple(issues))
    return LanguageWords.model_validate(document.value[language])


def preferred(accept_language: str) -> str:
    """Return the language of ours that a browser likes best (RFC 9110 12.5.4); English where it likes none."""
    choices = [_choice(part) for part in accept_language.split(",")[:20]]
    known = [choice for choice in choices if choice.language in LANGUAGES and choice.weight > 0]
    return max(known, key=lambda choice: choice.weight).language if known else "en"


def _choice(part: str) -> _Choice:
    match = _CHOICE.fullmatch(part.strip())
    if match is None:
        return _Choice("", 0.0)
    return _Choice(match[1].lower(), float(match[2]) if match[2] else 1.0)


def opening_words(now: datetime, opens_at: datetime, timezone: str, language: str = "en") -> str:
    """Say when something opens, as people do: `from 15:30`, `from Monday 08:30`, `from Monday 4 January, 08:30`."""
    words = words_in(language)
    zone = ZoneInfo(timezone)
    here, then = now.astimezone(zone), opens_at.astimezone(zone)
    days = (then.date() - here.date()).days
    match days:
        case _ if days <= 0:
            form = words.when.today
        case 1:
            form = words.when.tomorrow
        case _ if days < 7:
            form = words.when.weekday
        case _:
            form = words.when.date
    return form.format(
        time=f"{then:%H:%M}",
        weekday=words.weekdays[then.weekday()],
        day=then.day,
        month=words.months[then.month - 1],
    )
