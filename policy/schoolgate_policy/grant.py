"""An exception to be written into a policy, checked before it gets anywhere near the file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticCustomError

from schoolgate_policy.decision import Verdict
from schoolgate_policy.errors import EditError
from schoolgate_policy.fields import Moment, parse_moment, parse_name, parse_negatable, parse_target
from schoolgate_policy.quote import flow_list, quote

type Fields = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class NewException:
    """A departure from the rules as it will stand in the file, whoever asked for it left out.

    `until` and `starts` are days or instants as the policy language writes them; `whom` names networks and devices
    (none: everybody), `during` schedules, `not lessons` among them (none: always). Everything is brought into the
    spelling that is judged.

    Raises:
        EditError: a field is not what the policy language allows there.

    """

    id: str
    targets: tuple[str, ...]
    until: str
    reason: str
    verdict: Verdict = Verdict.ALLOW
    whom: tuple[str, ...] = ()
    starts: str | None = None
    during: tuple[str, ...] = ()
    reviewed_by: str | None = None
    approved_by: str | None = None

    def __post_init__(self) -> None:
        self._set("id", words("id", self.id))
        self._set("targets", tuple(target(str(self.verdict), text) for text in self.targets))
        self._set("until", moment("until", self.until))
        self._set("reason", words("reason", self.reason))
        self._set("whom", tuple(_checked("for", parse_name, text.strip()) for text in self.whom))
        self._set("starts", moment("from", self.starts) if self.starts else None)
        self._set("during", tuple(_during(text) for text in self.during))
        for name in ("reviewed_by", "approved_by"):
            value = getattr(self, name)
            self._set(name, words(name, value) if value else None)
        if not self.targets:
            raise EditError(f"{self.verdict}: the list is empty; name at least one")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def fields(self) -> Fields:
        """Return the keys and values that the file gets, in their order."""
        every: dict[str, str | list[str] | None] = {
            "id": self.id,
            str(self.verdict): list(self.targets),
            "for": list(self.whom),
            "from": self.starts,
            "until": self.until,
            "during": list(self.during),
            "reason": self.reason,
            "reviewed_by": self.reviewed_by,
            "approved_by": self.approved_by,
        }
        return {key: value for key, value in every.items() if value}

    def lines(self) -> list[str]:
        """Return the exception as YAML, a line a key, without indentation and dash."""
        return [f"{key}: {_scalar(value)}" for key, value in self.fields().items()]

    def inline(self) -> str:
        """Return the exception as `{…}` on one line."""
        return "{" + ", ".join(self.lines()) + "}"


def _scalar(value: str | list[str]) -> str:
    return quote(value) if isinstance(value, str) else flow_list(tuple(value))


def words(name: str, text: str) -> str:
    """Bring words onto one line, as the policy language reads them."""
    text = " ".join(text.split())
    if not text:
        raise EditError(f"{name}: some words are needed here")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise EditError(f"{name}: half of a character is no text")
    return text


def target(name: str, text: str) -> str:
    """Bring a target into the spelling that is judged."""
    return str(_checked(name, parse_target, text.strip()))


def moment(name: str, text: str) -> str:
    """Check a day or an instant; the text stays."""
    text = text.strip()
    _moment(name, text)
    return text


def _moment(name: str, text: str) -> Moment:
    return _checked(name, parse_moment, text)


def _during(text: str) -> str:
    schedule, negated = _checked("during", parse_negatable, text)
    name = _checked("during", parse_name, schedule)
    return f"not {name}" if negated else name


def _checked[T](name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except PydanticCustomError as error:
        raise EditError(f"{name}: {_message(error)}") from None


def _message(error: PydanticCustomError) -> Any:
    return error.message()
