"""The annex on data protection: fields, purposes, periods and readers, from the database's schema and the policy in force.

What a field is for cannot be read off a schema; it stands in `annex.yaml`, and a test fails where a column has no entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from schoolgate_exceptions.audit_book import READERS as READS_AUDIT
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.papers import saying
from schoolgate_exceptions.papers.box import Connected
from schoolgate_exceptions.papers.document import Document, Item, Section
from schoolgate_exceptions.queue import READERS as READS_REQUESTS
from schoolgate_exceptions.register import LOOKERS as READS_REGISTER
from schoolgate_exceptions.retention import KEEP_MAIL, KEEP_SIGN_INS, Purged
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.sampling import KEEP_SAMPLES
from schoolgate_exceptions.sanctioning import LOOKERS as READS_SANCTIONS
from schoolgate_exceptions.tables import metadata
from schoolgate_exceptions.watch.devices import SEES_PUPILS, SEES_STAFF
from schoolgate_policy.model import Policy, Recorded

READS_ACCOUNTS = (Role.OFFICER, Role.HEAD, Role.TECHNICIAN, Role.GOVERNOR)
READS_HEALTH = (Role.DSL, Role.HEAD, Role.DEPUTY, Role.GOVERNOR, Role.OFFICER, Role.TECHNICIAN)
READS_COUNTS = (*SEES_PUPILS, Role.GOVERNOR, Role.TECHNICIAN, Role.DPO)
_BASIS = (
    "The legal basis is the school's choice as controller; a public task (UK GDPR Article 6(1)(e)) with the duties to"
    " safeguard children (Education Act 2002 section 175 or the regulations for independent schools) is usual. What is"
    " searched for about health or beliefs can be special category data (Article 9)."
)


@dataclass(frozen=True, slots=True)
class Field:
    """A column: what it holds, and whether it is about somebody."""

    name: str
    holds: str
    personal: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """A table, or a file: what for, about whom, for how long, and who may see it."""

    name: str
    purpose: str
    about: str
    kept: str
    seen: str
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Annex:
    """Everything the annex says. `proof` is what the last look found to be left."""

    school: str
    policy_version: str
    made_at: datetime
    tables: tuple[Kind, ...]
    files: tuple[Kind, ...]
    connected: tuple[Connected, ...]
    fetched: tuple[str, ...]  # lists, by where they come from
    everything_recorded: bool
    proof: tuple[Purged, ...]
    purged_at: datetime | None


def annex(
    policy: Policy,
    limits: Limits,
    now: datetime,
    connected: Sequence[Connected],
    proof: Sequence[Purged],
    purged_at: datetime | None,
) -> Annex:
    """Return the annex for a policy."""
    periods, read = _periods(policy, limits), _read()
    tables = [
        Kind(
            table.name,
            one["purpose"],
            one["about"],
            periods[one["kept"]],
            _SEEN[one["seen"]],
            tuple(
                Field(column.name, one["columns"][column.name], column.name in one["personal"])
                for column in table.columns
            ),
        )
        for table in metadata.sorted_tables
        for one in [read["tables"][table.name]]
    ]
    return Annex(
        policy.school.name,
        policy.version,
        now,
        tuple(tables),
        tuple(
            Kind(one["name"], one["holds"], "", periods[one["kept"]], _SEEN[one["seen"]]) for one in read["files"]
        ),
        tuple(connected),
        tuple(f"{one.spec.name} from {one.spec.url}" for one in policy.list_status if one.spec.url),
        policy.privacy.record is Recorded.EVERYTHING,
        tuple(proof),
        purged_at,
    )  # fmt: skip


def without_entry() -> list[str]:
    """Return the columns that the annex does not speak of, as `table.column`."""
    known = _read()["tables"]
    return [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name not in known.get(table.name, {"columns": {}})["columns"]
    ]


def paper(found: Annex, zone: ZoneInfo) -> Document:
    """Return the annex as a paper."""
    recorded = (
        "Every visit is recorded with a pseudonym of its device (privacy.record: everything)."
        if found.everything_recorded
        else "Of allowed visits only counts by the hour are kept; a blocked visit and an attempt to get round the filter have a"
        " row with a pseudonym of the device. Paths and search words are never recorded."
    )
    away = [f"{one.what} ({one.where}): {one.gets}" for one in found.connected]
    away += [f"List {text}: that this box asks for it" for text in found.fetched]
    late = [one for one in found.proof if not one.is_proved]
    return Document(
        "Data protection annex",
        found.school,
        f"for the record of processing and the impact assessment, policy {found.policy_version}",
        f"Made on {saying.moment(found.made_at, zone)} from the policy in force and the schema of the database.",
        (
            Section("What is done", (recorded, _BASIS)),
            Section(
                "Who gets data",
                (
                    "Processors: none. The program runs on the school's own box; its makers get nothing.",
                    "Nothing is sent to a cloud. What the school has connected to the box:",
                ),
                tuple(away) or ("Nothing.",),
            ),
            Section("Tables", items=tuple(_item(one) for one in found.tables)),
            Section("Files", items=tuple(_item(one) for one in found.files)),
            Section(
                "Proof of deletion",
                (
                    "Every night what is too old is removed, in one transaction, and noted in the audit. "
                    + (f"The last time something was removed: {saying.moment(found.purged_at, zone)}." if found.purged_at
                       else "Nothing had to be removed so far."),
                    f"Waiting for the next night: {', '.join(one.what for one in late)}." if late
                    else "Nothing is left that should have gone.",
                ),
                items=tuple(_proof(one, zone) for one in found.proof),
            ),
        ),
    )  # fmt: skip


def _item(one: Kind) -> Item:
    lines = [one.purpose if one.purpose.endswith(".") else f"Holds {one.purpose}."]
    lines += [f"About: {one.about}."] if one.about else []
    lines.append(f"Kept: {one.kept}. Seen by: {one.seen}.")
    personal = [f"{field.name} ({field.holds})" for field in one.fields if field.personal]
    others = [f"{field.name} ({field.holds})" for field in one.fields if not field.personal]
    lines += [f"About somebody: {', '.join(personal)}."] if personal else []
    lines += [f"Besides: {', '.join(others)}."] if others else []
    return Item(one.name, tuple(lines), "personal data" if personal else "", "warn" if personal else "")


def _proof(one: Purged, zone: ZoneInfo) -> Item:
    oldest = f"the oldest of {saying.moment(one.oldest, zone)}" if one.oldest else "none with an age"
    held = f", {one.held} held for a case" if one.held else ""
    text = f"{one.left:,} left{held}, {oldest}; nothing before {saying.moment(one.limit, zone)} may stay."
    return Item(
        one.what, (text,), "proved" if one.is_proved else "waits", "good" if one.is_proved else "warn"
    )


def _periods(policy: Policy, limits: Limits) -> Mapping[str, str]:
    privacy, say = policy.privacy, saying.period
    return {
        "events": f"{say(privacy.keep_events)}; longer where the device is held for a case",
        "addresses": f"{say(privacy.keep_events)} after it was last seen; longer while nobody has looked at an alert of it,"
        " or where it is held for a case",
        "alerts": f"{say(privacy.keep_requests)} after it was raised; longer where the device is held for a case",
        "counts": say(privacy.keep_counts),
        "samples": say(KEEP_SAMPLES),
        "requests": f"{say(privacy.keep_requests)} after the last change; longer where it is held for a case",
        "audit": say(privacy.keep_audit),
        "sanctions": f"{say(privacy.keep_requests)} after its end",
        "account": "while the school keeps the account; closed ones stay, so that decisions have a name",
        "session": say(privacy.keep_sessions),
        "invitation": say(limits.invitation),
        "api-token": "until it ends or is ended, at most a year and a month",
        "link": say(limits.token),
        "letters": f"{say(KEEP_MAIL)} after it went out, or was given up",
        "sign-ins": say(KEEP_SIGN_INS),
        "hold": "until it is released; what was released stays as a record",
        "register-accounts": "while the school keeps the register",
        "always": "while the box is in use",
        "versions": "while the box is in use; the school may delete old versions",
        "tables": "as each table says",
        "day": say(timedelta(days=1)),
        "journal": "30 days (deploy/journald.conf)",
        "backups": "the newest 14, one a night: what was deleted is gone from backups two weeks later",
    }


def _roles(roles: Iterable[Role]) -> str:
    return saying.listed([str(role) for role in dict.fromkeys(roles) if role is not Role.SYSTEM])


_SEEN: Mapping[str, str] = {
    "accounts": _roles(READS_ACCOUNTS),
    "requests": f"{_roles(READS_REQUESTS)}; who asked sees their own",
    "devices": f"{_roles(SEES_PUPILS)} (of staff: {_roles(SEES_STAFF)}), by pseudonym; the address with a reason",
    "audit": _roles(READS_AUDIT),
    "register": _roles(READS_REGISTER),
    "sanctions": _roles(READS_SANCTIONS),
    "counts": _roles(READS_COUNTS),
    "health": _roles(READS_HEALTH),
    "policy": "everybody with an account",
    "technician": f"{Role.TECHNICIAN}, on the box",
    "tables": "as each table says",
    "nobody": "nobody; the program only",
}


@cache
def _read() -> Mapping[str, Any]:
    text = (files("schoolgate_exceptions") / "papers" / "annex.yaml").read_text("utf-8")
    read: Mapping[str, Any] = yaml.safe_load(text)
    return read
