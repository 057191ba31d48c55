"""Packets that devices send by themselves: read from the firewall as it counts them, they add nothing to any score."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from clean_packets import SYSTEMS, packets
from prometheus_client import CollectorRegistry
from school import MONDAY, PUPIL, School, sqlite_url

from schoolgate.firewall.evidence import Evidence, EvidenceReader, Tried
from schoolgate_exceptions.database import Database
from schoolgate_exceptions.event_tables import alerts, events
from schoolgate_policy.event import Sighting
from schoolgate_policy.technique import Technique


class Told:
    """Takes what the reader tells into the log of a school, at the school's time."""

    def __init__(self, school: School) -> None:
        self._school = school

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        """Take one sighting."""
        at = self._school.clock.at.timestamp()
        self._school.service.log.take([Sighting(at, "firewall", network, address, host, technique)])


def play(folder: Path, minutes: Iterable[list[Technique]]) -> tuple[list[sa.Row], list[sa.Row]]:
    """Have a device refused for these techniques minute by minute; return its attempts and alerts."""
    url = sqlite_url(folder / "portal.db")
    with closing(Database(url)) as database:
        database.migrate()
    school = School(folder, url)
    seen: Counter[Technique] = Counter()

    def look() -> Evidence:
        return Evidence((), tuple(Tried(one, "pupils", PUPIL, count) for one, count in seen.items()))

    reader = EvidenceReader(look, Told(school), CollectorRegistry(), lambda: _now(school))
    for minute, found in enumerate(minutes):
        school.clock.at = MONDAY + timedelta(seconds=61 * minute)
        seen.update(found)
        reader.turn()
        school.service.log.flush()
    with school.service.office.read() as connection:
        tried, raised = (connection.execute(sa.select(one)).all() for one in (events, alerts))
    school.service.close()
    return list(tried), list(raised)


def _now(school: School) -> float:
    return school.clock.at.timestamp()


@pytest.mark.parametrize("system", SYSTEMS)
def test_half_an_hour_of_a_clean_device_scores_nothing(tmp_path, system):
    """NTP, QUIC, push, discovery, calls, Private DNS on the gateway: counted as what they are, without a point."""
    sent = list(packets(system))
    assert len(sent) >= 20
    minutes = [
        [one.technique for one in sent if one.minute == minute and one.technique] for minute in range(31)
    ]
    tried, raised = play(tmp_path, minutes)
    assert tried
    assert [(one.technique, one.points) for one in tried if one.points] == []
    assert raised == []


def test_a_resolver_that_is_built_in_raises_no_alert(tmp_path):
    """A screen that asks 8.8.8.8 each minute for two hours is told of as that, and nobody is alerted by it alone."""
    tried, raised = play(tmp_path, [[Technique.FOREIGN_DNS]] * 120)
    assert len(tried) == 120
    assert raised == []


def test_what_is_repeated_counts_a_little_beside_something_else(tmp_path):
    """Beside a VPN that somebody started, another resolver counts: five points within ten minutes are an alert."""
    minutes = [[Technique.FOREIGN_DNS]] * 8 + [[Technique.WIREGUARD]]
    _, raised = play(tmp_path, minutes)
    assert [one.points for one in raised] == [5]
