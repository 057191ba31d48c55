"""Whose an address is: one device on both families and with a new lease is one device, with one score."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from school import MONDAY, PUPIL, School

from schoolgate_exceptions.event_tables import alerts, event_devices, events
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.watch.devices import Attribution
from schoolgate_policy.event import Sighting

AT = MONDAY.timestamp()
MAC, OTHER_MAC = "02:00:00:00:00:07", "02:00:00:00:00:08"
SIX, PRIVATE_SIX, LEASE = "fd00:20::5", "fd00:20::aaaa:1", "10.20.0.77"


@pytest.fixture
def seen(tmp_path, sqlite_only: str):
    """A school, and the neighbours that its box sees; each look is a fresh one."""
    school, table = School(tmp_path, sqlite_only), {}
    school.service.devices.neighbours = lambda: dict(table)
    looks = iter(range(0, 100_000, 60))
    school.service.devices.monotonic = lambda: float(next(looks))
    yield school, table
    school.service.close()


def log(school: School, *tried: tuple[str, str]) -> list[sa.Row]:
    """Take sightings (address, technique) a second apart; return the events so far."""
    start = len(rows(school))
    school.service.log.take(
        [Sighting(AT + start + n, "dns", "", at, "x.example", one) for n, (at, one) in enumerate(tried)]
    )
    school.service.log.flush()
    return rows(school)


def rows(school: School, table: sa.Table = events) -> list[sa.Row]:
    with school.service.office.read() as connection:
        return list(connection.execute(sa.select(table)))


def test_both_families_are_one_score(seen):
    """Two points over IPv4, one with a privacy address, two over IPv6: one device, five points, one alert."""
    school, table = seen
    table |= {PUPIL: MAC, SIX: MAC, PRIVATE_SIX: MAC, "10.20.0.6": OTHER_MAC}
    found = log(school, (PUPIL, "vpn"), (PRIVATE_SIX, "doh"), (SIX, "web_proxy"))
    assert len({one.device for one in found}) == 1
    assert {one.attribution for one in found} == {Attribution.HARDWARE}
    (alert,) = rows(school, alerts)
    assert alert.points == 5
    assert not [row for row in (*found, *rows(school, event_devices)) if MAC in str(row)]


def test_the_same_attempt_over_both_families_is_one(seen):
    """What a browser tries over IPv4 and IPv6 at once folds into one attempt."""
    school, table = seen
    table |= {PUPIL: MAC, SIX: MAC}
    (found,) = log(school, (PUPIL, "vpn"), (SIX, "vpn"))
    assert (found.times, found.points) == (2, 2)


def test_a_new_lease_is_the_same_device_and_the_old_address_another(seen):
    """The score goes with the hardware; who gets the address next begins anew. Those who may look see both addresses."""
    school, table = seen
    table |= {PUPIL: MAC}
    log(school, (PUPIL, "vpn"))
    table |= {LEASE: MAC, PUPIL: OTHER_MAC}
    before, same, other = log(school, (LEASE, "tor"), (PUPIL, "web_proxy"))
    assert before.device == same.device != other.device
    (alert,) = rows(school, alerts)
    assert (alert.device, alert.points) == (same.device, 5)
    lead = school.person("dsl@school.example", Role.DSL)
    hour = timedelta(hours=1)
    file = school.service.watched.file(lead, same.device, "case 12", MONDAY - hour, MONDAY + hour)
    assert (file.address, file.addresses) == (LEASE, (LEASE, PUPIL))


def test_a_name_in_the_policy_comes_first(seen):
    """A machine that policy.yaml names is that machine with any hardware and in both families; a room is nobody."""
    school, table = seen
    text = school.policy.read_text()
    named = text.replace(
        "office-pc: [10.10.0.20]", 'office-pc: [10.10.0.20, "fd00:10::20"]\n  lab: [10.20.9.0/24]'
    )
    assert named != text
    school.policy.write_text(named)
    table |= {"10.10.0.20": MAC, "fd00:10::20": OTHER_MAC, "10.20.9.1": "02:00:00:00:00:09"}
    first, second, room = log(school, ("10.10.0.20", "vpn"), ("fd00:10::20", "tor"), ("10.20.9.1", "tor"))
    assert first.device == second.device != room.device
    assert (first.attribution, second.attribution, room.attribution) == ("named", "named", "hardware")


def test_what_answers_for_many_is_no_device(seen):
    """Behind a repeater every address has its hardware address: then each address stands for itself."""
    school, table = seen
    addresses = [f"10.20.0.{number}" for number in range(5, 9)]
    table |= dict.fromkeys(addresses, MAC)
    found = log(school, *((address, "vpn") for address in addresses))
    assert len({one.device for one in found}) == len(addresses)
    assert {one.attribution for one in found} == {Attribution.ADDRESS}


def test_one_machine_on_two_networks_is_two_devices(seen):
    """Who may look hangs on the network: what a laptop did among staff is not shown to who sees pupils."""
    school, table = seen
    table |= {PUPIL: MAC, "10.10.0.9": MAC}
    found = log(school, (PUPIL, "vpn"), ("10.10.0.9", "vpn"))
    assert len({one.device for one in found}) == 2


def test_who_came_since_the_last_look_is_known_by_the_hardware_at_once(seen):
    """A device's first attempts count with those after: nothing is booked on an address whose neighbour is there to see."""
    school, table = seen
    clock = iter(number / 2 for number in range(1000))  # rounds of half a second, all within one regular look
    school.service.devices.monotonic = lambda: next(clock)
    log(school, ("10.20.0.6", "vpn"))
    table |= {PUPIL: MAC}
    log(school, (PUPIL, "vpn"))
    table |= {SIX: MAC}
    _, first, second = log(school, (SIX, "tor"))
    assert first.device == second.device
    assert (first.attribution, second.attribution) == (Attribution.HARDWARE, Attribution.HARDWARE)
    (alert,) = rows(school, alerts)
    assert alert.points == first.points + second.points


def test_strangers_do_not_have_the_neighbours_read_all_the_time(seen):
    """An address without a neighbour is looked for once until the next regular look; any number of them, four times a second."""
    school, _ = seen
    looks, now = [], [0.0]
    school.service.devices.monotonic = lambda: now[0]
    school.service.devices.neighbours = lambda: looks.append(now[0]) or {}
    for tenth in range(100):
        now[0] = tenth / 10
        log(school, (PUPIL, "vpn"), ("10.20.0.6", "vpn"))
    assert len(looks) <= 3
    looks.clear()
    for tenth in range(20):
        now[0] = 11 + tenth / 10
        log(school, *((f"10.20.{tenth}.{number}", "vpn") for number in range(1, 20)))
    assert 1 < len(looks) <= 9
