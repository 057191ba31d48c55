"""A term's timetable: the clock of the box is led through every edge of every day, and both ends are looked at."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain
from zoneinfo import ZoneInfo

import netns_clients as client
import pytest
from faked_clock import set_ahead
from netns_clients import request
from netns_school import NETWORKS, Box, School, school_policy

from schoolgate_policy.decision import Attempt, Point, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

pytestmark = [pytest.mark.netns, pytest.mark.timeout(900)]

LONDON = ZoneInfo("Europe/London")
GREETING = b"this is the real site"
THERE = "45.60.9.9"
RULES = """\
  - {allow: [chess.example], for: [pupils, guests], during: [lunch], reason: At lunch}
  - {block: [chess.example], during: [school-day], reason: Not in the school day}
  - {block: [games.example], during: [lessons], reason: Not in lessons}
"""
EDGES = ("08:30", "08:50", "10:30", "10:50", "12:10", "13:10", "15:15", "15:30")
TERM = (date(2026, 8, 31), date(2026, 12, 22))  # a little more than the autumn term
# Unlimited: nobody asks ten times a second, but a test that plays a term in half a minute.
LIMITS = "queries_per_second = 0\nsame_answers_per_second = 0\ntunnel_names = 0\ntunnel_carriers = 0\n"


@pytest.fixture(scope="module")
def policy() -> str:
    """The shipped policy, with rules that a timetable can be seen by."""
    return school_policy().replace("\nrules:\n", f"\nrules:\n{RULES}", 1)


@pytest.fixture(scope="module")
def engine(policy: str, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The same policy, judged without any network."""
    file = tmp_path_factory.mktemp("timetable") / "policy.yaml"
    file.write_text(policy)
    return Engine(load_policy(file))


@pytest.fixture(scope="module")
def move(school: School, box: Box, policy: str) -> Iterator[Callable[[datetime], None]]:
    """A box with a clock that goes where it is led to, in place of the other."""
    box.end()
    made = school.build_box("term", policy)
    clock = made.folder / "clock"
    try:
        made.settings.write_text(made.settings.read_text().replace("[dns]\n", f"[dns]\n{LIMITS}", 1))
        set_ahead(clock, datetime(2026, 8, 30, tzinfo=UTC))
        made.start(clock)
        yield partial(set_ahead, clock)
    finally:
        made.stop()
        box.start()


def local(day: date, at: str) -> datetime:
    return datetime.fromisoformat(f"{day} {at}").replace(tzinfo=LONDON).astimezone(UTC)


def days() -> Iterator[date]:
    yield from (TERM[0] + timedelta(number) for number in range((TERM[1] - TERM[0]).days + 1))


def around(edge: datetime) -> tuple[datetime, datetime]:
    """Shortly before and shortly after; a test takes a moment, and the clock goes on meanwhile."""
    return edge - timedelta(seconds=40), edge + timedelta(seconds=1)


def blocked(engine: Engine, address: str, host: str, at: datetime) -> bool:
    return engine.decide(Attempt(address, host, at, point=Point.DNS)).verdict is Verdict.BLOCK


def page_of(name: str) -> bytes:
    return client.exchange(THERE, 80, request(name))


def test_every_edge_of_a_term(school: School, move: Callable[[datetime], None], engine: Engine) -> None:
    """Names and pages open and close with the timetable for pupils, guests and staff: half terms, INSET days, weekends,
    the holidays and the clock change among them.
    """
    wrong: list[tuple[object, ...]] = []
    seen: dict[str, set[bool]] = {}
    for edge in (local(day, at) for day in days() for at in EDGES):
        with_pages = edge.astimezone(LONDON).date().day % 9 == 0  # one day in nine, weekends included
        for at in around(edge):
            move(at)
            for role, host in school.hosts().items():
                for name in ("games.example", "chess.example"):
                    meant = blocked(engine, host.four, name, at)
                    seen.setdefault(f"{role} {name}", set()).add(meant)
                    if host.do(client.is_blocked_name, host.gateway4, name) is not meant:
                        wrong.append(("name", role, name, at, meant))
                    if with_pages and (GREETING in host.do(page_of, name)) is meant:
                        wrong.append(("page", role, name, at, meant))
    assert wrong == []
    assert set(chain.from_iterable(seen.values())) == {True, False}
    assert len(seen) == 2 * len(NETWORKS)


@pytest.mark.parametrize(
    ("day", "at", "closed"),
    [
        ("2026-09-02", "08:49", False), ("2026-09-02", "08:51", True),  # the first day
        ("2026-10-23", "10:00", True), ("2026-10-26", "10:00", False),  # half term, on the other side of the clock change
        ("2026-11-02", "08:51", True), ("2026-11-02", "08:49", False),  # winter time
        ("2026-11-26", "11:00", True), ("2026-11-27", "11:00", False), ("2026-11-28", "11:00", False),  # INSET, Saturday
        ("2026-12-18", "15:14", True), ("2026-12-18", "15:16", False), ("2026-12-21", "11:00", False),  # the last day
    ],
)  # fmt: skip
def test_days_that_everybody_knows(day: str, at: str, closed: bool, engine: Engine) -> None:
    """What the timetable above is compared with is right: days of the autumn term that a teacher could name."""
    assert blocked(engine, "10.20.0.5", "games.example", local(date.fromisoformat(day), at)) is closed


def test_a_lesson_begins(school: School, move: Callable[[datetime], None]) -> None:
    """At 08:50 what was open is closed within five seconds, opened and passed-on connections alike."""
    bell = local(date(2026, 11, 3), "08:50")
    ahead = 6
    started = datetime.now(UTC)
    move(bell - timedelta(seconds=ahead))
    held = [
        host.pool.submit(client.until_closed, THERE, "games.example", "/stream", False)
        for host in school.hosts().values()
    ]
    for future in held:
        first, closed = future.result(170)
        assert first.startswith(b"HTTP/1.1 200")
        assert ahead - 0.5 < closed - started.timestamp() < ahead + 5 + 10 * (client.busy())
