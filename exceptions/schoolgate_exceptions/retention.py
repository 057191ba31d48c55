"""Retention: what is older than policy.yaml allows is removed, and the removal can be shown. A hold keeps one case."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Table

from schoolgate_exceptions.api_tokens import ApiTokens
from schoolgate_exceptions.audit import PURGED
from schoolgate_exceptions.event_tables import (
    alerts,
    attempt_counts,
    bells,
    event_devices,
    event_holds,
    events,
    fault_counts,
    visit_counts,
)
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.outbox import Outbox, settled_at
from schoolgate_exceptions.probe_tables import probe_runs
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_exceptions.sample_tables import health_samples
from schoolgate_exceptions.sampling import KEEP_SAMPLES
from schoolgate_exceptions.sessions import Sessions
from schoolgate_exceptions.tables import (
    api_tokens,
    audit,
    invitations,
    lapsed,
    outbox,
    requests,
    sanctions,
    sessions,
    sign_ins,
    tokens,
)
from schoolgate_exceptions.workflow import State

KEEP_MAIL = timedelta(days=30)
KEEP_SIGN_INS = timedelta(days=1)  # the audit has them; these only count failures
_OVER = tuple(state for state in State if state.is_over)


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of one kind of record: how many were removed, how many are left, how many a hold keeps.

    `oldest` is the oldest that is left and not held; it is not before `limit`, which is the proof.
    """

    what: str
    limit: datetime
    removed: int
    left: int
    held: int
    oldest: datetime | None

    @property
    def is_proved(self) -> bool:
        """Whether nothing is left that should have gone."""
        return self.oldest is None or self.oldest >= self.limit


class Retention:
    """Removes what is too old."""

    def __init__(self, office: Office, box: Outbox, live: Sessions, programs: ApiTokens) -> None:
        self._office = office
        self._programs = programs
        self._box = box
        self._live = live

    def purge(self, actor: Actor = SYSTEM) -> list[Purged]:
        """Remove everything that is older than its period, in one transaction, and look at what is left."""
        actor.require(Role.SYSTEM, Role.OFFICER, Role.TECHNICIAN, Role.DPO)
        now = self._office.now()
        with self._office.write() as connection:
            before = self._limits(now)
            held = self._held(connection)
            removed = {
                "requests": self._purge_requests(connection, before["requests"]),
                "audit": self._office.audit.purge(connection, before["audit"], held),
                "sessions": self._live.purge(connection),
                "letters": self._box.purge(connection, KEEP_MAIL),
                "sign-ins": _remove(connection, sign_ins, sign_ins.c.at < now - KEEP_SIGN_INS),
                "tokens of programs": self._programs.purge(connection),
                "links": _remove(connection, tokens, tokens.c.ends < now),
                "invitations": _remove(connection, invitations, invitations.c.ends < now),
                "sanctions": _remove(connection, sanctions, sanctions.c.until < before["requests"]),
                "register": _remove(connection, lapsed, lapsed.c.removed_at < before["audit"]),
                **_purge_watched(connection, before),
            }
            through = self._office.audit.last_before(connection, before["audit"])
            if any(removed.values()):
                self._office.audit.add(connection, now, actor, PURGED, through=through, removed=removed)
            return self._proof(connection, now, before, removed, held)

    def look(self) -> list[Purged]:
        """Return what is left and how old it is, and remove nothing."""
        now = self._office.now()
        with self._office.read() as connection:
            return self._proof(connection, now, self._limits(now), Counter(), self._held(connection))

    def _limits(self, now: datetime) -> dict[str, datetime]:
        privacy = self._office.policy.privacy
        return {
            "requests": now - privacy.keep_requests,
            "audit": now - privacy.keep_audit,
            "events": now - privacy.keep_events,
            "counts": now - privacy.keep_counts,
            "samples": now - KEEP_SAMPLES,
        }

    def _purge_requests(self, connection: Connection, before: datetime) -> int:
        old = sa.and_(
            requests.c.state.in_(_OVER) | _settled(), requests.c.changed_at < before, requests.c.hold == ""
        )
        return _remove(connection, requests, old)

    def _held(self, connection: Connection) -> frozenset[str]:
        query = sa.select(requests.c.id).where(requests.c.hold != "")
        return frozenset(connection.execute(query).scalars())

    def _proof(
        self,
        connection: Connection,
        now: datetime,
        before: dict[str, datetime],
        removed: Mapping[str, int],
        held: frozenset[str],
    ) -> list[Purged]:
        stay = self._office.policy.privacy.keep_sessions
        over = sa.and_(requests.c.state.in_(_OVER) | _settled(), requests.c.hold == "")
        kept = sa.and_(audit.c.body.is_not(None), audit.c.action != PURGED, audit.c.subject.not_in(held))
        mailed = outbox.c.sent_at.is_not(None) | outbox.c.given_up_at.is_not(None)
        looks: list[tuple[str, Table, Any, ColumnElement[bool], datetime]] = [
            ("requests", requests, requests.c.changed_at, over, before["requests"]),
            ("audit", audit, audit.c.at, kept, before["audit"]),
            ("sessions", sessions, sessions.c.made_at, sa.true(), now - stay),
            ("letters", outbox, settled_at, mailed, now - KEEP_MAIL),
            ("sign-ins", sign_ins, sign_ins.c.at, sa.true(), now - KEEP_SIGN_INS),
            ("tokens of programs", api_tokens, api_tokens.c.ends, sa.true(), now),
            ("links", tokens, tokens.c.ends, sa.true(), now),
            ("invitations", invitations, invitations.c.ends, sa.true(), now),
            ("sanctions", sanctions, sanctions.c.until, sa.true(), before["requests"]),
            ("register", lapsed, lapsed.c.removed_at, sa.true(), before["audit"]),
            ("events", events, events.c.last_at, events.c.device.not_in(_HELD), before["events"]),
            (
                "devices", event_devices, event_devices.c.last_at,
                event_devices.c.device.not_in(_NEEDED), before["events"],
            ),
            ("alerts", alerts, alerts.c.at, alerts.c.device.not_in(_HELD), before["requests"]),
            ("visits counted", visit_counts, visit_counts.c.hour, sa.true(), before["counts"]),
            ("attempts counted", attempt_counts, attempt_counts.c.hour, sa.true(), before["counts"]),
            ("faults counted", fault_counts, fault_counts.c.hour, sa.true(), before["counts"]),
            ("bells", bells, bells.c.at, sa.true(), before["counts"]),
            ("probes", probe_runs, probe_runs.c.started_at, sa.true(), before["counts"]),
            ("samples", health_samples, health_samples.c.at, sa.true(), before["samples"]),
        ]  # fmt: skip
        held_devices = connection.execute(
            sa.select(sa.func.count()).select_from(_HELD.subquery())
        ).scalar_one()
        found = []
        for what, table, column, where, limit in looks:
            oldest = connection.execute(sa.select(sa.func.min(column)).where(where)).scalar()
            left = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            count = len(held) if what == "requests" else held_devices if what in _BY_DEVICE else 0
            found.append(Purged(what, limit, removed[what], left, count, oldest))
        return found


_HELD = sa.select(event_holds.c.device).where(event_holds.c.released_at.is_(None)).distinct()
_UNSEEN = sa.select(alerts.c.device).where(alerts.c.acknowledged_at.is_(None))  # somebody has still to look
_NEEDED = sa.union(sa.select(events.c.device), _UNSEEN, _HELD)
_BY_DEVICE = frozenset({"events", "devices", "alerts"})


def _purge_watched(connection: Connection, before: dict[str, datetime]) -> dict[str, int]:
    """Remove what was watched and is too old; a hold on a device keeps everything that is known of it."""
    held, counted = _HELD, before["counts"]
    old = sa.and_(events.c.last_at < before["events"], events.c.device.not_in(held))
    told = sa.and_(alerts.c.at < before["requests"], alerts.c.device.not_in(held))
    return {
        "events": _remove(connection, events, old),
        "alerts": _remove(connection, alerts, told),
        "devices": _remove(
            connection,
            event_devices,
            sa.and_(event_devices.c.last_at < before["events"], event_devices.c.device.not_in(_NEEDED)),
        ),
        "visits counted": _remove(connection, visit_counts, visit_counts.c.hour < counted),
        "attempts counted": _remove(connection, attempt_counts, attempt_counts.c.hour < counted),
        "faults counted": _remove(connection, fault_counts, fault_counts.c.hour < counted),
        "bells": _remove(connection, bells, bells.c.at < counted),
        "probes": _remove(connection, probe_runs, probe_runs.c.started_at < counted),
        "samples": _remove(connection, health_samples, health_samples.c.at < before["samples"]),
    }


def _settled() -> ColumnElement[bool]:
    """Return the condition for a report that was dealt with: it is `applied`, and nothing of it will end."""
    return sa.and_(requests.c.state == State.APPLIED, requests.c.grant_given.is_(None))


def _remove(connection: Connection, table: Table, where: ColumnElement[bool]) -> int:
    return connection.execute(table.delete().where(where)).rowcount
