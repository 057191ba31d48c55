"""Devices by pseudonym: a keyed hash, and the address sealed for those who may look, with a reason.

A device is the one machine that policy.yaml names, else the hardware address that an address belongs to now, else the
address (ADR 44): so what it does over IPv4, over IPv6 and with a new lease is one device's, on each network. Events carry addresses, as
enforcement points know them; who had one is found out here.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy import Connection

from schoolgate_exceptions.errors import NotFound
from schoolgate_exceptions.event_tables import alerts, event_devices, event_holds, events
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.sanctioning import Neighbours
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import People

_MOST = 50_000  # remembered addresses
_FRESH = 15.0  # seconds for which a look at the neighbours is believed
_SOON = 0.25  # seconds within which no second look shows more: parts tell of what they see as often
_MOST_OF_ONE = 2  # IPv4 addresses at a time that one machine may have: a lease and the one before
_MOST_SEALED = 8  # addresses that are kept of a device
_BETWEEN = ", "
SEES_PUPILS = (Role.OFFICER, Role.DSL, Role.HEAD, Role.DEPUTY)
SEES_STAFF = (Role.HEAD, Role.DEPUTY, Role.OFFICER)


class Attribution(StrEnum):
    """How sure it is whose device an event is of, the surest first."""

    NAMED = "named"  # policy.yaml names this one machine
    HARDWARE = "hardware"  # the address belonged to this network card at that moment
    ADDRESS = "address"  # an address of a network: whoever had it then
    UNKNOWN = "unknown"  # an address of no network


@dataclass(frozen=True, slots=True)
class Identified:
    """Who an address is, without saying its address."""

    device: str
    network: str
    attribution: Attribution


class Devices:
    """Makes pseudonyms, and takes one back where somebody may."""

    def __init__(self, office: Office, neighbours: Neighbours = dict) -> None:
        self._office = office
        self.neighbours = neighbours
        self.monotonic: Callable[[], float] = time.monotonic
        self._hardware: Mapping[str, str] = {}
        self._looked = self._looked_regularly = float("-inf")
        self._missed: set[str] = set()  # addresses that a look since the last regular one did not show
        self._cipher = Fernet(office.keys.fernet("event device"))
        self._engine: Engine | None = None
        self._known: dict[str, Identified] = {}
        self._fresh: dict[str, tuple[list[str], str]] = {}  # pseudonym: addresses, network; not written yet
        self._written: set[tuple[str, str]] = set()  # today: pseudonym, address
        self._day = ""

    def identify(self, address: str) -> Identified:
        """Return the pseudonym of an address, its network, and how sure that is.

        Who came since the last look at the neighbours is looked for at once: else the first attempts of a device would
        count for its address, and those after for itself.
        """
        found = self._identify(address)
        if found.attribution is not Attribution.ADDRESS or address in self._missed:
            return found
        now = self.monotonic()
        if now - self._looked < _SOON:
            return found
        self._look(now)
        found = self._identify(address)
        if found.attribution is Attribution.ADDRESS:
            self._missed.add(address)
        return found

    def look_around(self) -> None:
        """Find out anew who has which address, where the last regular look is too old; takes some milliseconds then."""
        now = self.monotonic()
        if now - self._looked_regularly < _FRESH:
            return
        self._looked_regularly = now
        self._missed.clear()
        self._look(now)

    def note(self, found: Identified, address: str) -> None:
        """Have the address of a pseudonym written with the next `write`."""
        if (found.device, address) in self._written:
            return
        addresses, _ = self._fresh.setdefault(found.device, ([], found.network))
        if address not in addresses:
            addresses.append(address)

    def pseudonym(self, address: str) -> str:
        """Return what stands for an address where nothing more is known of its device."""
        return self._office.keys.pseudonym("event device", address)

    def write(self, connection: Connection, now: datetime) -> None:
        """Write the addresses of pseudonyms, sealed, newest first, and when devices were seen last; once a day for each."""
        day = now.date().isoformat()
        if day != self._day:
            self._written.clear()
            self._day = day
        for device, (addresses, network) in self._fresh.items():
            here = event_devices.c.device == device
            row = connection.execute(sa.select(event_devices.c.sealed).where(here)).one_or_none()
            before = self._open(row.sealed) if row else []
            listed = list(dict.fromkeys((*reversed(addresses), *before)))[:_MOST_SEALED]
            sealed = self._cipher.encrypt(_BETWEEN.join(listed).encode()).decode()
            values = {"last_at": now, "network": network, "sealed": sealed}
            if row:
                connection.execute(event_devices.update().where(here).values(values))
            else:
                connection.execute(event_devices.insert().values(device=device, first_at=now, **values))
            self._written.update((device, one) for one in addresses)
        self._fresh.clear()

    def reveal(self, actor: Actor, device: str, reason: str) -> tuple[str, ...]:
        """Return the addresses of a pseudonym, newest first; who looked and why is written into the audit.

        Raises:
            NotAllowed: somebody may not know this.
            InvalidInput: there is no reason.
            NotFound: nothing of this device is kept any more.

        """
        actor.require(*SEES_PUPILS)
        why = words("reason", reason, 300, least=3)
        with self._office.write() as connection:
            addresses, network = self.unseal(connection, device)
            role = actor.require(*self.who_sees(network))
            now = self._office.now()
            self._office.audit.add(connection, now, actor, "device.identified", device, role=role, reason=why)
        return addresses

    def unseal(self, connection: Connection, device: str) -> tuple[tuple[str, ...], str]:
        """Return the addresses and the network of a pseudonym; for use within, never for a page."""
        row = connection.execute(
            sa.select(event_devices).where(event_devices.c.device == device)
        ).one_or_none()
        if row is None:
            raise NotFound("nothing of this device is kept any more")
        return tuple(self._open(row.sealed)), row.network

    def who_sees(self, network: str) -> tuple[Role, ...]:
        """Return the roles that may look at single devices of a network."""
        known = self._office.policy.networks.get(network)
        return SEES_STAFF if known is not None and known.people is People.STAFF else SEES_PUPILS

    def hold(self, actor: Actor, device: str, reason: str) -> int:
        """Keep everything of a device from being purged, for a case; return the hold's number.

        Raises:
            NotAllowed: somebody may not see this device.
            InvalidInput: there is no reason.
            NotFound: nothing of it is kept.

        """
        why = words("reason", reason, 300, least=3)
        with self._office.write() as connection:
            role = self._check(connection, actor, device)
            now = self._office.now()
            values = {"device": device, "reason": why, "made_at": now, "made_by": actor.account}
            made = connection.execute(event_holds.insert().values(values).returning(event_holds.c.number))
            self._office.audit.add(connection, now, actor, "device.held", device, role=role, reason=why)
            return int(made.scalar_one())

    def release(self, actor: Actor, device: str, reason: str) -> None:
        """End the holds on a device.

        Raises:
            NotAllowed: somebody may not see this device.
            InvalidInput: there is no reason.
            NotFound: nothing of it is held.

        """
        why = words("reason", reason, 300, least=3)
        with self._office.write() as connection:
            role = self._check(connection, actor, device)
            now = self._office.now()
            here = sa.and_(event_holds.c.device == device, event_holds.c.released_at.is_(None))
            if not connection.execute(event_holds.update().where(here).values(released_at=now)).rowcount:
                raise NotFound("nothing of this device is held")
            self._office.audit.add(connection, now, actor, "device.released", device, role=role, reason=why)

    def _check(self, connection: Connection, actor: Actor, device: str) -> Role:
        """Return the role in which somebody decides about a device, by the network it was last seen on."""
        for table, at in ((event_devices, "last_at"), (events, "last_at"), (alerts, "at")):
            query = sa.select(table.c.network).where(table.c.device == device).order_by(table.c[at].desc())
            network = connection.execute(query.limit(1)).scalar()
            if network is not None:
                return actor.require(*self.who_sees(network))
        actor.require(*SEES_PUPILS)
        raise NotFound("nothing of this device is kept any more")

    def held(self, connection: Connection) -> frozenset[str]:
        """Return the devices whose events are held."""
        query = sa.select(event_holds.c.device).where(event_holds.c.released_at.is_(None))
        return frozenset(connection.execute(query).scalars())

    def _open(self, sealed: str) -> list[str]:
        return self._cipher.decrypt(sealed.encode()).decode().split(_BETWEEN)

    def _look(self, now: float) -> None:
        self._looked = now
        found = _single(self.neighbours())
        if found != self._hardware:
            self._hardware = found
            self._known.clear()

    def _identify(self, address: str) -> Identified:
        engine = self._office.engine
        if engine is not self._engine or len(self._known) >= _MOST:
            self._known.clear()
            self._engine = engine
        found = self._known.get(address)
        if found is None:
            found = self._known[address] = self._make(engine, address)
        return found

    def _make(self, engine: Engine, address: str) -> Identified:
        client = engine.identify(address)
        named = next((name for name in client.devices if _is_one(engine, name)), None)
        hardware = self._hardware.get(client.address)
        if not client.known:
            key, attribution = client.address, Attribution.UNKNOWN
        elif named is not None:
            key, attribution = f"device {named} {client.network}", Attribution.NAMED
        elif hardware is not None:
            key, attribution = f"hardware {hardware} {client.network}", Attribution.HARDWARE
        else:
            key, attribution = client.address, Attribution.ADDRESS
        return Identified(self.pseudonym(key), client.network, attribution)


def _single(found: Mapping[str, str]) -> Mapping[str, str]:
    """Return the neighbours without what is no device: a repeater or router that answers for many."""
    fourth = Counter(mac for address, mac in found.items() if ":" not in address)
    return {address: mac for address, mac in found.items() if fourth[mac] <= _MOST_OF_ONE}


def _is_one(engine: Engine, device: str) -> bool:
    """Whether a name in the policy stands for one machine, in one or both families, and not for a room full of them."""
    addresses = engine.policy.devices[device].addresses
    versions = Counter(part.version for part in addresses)
    return all(part.num_addresses == 1 for part in addresses) and max(versions.values()) == 1
