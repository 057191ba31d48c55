"""Generated (client, host, minute) cases, drawn from the shipped policy and catalogue, and from what tries to look like them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schoolgate_policy.model import Policy, TargetKind

CLIENTS = (
    "127.0.10.5", "127.0.10.20", "127.0.20.5", "127.0.30.5", "127.0.40.5",
    "10.10.0.7", "10.10.0.20", "10.20.4.7", "10.30.1.1", "fd00:10::5", "fd00:20::5", "fd00:30::5", "192.0.2.1",
)  # fmt: skip
STEPS = (
    "08:29",
    "08:30",
    "08:49",
    "08:50",
    "10:29",
    "10:30",
    "10:50",
    "12:09",
    "12:10",
    "13:09",
    "13:10",
    "15:14",
    "15:15",
)
FIRST, LAST = datetime(2026, 8, 30, tzinfo=UTC), datetime(2027, 7, 25, tzinfo=UTC)
PREFIXES = ("", "", "www.", "m.", "a.b.c.", "static-cdn.")


@dataclass(frozen=True, slots=True)
class Case:
    """Somebody asks for something at some minute."""

    address: str
    host: str
    at: datetime


def cases(policy: Policy, count: int, seed: int) -> Iterator[Case]:
    """Yield cases; the same for the same seed."""
    chance = random.Random(seed)
    domains = [domain for service in policy.catalogue.services.values() for domain in service.domains]
    listed = [t.value for t, _ in policy.always_allow if t.kind in {TargetKind.DOMAIN, TargetKind.URL}]
    named = [t for rule in policy.rules for t in rule.targets if t.kind is TargetKind.SERVICE]
    famous = [domain for t in named for domain in policy.catalogue.services[t.value].domains]
    for _ in range(count):
        yield Case(chance.choice(CLIENTS), _host(chance, domains, famous, listed), _minute(chance))


def _host(chance: random.Random, domains: list[str], famous: list[str], listed: list[str]) -> str:
    domain = chance.choice(chance.choice((domains, famous, listed)))
    match chance.randrange(8):
        case 0:
            host = f"not{domain}"  # a look-alike: other name, same ending
        case 1:
            host = f"{domain}.evil.example"
        case 2:
            host = f"{domain.replace('.', '-')}.example"
        case 3:
            host = f"site{chance.randrange(1000)}.example.org"
        case 4:
            host = domain.upper()
        case _:
            host = chance.choice(PREFIXES) + domain
    return host


def _minute(chance: random.Random) -> datetime:
    day = FIRST + timedelta(days=chance.randrange((LAST - FIRST).days))
    if chance.random() < 0.3:  # the edges of lessons, in summer and in winter time
        hour, minute = map(int, chance.choice(STEPS).split(":"))
        return day.replace(hour=hour, minute=minute) - timedelta(hours=chance.randrange(2))
    return day + timedelta(minutes=chance.randrange(24 * 60))
