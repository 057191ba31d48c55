"""Looking at attempts and devices: lists by pseudonym, and one device in full with a reason that the audit keeps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Row

from schoolgate_exceptions.event_tables import events
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Actor
from schoolgate_exceptions.watch.devices import SEES_PUPILS, SEES_STAFF, Devices
from schoolgate_policy.model import People


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it is shown; `technique` is empty for a visit."""

    at: datetime
    last_at: datetime
    point: str
    network: str
    device: str
    attribution: str
    host: str
    service: str
    category: str
    verdict: str
    reason: str
    source: str
    technique: str
    points: int
    times: int


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """What one device has tried in a time, by its pseudonym."""

    device: str
    network: str
    attempts: int
    points: int
    techniques: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    held: bool


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """Everything that is kept of one device in a time, newest first, with its addresses, the newest first."""

    device: str
    addresses: tuple[str, ...]
    network: str
    held: bool
    seen: tuple[Seen, ...]

    @property
    def address(self) -> str:
        """Where it was seen last."""
        return self.addresses[0]


class Watched:
    """Shows single devices to those who may see them."""

    def __init__(self, office: Office, devices: Devices) -> None:
        self._office = office
        self._devices = devices

    def devices(
        self,
        actor: Actor,
        since: datetime,
        until: datetime,
        *,
        technique: str = "",
        network: str = "",
        most: int = 100,
    ) -> list[DeviceSummary]:
        """Return the devices that tried something, those with most points first; without their addresses."""
        actor.require(*SEES_PUPILS)
        where = [events.c.technique != "", *self._within(actor, since, until)]
        where += [events.c.technique == technique] if technique else []
        where += [events.c.network == network] if network else []
        query = (
            sa.select(
                events.c.device,
                events.c.network,
                events.c.technique,
                sa.func.count().label("attempts"),
                sa.func.sum(events.c.points).label("points"),
                sa.func.min(events.c.at).label("first_at"),
                sa.func.max(events.c.last_at).label("last_at"),
            )
            .where(*where)
            .group_by(events.c.device, events.c.network, events.c.technique)
        )
        found: dict[tuple[str, str], list[Row[Any]]] = {}
        with self._office.read() as connection:
            for row in connection.execute(query):
                found.setdefault((row.device, row.network), []).append(row)
            held = self._devices.held(connection)
        listed = [_summary(key, rows, held) for key, rows in found.items()]
        return sorted(listed, key=lambda one: (-one.points, -one.attempts, one.device))[:most]

    def times(
        self, actor: Actor, since: datetime, until: datetime, *, technique: str = "", network: str = ""
    ) -> list[Seen]:
        """Return attempts as they happened, oldest first, at most 2000; without devices of those one may not see."""
        actor.require(*SEES_PUPILS)
        where = [events.c.technique != "", *self._within(actor, since, until)]
        where += [events.c.technique == technique] if technique else []
        where += [events.c.network == network] if network else []
        query = sa.select(events).where(*where).order_by(events.c.at).limit(2_000)
        with self._office.read() as connection:
            return [_seen(row) for row in connection.execute(query)]

    def file(self, actor: Actor, device: str, reason: str, since: datetime, until: datetime) -> DeviceFile:
        """Return what is kept of one device, with its addresses. Who looked and why is written into the audit.

        Raises:
            NotAllowed: somebody may not see this device.
            InvalidInput: there is no reason.
            NotFound: nothing of it is kept any more.

        """
        addresses = self._devices.reveal(actor, device, reason)
        where = [events.c.device == device, events.c.at >= since, events.c.at < until]
        query = sa.select(events).where(*where).order_by(events.c.at.desc()).limit(1_000)
        with self._office.read() as connection:
            seen = tuple(_seen(row) for row in connection.execute(query))
            _, network = self._devices.unseal(connection, device)
            return DeviceFile(device, addresses, network, device in self._devices.held(connection), seen)

    def _within(self, actor: Actor, since: datetime, until: datetime) -> list[ColumnElement[bool]]:
        where = [events.c.at >= since, events.c.at < until]
        if not actor.has(*SEES_STAFF):
            staff = [one.id for one in self._office.policy.networks.values() if one.people is People.STAFF]
            where.append(events.c.network.not_in(staff))
        return where


def _summary(key: tuple[str, str], rows: list[Row[Any]], held: frozenset[str]) -> DeviceSummary:
    return DeviceSummary(
        *key,
        sum(row.attempts for row in rows),
        sum(row.points for row in rows),
        tuple(sorted(row.technique for row in rows)),
        min(row.first_at for row in rows),
        max(row.last_at for row in rows),
        key[0] in held,
    )


def _seen(row: Row[Any]) -> Seen:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's own name for its public view
    del values["number"]
    return Seen(**values)
