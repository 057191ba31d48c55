"""Requests in the database: rows to values and back. Every function works in its caller's transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, RowMapping

from schoolgate_exceptions.errors import NotFound
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import (
    AccessRequest,
    Grant,
    OfficialUse,
    Publication,
    Requester,
    Step,
)
from schoolgate_exceptions.roles import APPROVERS, Role
from schoolgate_exceptions.tables import askers, requests, steps, write_instant
from schoolgate_exceptions.workflow import OPEN, REVIEWS, Action, State
from schoolgate_policy.decision import Verdict

_ASKERS = sa.select(sa.func.count()).where(askers.c.request == requests.c.number).scalar_subquery()
_ROWS = sa.select(requests, _ASKERS.label("asked"))


def insert(connection: Connection, new: AccessRequest) -> AccessRequest:
    """Add a request with its first asker; return it with its number."""
    values = _columns(new)
    result = connection.execute(requests.insert().values(values).returning(requests.c.number))
    added = replace(new, number=result.scalar_one())
    add_asker(connection, added.number, new.requester, new.created_at)
    return added


def save(connection: Connection, changed: AccessRequest, at: datetime) -> AccessRequest:
    """Write a request back; return it with its new version."""
    saved = replace(changed, version=changed.version + 1, changed_at=at)
    connection.execute(requests.update().where(requests.c.number == saved.number).values(_columns(saved)))
    return saved


def get(connection: Connection, name: str) -> AccessRequest:
    """Return the request of an id (`REQ-2026-0012`) or of a short reference (`K7-4QX`).

    Raises:
        NotFound: there is none.

    """
    row = connection.execute(
        _ROWS.where(sa.or_(requests.c.id == name, requests.c.reference == name))
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no request `{name}`")
    return _request(row._mapping)  # noqa: SLF001 - SQLAlchemy's own name for its public view


def by_number(connection: Connection, number: int) -> AccessRequest:
    """Return the request of a row number."""
    row = connection.execute(_ROWS.where(requests.c.number == number)).one()
    return _request(row._mapping)  # noqa: SLF001


def select(
    connection: Connection, *where: ColumnElement[bool], most: int | None = None
) -> list[AccessRequest]:
    """Return requests that meet every condition, oldest first."""
    query = _ROWS.where(*where).order_by(requests.c.created_at, requests.c.number).limit(most)
    return [_request(row._mapping) for row in connection.execute(query)]  # noqa: SLF001


def count(connection: Connection, *where: ColumnElement[bool]) -> int:
    """Return how many requests meet every condition."""
    return connection.execute(sa.select(sa.func.count()).select_from(requests).where(*where)).scalar_one()


def same(
    connection: Connection,
    host: str,
    network: str,
    kind: Kind,
    *,
    path: str = "",
    alone: tuple[str, str] | None = None,
    official: OfficialUse | None = None,
) -> AccessRequest | None:
    """Return the open request of a network for the same page and of the same kind, if there is one.

    `alone` are the device and the words of what is never merged with anybody else's, but may be sent twice.
    """
    conditions = [
        requests.c.host == host,
        requests.c.path == path,
        requests.c.network == network,
        requests.c.kind == kind,
        requests.c.state.in_(OPEN),
    ]
    if alone is None:
        found = select(connection, *conditions, most=1)
    else:
        device, reason = alone
        found = select(connection, *conditions, requests.c.device == device, requests.c.reason == reason)
    return next((one for one in found if alone is None or one.official == official), None)


def add_asker(connection: Connection, number: int, who: Requester, at: datetime) -> None:
    """Note that a device asks for this."""
    values = {"request": number, "device": who.device, "at": at, "account": who.account}
    connection.execute(askers.insert().values(values))


def said_so_far(connection: Connection, number: int, device: str) -> int:
    """Return how often a device has said something about a request; 0 where it has not asked for it."""
    here = sa.and_(askers.c.request == number, askers.c.device == device)
    return connection.execute(sa.select(askers.c.times).where(here)).scalar() or 0


def count_words(connection: Connection, number: int, device: str) -> None:
    """Note that a device which has asked says more."""
    here = sa.and_(askers.c.request == number, askers.c.device == device)
    connection.execute(askers.update().where(here).values(times=askers.c.times + 1))


def asker_accounts(connection: Connection, number: int) -> set[int]:
    """Return the accounts of who asked for the same, signed in."""
    query = sa.select(askers.c.account).where(askers.c.request == number, askers.c.account.is_not(None))
    return set(connection.execute(query).scalars())


def of_account(connection: Connection, account: int) -> list[AccessRequest]:
    """Return what an account has asked for, alone or with others, oldest first."""
    joined = sa.select(askers.c.request).where(askers.c.account == account)
    return select(connection, sa.or_(requests.c.account == account, requests.c.number.in_(joined)))


def was_said(connection: Connection, request: AccessRequest, text: str) -> bool:
    """Whether somebody who asked has said just this already."""
    here = sa.and_(steps.c.request == request.number, steps.c.action == Action.JOIN, steps.c.note == text)
    return (
        text == request.reason
        or connection.execute(sa.select(steps.c.number).where(here).limit(1)).first() is not None
    )


def asked_since(connection: Connection, device: str, since: datetime, *, urgent: bool = False) -> int:
    """Return how many requests a device has made or joined since an instant; with `urgent` those that cannot wait."""
    query = sa.select(sa.func.count()).where(askers.c.device == device, askers.c.at > since)
    if urgent:
        worrying = sa.or_(requests.c.kind == Kind.REPORT, requests.c.safeguarding.is_(True))
        query = query.where(askers.c.request == requests.c.number, worrying)
    return connection.execute(query).scalar_one()


def open_count(connection: Connection, device: str = "", *, reports: bool = False) -> int:
    """Return how many requests wait for a decision, or how many reports; of one device where it is given."""
    kind = requests.c.kind == Kind.REPORT if reports else requests.c.kind != Kind.REPORT
    query = sa.select(sa.func.count()).select_from(requests).where(requests.c.state.in_(OPEN), kind)
    if device:
        query = query.where(requests.c.device == device)
    return connection.execute(query).scalar_one()


def newest_number(connection: Connection, start: str) -> int:
    """Return the number of the newest id that begins with `start` (`REQ-2026-`), 0 where there is none."""
    query = (
        sa.select(requests.c.id)
        .where(requests.c.id.startswith(start))
        .order_by(sa.func.length(requests.c.id).desc(), requests.c.id.desc())
        .limit(1)
    )
    newest = connection.execute(query).scalar()
    return int(newest.rpartition("-")[2]) if newest else 0


def has_reference(connection: Connection, reference: str) -> bool:
    """Whether a short reference is taken."""
    query = sa.select(requests.c.number).where(requests.c.reference == reference)
    return connection.execute(query).one_or_none() is not None


def add_step(connection: Connection, number: int, step: Step) -> None:
    """Add what was done to a request's story."""
    connection.execute(
        steps.insert().values(
            request=number,
            at=step.at,
            action=step.action,
            source=step.source,
            target=step.target,
            role=step.role,
            account=step.account,
            name=step.name,
            note=step.note,
            answer=step.answer,
        )
    )


def story(connection: Connection, number: int) -> tuple[Step, ...]:
    """Return everything that was done with a request, oldest first."""
    rows = connection.execute(sa.select(steps).where(steps.c.request == number).order_by(steps.c.number))
    return tuple(
        Step(
            row.at,
            Action(row.action) if row.action else None,
            State(row.source) if row.source else None,
            State(row.target),
            Role(row.role),
            row.account,
            row.name,
            row.note,
            row.answer,
        )
        for row in rows
    )


def reviewers(connection: Connection, number: int) -> set[int]:
    """Return the accounts that did anything with a request before it could be approved, other than as an approver."""
    reviewed = sa.and_(steps.c.action.in_(REVIEWS), steps.c.role.not_in(APPROVERS))
    query = sa.select(steps.c.account).where(steps.c.request == number, reviewed)
    return set(connection.execute(query.where(steps.c.account.is_not(None))).scalars())


def mark(connection: Connection, number: int, **columns: Any) -> None:
    """Note something beside the workflow: a reminder sent, what became of the publication."""
    connection.execute(requests.update().where(requests.c.number == number).values(columns))


def delete(connection: Connection, numbers: Iterable[int]) -> None:
    """Remove requests with everything that hangs on them."""
    connection.execute(requests.delete().where(requests.c.number.in_(list(numbers))))


def lapse_before(request: AccessRequest, undecided: timedelta) -> datetime:
    """Return when an open request expires: at the wanted end, or when nobody decided for too long."""
    latest = request.created_at + undecided
    return min(request.wanted_until, latest) if request.wanted_until else latest


def _columns(request: AccessRequest) -> dict[str, Any]:
    who, done = request.requester, request.publication
    return {
        "id": request.id,
        "reference": request.reference,
        "kind": request.kind,
        "state": request.state,
        "version": request.version,
        "host": request.host,
        "path": request.path,
        "service": request.service,
        "purpose": request.purpose,
        "reason": request.reason,
        "wanted_until": request.wanted_until,
        "network": who.network,
        "device": who.device,
        "devices": list(who.devices),
        "account": who.account,
        "name": who.name,
        "language": who.language,
        "rule_source": request.rule_source[:100],
        "rule_reason": request.rule_reason[:500],
        "created_at": request.created_at,
        "changed_at": request.changed_at,
        "safeguarding": request.safeguarding,
        "with_dsl": request.with_dsl,
        "waiting_for_answer": request.waiting_for_answer,
        "hold": request.hold,
        "official": _official_json(request.official),
        "grant_given": grant_json(request.grant),
        "grant_until": request.grant.until if request.grant else None,
        "reviewer": request.reviewer,
        "approver": request.approver,
        "waiver": request.waiver,
        "written_at": done.written_at,
        "removed_at": done.removed_at,
        "problem": done.problem[:500],
        "paste": done.paste,
    }


def _request(row: RowMapping) -> AccessRequest:
    return AccessRequest(
        number=row["number"],
        id=row["id"],
        reference=row["reference"],
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        version=row["version"],
        host=row["host"],
        path=row["path"],
        service=row["service"],
        purpose=Purpose(row["purpose"]),
        reason=row["reason"],
        wanted_until=row["wanted_until"],
        requester=Requester(
            row["network"],
            row["device"],
            tuple(row["devices"]),
            row["account"],
            row["name"],
            row["language"],
        ),
        rule_source=row["rule_source"],
        rule_reason=row["rule_reason"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        askers=row["asked"],
        safeguarding=row["safeguarding"],
        with_dsl=row["with_dsl"],
        waiting_for_answer=row["waiting_for_answer"],
        hold=row["hold"],
        official=_official(row["official"]),
        grant=_grant(row["grant_given"]),
        reviewer=row["reviewer"],
        approver=row["approver"],
        waiver=row["waiver"],
        publication=Publication(row["written_at"], row["removed_at"], row["problem"], row["paste"]),
        unsent=row["unsent"],
    )


def grant_json(grant: Grant | None) -> dict[str, Any] | None:
    """Return a grant as it is kept and exported."""
    if grant is None:
        return None
    return {
        **asdict(grant),
        "until": write_instant(grant.until) if grant.until else None,
        "starts": write_instant(grant.starts) if grant.starts else None,
    }


def _grant(data: Mapping[str, Any] | None) -> Grant | None:
    if not data:
        return None
    return Grant(
        targets=tuple(data["targets"]),
        whom=tuple(data["whom"]),
        until=_instant(data["until"]),
        reason=data["reason"],
        starts=_instant(data["starts"]),
        during=tuple(data["during"]),
        verdict=Verdict(data["verdict"]),
        rule=data["rule"],
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _official_json(official: OfficialUse | None) -> dict[str, Any] | None:
    return {**asdict(official), "ends": official.ends.isoformat()} if official else None


def _official(data: Mapping[str, Any] | None) -> OfficialUse | None:
    return OfficialUse(**{**data, "ends": date.fromisoformat(data["ends"])}) if data else None


def in_states(connection: Connection, *states: State) -> list[AccessRequest]:
    """Return the requests in some states, oldest first."""
    return select(connection, requests.c.state.in_(states))


def windows_since(connection: Connection, account: int | None, since: datetime) -> list[AccessRequest]:
    """Return the lesson windows that somebody has opened since an instant."""
    mine = sa.and_(requests.c.account == account, requests.c.created_at >= since)
    return select(connection, mine, requests.c.kind == Kind.LESSON_WINDOW)
