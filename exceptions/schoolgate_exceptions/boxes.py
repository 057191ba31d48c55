"""The boxes of many schools under one centre: enrolled once with a code, known by a key of their own, revoked at will."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from schoolgate_exceptions.box_tables import boxes
from schoolgate_exceptions.errors import InvalidInput, InvalidToken, NotAllowed, NotFound
from schoolgate_exceptions.keys import digest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Actor, Role

_CODE_LASTS = timedelta(hours=24)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_KEY = re.compile(r"[0-9a-f]{64}")
_SILENT = timedelta(minutes=5)
KEEPERS = (Role.TECHNICIAN, Role.SYSTEM)


@dataclass(frozen=True, slots=True)
class Box:
    """A box as the centre knows it."""

    number: int
    name: str
    networks: tuple[str, ...]
    public_key: str
    code_until: datetime | None
    enrolled_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None
    version: int
    content: str
    applied: int
    health: Mapping[str, str]
    sequence: int

    @property
    def serves(self) -> bool:
        """Whether it may have policies and send events."""
        return bool(self.public_key) and self.revoked_at is None

    def state(self, now: datetime) -> str:
        """Return in a word how it is."""
        if self.revoked_at is not None:
            return "revoked"
        if not self.public_key:
            return "waits to be enrolled"
        if self.seen_at is None or now - self.seen_at > _SILENT:
            return "silent"
        if any(self.health.values()):
            return "not well"
        return "well" if self.applied == self.version else "behind"


class Boxes:
    """Keeps the boxes."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def listed(self) -> list[Box]:
        """Return all boxes by name."""
        with self._office.read() as connection:
            return [_box(row) for row in connection.execute(boxes.select().order_by(boxes.c.name))]

    def get(self, number: int) -> Box:
        """Return a box; raises NotFound."""
        with self._office.read() as connection:
            return self._get(connection, boxes.c.number == number)

    def invite(self, actor: Actor, name: str, networks: tuple[str, ...]) -> str:
        """Make a box known, or let one be enrolled anew, and return its code, which serves once within a day.

        Raises:
            InvalidInput: the name or a network is none.

        """
        actor.require(*KEEPERS)
        known = self._office.policy.networks
        if not _NAME.fullmatch(name):
            raise InvalidInput(name="small letters, digits and hyphens, such as northfield")
        unknown = [one for one in networks if one not in known]
        if unknown or not networks:
            raise InvalidInput(networks=f"no such network; available: {', '.join(known)}")
        code, now = self._office.token(), self._office.now()
        values = {"networks": list(networks), "code": digest(code), "code_until": now + _CODE_LASTS}
        with self._office.write() as connection:
            found = connection.execute(boxes.update().where(boxes.c.name == name).values(**values))
            if not found.rowcount:
                connection.execute(boxes.insert().values(name=name, health={}, **values))
            self._office.audit.add(connection, now, actor, "box.invited", name, networks=list(networks))
        return code

    def enrol(self, code: str, public_key: str) -> Box:
        """Bind a box to a key by its code, which is used up.

        Raises:
            InvalidToken: the code is unknown, used or too old, or the key is none.

        """
        now = self._office.now()
        if not _KEY.fullmatch(public_key):
            raise InvalidToken("the key is no Ed25519 key")
        with self._office.write() as connection:
            where = sa.and_(boxes.c.code == digest(code), boxes.c.code_until > now)
            row = connection.execute(boxes.select().where(where)).first() if code else None
            if row is None:
                raise InvalidToken("the code is unknown, used already, or older than a day")
            values = {
                "code": "",
                "public_key": public_key,
                "enrolled_at": now,
                "revoked_at": None,
                "sequence": 0,
            }
            connection.execute(boxes.update().where(boxes.c.number == row.number).values(**values))
            actor = Actor(frozenset({Role.SYSTEM}), name=f"box {row.name}")
            self._office.audit.add(connection, now, actor, "box.enrolled", row.name, key=public_key[:16])
            return self._get(connection, boxes.c.number == row.number)

    def revoke(self, actor: Actor, name: str) -> None:
        """Let a box have nothing more; it goes on filtering by what it has.

        Raises:
            NotFound: there is no such box.

        """
        actor.require(*KEEPERS)
        with self._office.write() as connection:
            self._get(connection, boxes.c.name == name)
            now = self._office.now()
            values = {"revoked_at": now, "code": ""}
            connection.execute(boxes.update().where(boxes.c.name == name).values(**values))
            self._office.audit.add(connection, now, actor, "box.revoked", name)

    def seen(self, box: Box, content: str, applied: int, health: Mapping[str, str]) -> int:
        """Note that a box asked, and return the version of what is signed for it: a new one for new content.

        Raises:
            NotAllowed: it was revoked meanwhile.

        """
        with self._office.write() as connection:
            now = self._get(connection, boxes.c.number == box.number)
            if not now.serves:
                raise NotAllowed("this box was revoked")
            version = now.version + (now.content != content)
            values: dict[str, Any] = {"version": version, "content": content, "seen_at": self._office.now()}
            values |= {"applied": applied, "health": dict(health)}
            connection.execute(boxes.update().where(boxes.c.number == box.number).values(**values))
        return version

    @staticmethod
    def _get(connection: Connection, where: sa.ColumnElement[bool]) -> Box:
        row = connection.execute(boxes.select().where(where)).first()
        if row is None:
            raise NotFound("there is no such box")
        return _box(row)


def _box(row: Row[Any]) -> Box:
    return Box(
        row.number, row.name, tuple(row.networks), row.public_key, row.code_until, row.enrolled_at, row.revoked_at,
        row.seen_at, row.version, row.content, row.applied, row.health or {}, row.sequence,
    )  # fmt: skip
