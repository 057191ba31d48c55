"""The log of events: takes what dns and proxy tell, folds it, counts it, scores it, and writes it in batches.

Used from one thread. What could not be written stays here and is written next time; what does not fit is counted as
lost. Of allowed visits only hourly counts are kept, unless policy.yaml says `record: everything`, and of visits to
places that help (safeguarding, health) never more than a count without the service.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions.box_tables import boxes
from schoolgate_exceptions.event_tables import alerts, bells, events
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.watch import writing
from schoolgate_exceptions.watch.alerting import Alerting, Concern
from schoolgate_exceptions.watch.concerns import concern_of
from schoolgate_exceptions.watch.devices import Devices, Identified
from schoolgate_exceptions.watch.folding import Fold, Folded, site_of
from schoolgate_exceptions.watch.probes import Probes
from schoolgate_exceptions.watch.scoring import LONGEST, Reached, Scores
from schoolgate_policy.event import Bell, Event, Fault, Probed, Sighting, Visit
from schoolgate_policy.model import Recorded
from schoolgate_policy.technique import BY_CATEGORY, Technique
from schoolgate_policy.technique_table import weight

PRIVATE = frozenset({"safeguarding", "health"})
_SKEW = 300.0  # seconds by which a clock may be ahead
_HOUR = 3600
_KNOWN = frozenset(Technique)
_BLOCK = "block"
_NOT_THEIRS = frozenset({Technique.SPOOFED_SOURCE})  # whoever has the address did not send it


class EventLog:
    """Folds and keeps events (the portal's side of the socket)."""

    def __init__(self, office: Office, devices: Devices, alerting: Alerting, probes: Probes) -> None:
        self._office = office
        self._devices = devices
        self._alerting = alerting
        self._probes = probes
        self._fold = Fold()
        self._scores = Scores()
        self._done: list[Folded] = []  # replaced before they were written
        self._counts = writing.Counts()
        self._bells: list[Bell] = []
        self._reached: list[tuple[Reached, str, str]] = []  # with network and address
        self._concerns: list[tuple[Concern, float, str, str]] = []  # when, device, network
        self._supervise: list[tuple[Reached, str]] = []  # with the address
        self._number = 0
        self._ready = False
        self._marks: dict[int, int] = {}  # by box: the sequence of its last events
        self.lost: Callable[[int], None] = lambda _: None
        self.attempted: Callable[[str, str], None] = lambda _technique, _network: None

    def take(self, batch: Sequence[Event]) -> None:
        """Fold events in; nothing is written yet."""
        if not self._ready:
            self._restore()
        self._devices.look_around()
        latest = self._office.now().timestamp() + _SKEW
        for one in batch:
            if one.at > latest:
                self.lost(1)
            elif type(one) is Visit:
                self._visit(one)
            elif type(one) is Sighting:
                self._sighting(one)
            elif type(one) is Bell:
                self._bells.append(one)
            elif type(one) is Fault:
                self._counts.fault(_hour(one.at), one)
            elif type(one) is Probed and not self._probes.take(one):
                self.lost(1)

    def mark(self, box: int, sequence: int) -> None:
        """Have it written together with the events that a box's batch ends with this sequence."""
        self._marks[box] = sequence

    def flush(self) -> int:
        """Write what has changed in one transaction; return how many rows that were.

        Raises:
            Unavailable: the database does not take it now; everything is kept for the next time.

        """
        if not self._ready:
            self._restore()
        now = self._office.now()
        ended = self._scores.over(now.timestamp(), self._office.policy.circumvention)
        changed, probed = self._done + self._fold.changed(), self._probes.complete()
        waiting = self._concerns or self._bells or self._reached or self._supervise or self._marks
        if not (changed or self._counts or waiting or ended or probed):
            return 0
        with self._office.write() as connection:
            rows = self._write(connection, now, changed)
            self._probes.write(connection, probed)
            self._alerting.ended(connection, ended)
            for reached, network, _ in self._reached:
                self._alerting.raised(connection, reached, network)
            for concern in self._concerns:
                self._alerting.concern(connection, *concern)
        self._supervise += [(reached, address) for reached, _, address in self._reached if reached.supervise]
        self._probes.written(probed)
        for one in changed:
            one.changed = False
        self._done.clear()
        self._bells.clear()
        self._marks.clear()
        self._reached.clear()
        self._concerns.clear()
        self._counts = writing.Counts()
        self._fold.close(now.timestamp())
        while self._supervise:
            self._alerting.supervise(*self._supervise[0])
            del self._supervise[0]
        return rows

    def points(self, device: str) -> int:
        """Return the present score of a device, in the window of the alert."""
        threshold = self._office.policy.circumvention.alert
        return self._scores.points(device, self._office.now().timestamp(), threshold) if threshold else 0

    def _visit(self, one: Visit) -> None:
        private = one.category in PRIVATE
        self._counts.visit(_hour(one.at), one._replace(service="", category="") if private else one)
        if not one.address or private:
            return
        if one.verdict != _BLOCK and self._office.policy.privacy.record is not Recorded.EVERYTHING:
            return
        technique = BY_CATEGORY.get(one.category) if one.verdict == _BLOCK else None
        self._add(one, technique or "", one.times)

    def _sighting(self, one: Sighting) -> None:
        technique = one.technique if one.technique in _KNOWN else "other"
        found = self._devices.identify(one.address)
        network = one.network or found.network
        visit = Visit(one.at, one.point, network, one.address, one.host, _BLOCK, "", "", "", "", one.times)
        self._counts.sighting(_hour(one.at), network, technique, one.times)
        self._add(visit, technique, one.times)

    def _add(self, one: Visit, technique: str, times: int) -> None:
        found = self._devices.identify(one.address)
        what = "" if technique else one.service or site_of(one.host)
        key = found.device, technique, what, "" if technique else one.verdict
        known = self._fold.again(key, one.at, times)
        if known is not None:
            if one.source and not known.source:
                known.source, known.reason = one.source, one.reason
                known.service, known.category = one.service, one.category
            return
        if self._fold.full:
            self.lost(1)
            return
        points = weight(technique) if technique and technique not in _NOT_THEIRS else 0
        event = Folded(
            one.at, one.at, one.point, one.network, found.device, found.attribution, one.host, one.service,
            one.category, one.verdict, one.reason, one.source, technique, points, times,
        )  # fmt: skip
        self._done += self._fold.begin(key, event)
        self._devices.note(found, one.address)
        if one.verdict == _BLOCK and (concern := concern_of(one, self._office.engine)):
            self._concerns.append((concern, one.at, found.device, one.network))
        if technique:
            self._counts.attempt(_hour(one.at), one.network, technique)
            self.attempted(technique, one.network)
            self._score(event, found, one.address)

    def _score(self, event: Folded, found: Identified, address: str) -> None:
        policy = self._office.policy.circumvention
        reached = self._scores.add(found.device, event.at, event.points, event.technique, policy)
        self._reached += [(one, event.network, address) for one in reached]

    def _write(self, connection: Connection, now: datetime, changed: list[Folded]) -> int:
        fresh = [one for one in changed if not one.number]
        known = [one for one in changed if one.number]
        for one in fresh:
            self._number += 1
            one.number = self._number
        try:
            writing.insert(connection, fresh)
            writing.update(connection, known)
            rows = writing.count(connection, self._counts)
            for bell in self._bells:
                at = datetime.fromtimestamp(bell.at, UTC)
                connection.execute(
                    bells.insert().values(at=at, point=bell.point, what=bell.what, name=bell.name[:64])
                )
            for box, sequence in self._marks.items():
                connection.execute(boxes.update().where(boxes.c.number == box).values(sequence=sequence))
            self._devices.write(connection, now)
        except BaseException:
            for one in fresh:
                one.number = 0  # it has no row after all
            raise
        return len(changed) + rows + len(self._bells)

    def _restore(self) -> None:
        """Take up numbers, scores and alerts where the process before left off."""
        now = self._office.now()
        with self._office.read() as connection:
            newest = connection.execute(sa.select(sa.func.max(events.c.number))).scalar() or 0
            query = sa.select(alerts.c.device).where(alerts.c.ended_at.is_(None))
            alerted = set(connection.execute(query).scalars())
            lately = alerts.c.ended_at.is_(None) | (alerts.c.ended_at > now - LONGEST)
            query = sa.select(alerts.c.device).where(alerts.c.supervised.is_(True), lately)
            supervised = set(connection.execute(query).scalars())
            recent = writing.recent_attempts(connection, now)
        for device in recent.keys() | alerted:
            self._scores.restore(
                device,
                recent.get(device, []),
                alerted=device in alerted,
                supervised=device in supervised,
            )
        self._number = max(newest, int(now.timestamp() * 1000) << 16)
        self._ready = True


def _hour(at: float) -> int:
    return int(at) // _HOUR * _HOUR
