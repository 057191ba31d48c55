"""The instruments of a box, as a test wants them: what they read is handed in, or that of an ordinary day."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from school import School

from schoolgate_exceptions.ports import Readings


class ToldInstruments:
    """Instruments that read what they are told to."""

    def __init__(self, readings: Readings | None = None) -> None:
        self.readings: Readings = readings or {}

    def read(self) -> Readings:
        """Return what was told."""
        return self.readings


@contextmanager
def back_then(school: School) -> Iterator[None]:
    """Let the clock be moved about, and put it back."""
    at = school.clock.at
    yield
    school.clock.at = at


def an_ordinary_day(school: School, *, every: timedelta = timedelta(minutes=30), days: int = 2) -> None:
    """Take samples of some days: lessons are busy, the proxy was away for an hour, one name server is slow to wake."""
    told, now = ToldInstruments(), school.clock.at
    school.service.sampling.instruments = told
    with back_then(school):
        school.clock.at = now - timedelta(days=days)
        while school.clock.at <= now:
            told.readings = ordinary(school.clock.at, now, every)
            school.service.sampling.take_due()
            school.clock.at += every


def ordinary(at: datetime, now: datetime, every: timedelta) -> Readings:
    """Return what an ordinary box tells at an instant."""
    busy = 1 + 40 * (8 <= at.hour < 15) + at.minute / 10
    away, starts = timedelta(hours=5) < now - at < timedelta(hours=6), (now - timedelta(days=9)).timestamp()
    return {
        "interval": {"seconds": every.total_seconds()},
        "up": {"dns": 1, "proxy": 0 if away else 1, "portal": 1},
        "started": {"dns": starts, "proxy": (now - timedelta(hours=5)).timestamp(), "portal": starts},
        "memory": {"dns": 61e6 + busy * 1e5, "proxy": 210e6 + busy * 1e6, "portal": 96e6},
        "cpu": {"dns": busy * 9, "proxy": busy * 24, "portal": 20},
        "policy": {"current": 1, "versions": 1},
        "room": {"free": 41e9 + (now - at) / timedelta(days=1) * 1e8, "size": 64e9},
        "clock": {"synchronised": 1, "error": 0.004 + busy / 9_000},
        "certificates": {"authority": starts + 3 * 365 * 86_400, "intermediate": starts + 90 * 86_400},
        "upstreams": {"1": 1, "2": int(now - at > timedelta(hours=20) or now - at < timedelta(hours=15))},
        "open": {"explicit": busy, "transparent": busy * 7},
        "old": {"open": int(busy) // 20},
        "queries": {"NOERROR": busy * 900, "NXDOMAIN": busy * 240, "SERVFAIL": busy * 3, "REFUSED": busy},
        "cache": {"hit": busy * 700, "stale": busy * 2, "miss": busy * 200},
        "exchanges": {"answered": busy * 195, "timeout": busy * 4, "failed": busy},
        "answer_times": {"0.005": busy * 20, "0.02": busy * 120, "0.1": busy * 190, "+Inf": busy * 200},
        "dns_refused": {"client_rate": busy / 20, "tunnel": 2, "dropped": 1},
        "connections": {"explicit": busy * 20, "transparent": busy * 300},
        "turned_away": {"late": busy / 9, "client": 1},
        "site_failures": {"connect": busy / 4, "name": busy / 3, "certificate": 2},
        "ech": {"own": busy, "outer": 1},
        "pinned": {"pupils": busy / 9, "staff": busy / 20},
        "no_certificate": {"guests": 1},
        "recorded": {"arrived": busy * 900, "written": busy * 41},
        "pages": {"blocked": busy, "ask": busy / 9, "queue": 2, "home": 1},
        "errors": {"403": busy, "404": 1},
        "reloads": {"accepted": int(at.hour == 9 and at.minute < 30), "rejected": int(at.hour == 10 and at.minute < 30)},
    }  # fmt: skip
