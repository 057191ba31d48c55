"""The small value types of policy.yaml: how times, days, addresses, targets and durations are written."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schoolgate_policy.clients import parse_range
from schoolgate_policy.errors import InvalidHost, InvalidPath
from schoolgate_policy.model import IPNetwork, Ports, Target, TargetKind, Threshold
from schoolgate_policy.names import as_ip, canonical_host
from schoolgate_policy.paths import canonical_path
from schoolgate_policy.schedule import Period

_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2})")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PORTS = re.compile(r"(tcp|udp) +([0-9]{1,5})(?:-([0-9]{1,5}))?")
_WIDEST = {4: 8, 6: 16}  # the shortest prefix of a range that a pass may name
_DURATION = re.compile(r"([0-9]+) (minute|hour|day|week|month|year)s?")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_WINDOW = timedelta(days=1)
_SHORTEST_STAY, _LONGEST_STAY = timedelta(minutes=15), timedelta(days=7)
_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
    "year": timedelta(days=366),
}


def problem(message: str) -> PydanticCustomError:
    """Make the error of a field validator; braces in the message are text."""
    return PydanticCustomError("policy", "{message}", {"message": message})


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise problem(f"text is expected here, not {kind_of(value)}")


def kind_of(value: Any) -> str:
    """Name a plain value's kind as a person would."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes or no (`true`, `false`)"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text `{value}`"
        case list():
            return "a list"
        case _:
            return "a group of keys"


def _as_list(value: Any) -> Any:
    """Let one item stand for a list of one."""
    return [value] if isinstance(value, str | dict) else value


def _parsed(parse: Callable[[str], Any], schema: dict[str, Any]) -> Any:
    return PlainValidator(lambda value: parse(_text(value))), WithJsonSchema(schema)


def parse_period(text: str) -> Period:
    """Read `08:50-10:30`; `22:00-06:00` runs past midnight; 24:00 ends a day."""
    start, dash, end = text.partition("-")
    if not dash:
        raise problem(f"`{text}` is no stretch of time such as 08:50-10:30")
    period = Period(_minutes(start.strip(), 23), _minutes(end.strip(), 24))
    if period.start == period.end:
        raise problem(f"`{text}` starts and ends at the same time; a whole day is 00:00-24:00")
    return period


def _minutes(text: str, last_hour: int) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise problem(f"`{text}` is no time of day such as 08:50 (two digits, a colon, two digits)")
    hours, minutes = int(match[1]), int(match[2])
    if hours > last_hour or minutes > 59 or (hours == 24 and minutes):
        raise problem(
            f"`{text}` is no time of day; the last is {last_hour}:{'00' if last_hour == 24 else '59'}"
        )
    return hours * 60 + minutes


def _guid(text: str) -> str:
    if not _GUID.fullmatch(text.lower()):
        raise problem(f"`{text}` is no id such as 1a2b3c4d-0000-4000-8000-1a2b3c4d5e6f")
    return text.lower()


def parse_days(text: str) -> frozenset[int]:
    """Read `mon-fri`, `sat`, or `mon, wed-fri`; Monday is 0. `fri-mon` runs over the weekend."""
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        start, end = _weekday(first), _weekday(last if dash else first)
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def _weekday(text: str) -> int:
    if text in _DAY_NAMES:
        return _DAY_NAMES.index(text)
    raise problem(f"`{text}` is no weekday; available: {', '.join(_DAY_NAMES)}, and ranges such as mon-fri")


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or an instant as it was written; its zone may be still to come."""

    value: date | datetime

    @property
    def is_day(self) -> bool:
        """Whether only a day was named."""
        return not isinstance(self.value, datetime)


def parse_moment(text: str) -> Moment:
    """Read `2026-11-23`, `2026-11-23 12:10` or, exact, `2026-10-25T01:45Z`."""
    try:
        return Moment(date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text))
    except ValueError:
        raise problem(
            f"`{text}` is no date such as 2026-11-23 and no instant such as 2026-11-23 12:10"
        ) from None


def parse_day(text: str) -> date:
    """Read `2026-11-23`."""
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError as error:
        raise problem(f"`{text}` is no date: {error}") from None
    raise problem(f"`{text}` is no date such as 2026-11-23")


def parse_duration(text: str) -> timedelta:
    """Read `90 days`, `1 year`: months count 31 days, years 366, so that nothing ends early."""
    match = _DURATION.fullmatch(text)
    if match is None or not int(match[1]):
        raise problem(f"`{text}` is no length of time such as 30 days; units: {', '.join(_UNITS)}")
    return int(match[1]) * _UNITS[match[2]]


def parse_stay(text: str) -> timedelta:
    """Read how long somebody stays signed in: `10 hours`; between a quarter of an hour and a week."""
    length = parse_duration(text)
    if not _SHORTEST_STAY <= length <= _LONGEST_STAY:
        raise problem(f"`{text}` is no time to stay signed in; it goes from 15 minutes to 7 days")
    return length


def parse_threshold(text: str) -> Threshold | None:
    """Read `5 in 10 minutes`; `off` is none."""
    if text == "off":
        return None
    points, separator, within = text.partition(" in ")
    if not separator or not points.isdecimal() or not int(points):
        raise problem(f"`{text}` is no threshold such as 5 in 10 minutes, or `off`")
    length = parse_duration(within)
    if length > _LONGEST_WINDOW:
        raise problem(f"`{within}` is too long to watch a device for; at most 1 day")
    return Threshold(int(points), length)


def parse_https_url(text: str) -> str:
    """Read the address of a list: https, and no password in it."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise problem(f"`{text}` is no URL: {error}") from None
    if parts.username or parts.password:
        raise problem("a URL with a user name or password; policy.yaml is no place for secrets")
    if parts.scheme != "https":
        raise problem(f"`{text}` is no https URL; what travels in the clear can be changed on its way")
    if not host or not text.isascii() or any(character.isspace() for character in text):
        raise problem(f"`{text}` is no URL such as https://lists.example/hosts.txt")
    return text


def parse_target(text: str) -> Target:
    """Read a target: service id, `category:ID`, `list:NAME`, name, name with path, or `everything`."""
    for kind in (TargetKind.CATEGORY, TargetKind.LIST):
        if text.startswith(f"{kind}:"):
            return Target(kind, text.removeprefix(f"{kind}:").strip())
    if text == "everything":
        return Target(TargetKind.EVERYTHING, text)
    if "://" in text:
        raise problem(f"`{text}`: write the name without {text.partition('://')[0]}://")
    if text.startswith("*."):
        raise problem(f"`{text}`: write `{text[2:]}`; a name covers all below it")
    host, slash, path = text.partition("/")
    if "." not in host and ":" not in host and not slash:
        return _service_target(text)
    try:
        name = canonical_host(host)
        return (
            Target(TargetKind.URL, name, canonical_path(slash + path))
            if path
            else Target(TargetKind.DOMAIN, name)
        )
    except (InvalidHost, InvalidPath) as error:
        raise problem(f"`{text}`: {error}") from None


def _service_target(text: str) -> Target:
    if _NAME.fullmatch(text.lower()):
        return Target(TargetKind.SERVICE, text.lower())
    raise problem(f"`{text}` is no service, category:ID, list:NAME, host name, host/path or `everything`")


def parse_name(text: str) -> str:
    """Read the name of a network, device or schedule."""
    if _NAME.fullmatch(text):
        return text
    raise problem(f"`{text}` is no name; use lower-case letters, digits and dashes, such as pupils-ks2")


def parse_negatable(text: str) -> tuple[str, bool]:
    """Read `lessons` or `not lessons`; the second part is whether it is negated."""
    words = text.split()
    if len(words) == 2 and words[0] == "not":
        return words[1], True
    if len(words) == 1:
        return words[0], False
    raise problem(f"`{text}` is no schedule and not `not SCHEDULE`")


def _network(text: str) -> IPNetwork:
    try:
        return parse_range(text)
    except ValueError as error:
        raise problem(str(error)) from None


def parse_pass_range(text: str) -> IPNetwork:
    """Read where a pass leads: a range that is not half the internet."""
    found = _network(text)
    if found.prefixlen < _WIDEST[found.version]:
        raise problem(f"`{text}` is too much of the internet for a pass; at most /{_WIDEST[found.version]}")
    return found


def parse_ports(text: str) -> Ports:
    """Read `udp 3478-3481`, `tcp 9100`."""
    match = _PORTS.fullmatch(text.lower())
    if match is None:
        raise problem(f"`{text}` is no port such as `tcp 9100` or `udp 3478-3481`")
    first = int(match[2])
    last = int(match[3] or first)
    if not 1 <= first <= last <= 65535:
        raise problem(f"`{text}`: ports go from 1 to 65535, the smaller one first")
    return Ports(match[1], first, last)


def _host(text: str) -> str:
    try:
        host = canonical_host(text)
    except InvalidHost as error:
        raise problem(str(error)) from None
    if as_ip(host):
        raise problem(f"`{text}` is an address; a name is expected here")
    return host


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise problem(f"a whole number is expected here, not {kind_of(value)}")


def _amount(value: Any) -> int:
    amount = _integer(value)
    if amount < 1:
        raise problem(f"{amount} is too little; it begins at 1")
    return amount


def _age(value: Any) -> int:
    age = _integer(value)
    if not 1 <= age <= 99:
        raise problem(f"{age} is no age of a person at school; it goes from 1 to 99")
    return age


def _words(value: Any) -> str:
    text = " ".join(_text(value).split())
    if not text:
        raise problem("some words are needed here")
    return text


Words = Annotated[str, PlainValidator(_words), WithJsonSchema({"type": "string", "minLength": 1})]
Integer = Annotated[int, PlainValidator(_integer), WithJsonSchema({"type": "integer"})]
Amount = Annotated[int, PlainValidator(_amount), WithJsonSchema({"type": "integer", "minimum": 1})]
Age = Annotated[int, PlainValidator(_age), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 99})]
Name = Annotated[str, *_parsed(parse_name, {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"})]
TimePeriod = Annotated[Period, *_parsed(parse_period, {"type": "string", "examples": ["08:50-10:30"]})]
Days = Annotated[frozenset[int], *_parsed(parse_days, {"type": "string", "examples": ["mon-fri"]})]
When = Annotated[
    Moment, *_parsed(parse_moment, {"type": "string", "examples": ["2026-11-23", "2026-11-23 12:10"]})
]
Day = Annotated[date, *_parsed(parse_day, {"type": "string", "format": "date"})]
Duration = Annotated[timedelta, *_parsed(parse_duration, {"type": "string", "examples": ["90 days"]})]
Stay = Annotated[timedelta, *_parsed(parse_stay, {"type": "string", "examples": ["10 hours"]})]
ThresholdField = Annotated[
    Threshold | None,
    *_parsed(parse_threshold, {"type": "string", "examples": ["5 in 10 minutes", "off"]}),
]
Range = Annotated[
    IPNetwork, *_parsed(_network, {"type": "string", "examples": ["10.20.0.0/16", "fd00:20::/64"]})
]
PassRange = Annotated[
    IPNetwork, *_parsed(parse_pass_range, {"type": "string", "examples": ["52.112.0.0/14", "10.40.0.9"]})
]
PortsField = Annotated[
    Ports, *_parsed(parse_ports, {"type": "string", "examples": ["tcp 9100", "udp 3478-3481"]})
]
TargetField = Annotated[
    Target,
    *_parsed(
        parse_target, {"type": "string", "examples": ["instagram", "category:social-network", "example.org"]}
    ),
]
Negatable = Annotated[
    tuple[str, bool], *_parsed(parse_negatable, {"type": "string", "examples": ["lessons", "not lessons"]})
]
Guid = Annotated[str, *_parsed(_guid, {"type": "string", "format": "uuid"})]
HostName = Annotated[str, *_parsed(_host, {"type": "string", "format": "hostname"})]
HttpsUrl = Annotated[str, *_parsed(parse_https_url, {"type": "string", "format": "uri"})]


class _OneOrMore:
    """Marks a list of which a single item may stand for a list of one; editors are told so too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


class _NothingIsEmpty:
    """Marks a section that may be left empty: `iwf:` and nothing behind it; editors are told so too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: {} if value is None else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "null"}]}


OneOrMore = _OneOrMore()
NothingIsEmpty = _NothingIsEmpty()


def _not_empty[T](items: list[T]) -> list[T]:
    if not items:
        raise problem("the list is empty; name at least one")
    return items


NotEmpty = AfterValidator(_not_empty)
