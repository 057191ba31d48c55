"""Tells apps that trust no certificate but their own maker's from devices that lack the school's.

Both look alike: the client rejects our certificate. Where *several* devices reject it for one allowed name, and do not
reject it everywhere, the app is pinned: the name is passed on unread for a day. A device that has never trusted us and
goes on rejecting lacks the certificate: that is told, and its rejections count for nothing once it rejects several names.
What needs reading is never passed on: blocked names, names where the page decides, services that show other sites.
All of it is forgotten when the policy changes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_DEVICES = 3  # that must reject a name
_TIMES = 2  # each of them
_SIGNS = 3  # rejections of a device that has never trusted us until it is said to lack the certificate
_NAMES = 3  # … and names, until it counts for nothing
_WINDOW = timedelta(hours=1)
_PASSED = timedelta(hours=24)
_MOST_NAMES, _MOST_DEVICES, _MOST_OF_DEVICE = 2000, 5000, 100

type Name = tuple[str, str]  # network and canonical host


@dataclass(frozen=True, slots=True)
class Rejections:
    """How often a device rejected our certificate for a name, and when last."""

    times: int
    last: datetime


@dataclass(slots=True)
class Device:
    """What is known about a device by its address."""

    network: str
    trusted: bool = False
    told: bool = False  # it has been said that it lacks the certificate
    since: datetime | None = None
    rejected: OrderedDict[Name, Rejections] = field(default_factory=OrderedDict)  # the latest last

    def rejected_since(self, instant: datetime) -> bool:
        """Whether it rejected anything from then on."""
        return bool(self.rejected) and next(reversed(self.rejected.values())).last >= instant

    def reject(self, name: Name, now: datetime) -> None:
        """Add a rejection, and forget those of more than an hour ago."""
        before = self.rejected.pop(name, None)
        fresh = before is not None and now - before.last <= _WINDOW
        self.rejected[name] = Rejections(before.times + 1 if before is not None and fresh else 1, now)
        while len(self.rejected) > _MOST_OF_DEVICE or now - next(iter(self.rejected.values())).last > _WINDOW:
            self.rejected.popitem(last=False)


@dataclass(frozen=True, slots=True)
class PassedName:
    """A name that is passed on unread because of pinned apps, on `[since, until)`."""

    network: str
    host: str
    since: datetime
    until: datetime
    devices: int


@dataclass(frozen=True, slots=True)
class WithoutCertificate:
    """A device that has rejected our certificate since `since`, and never trusted it."""

    network: str
    address: str
    since: datetime
    names: int


@dataclass(frozen=True, slots=True)
class News:
    """What a rejection has brought about."""

    passed: PassedName | None = None
    lacking: WithoutCertificate | None = None


class Pinning:
    """Remembers who rejected what; may be asked from several threads. Pure: the time comes with the question."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """Take what is to be called when `passed` or `lacking` have changed."""
        self._changed = changed
        self._lock = threading.RLock()
        self._passed: dict[Name, PassedName] = {}
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._names: OrderedDict[Name, set[str]] = OrderedDict()  # the devices that rejected each
        self._policy: object = None

    @property
    def passed(self) -> tuple[PassedName, ...]:
        """The names that are passed on."""
        with self._lock:
            return tuple(self._passed.values())

    def lacking(self, now: datetime) -> tuple[WithoutCertificate, ...]:
        """Return the devices that lack the certificate, and have shown so within a day."""
        with self._lock:
            return tuple(
                WithoutCertificate(device.network, address, device.since, len(device.rejected))
                for address, device in self._devices.items()
                if device.told and device.since is not None and device.rejected_since(now - _PASSED)
            )

    def passes(self, name: Name, now: datetime, policy: object) -> bool:
        """Whether connections to a name are passed on unread; `policy` is the one in force."""
        if not self._passed:
            return False
        with self._lock:
            self._follow(policy)
            found = self._passed.get(name)
            if found is not None and found.until <= now:
                del self._passed[name]
                self._changed()
                return False
            return found is not None

    def trusts(self, address: str, network: str) -> None:
        """Note that a device has sent a request under our certificate."""
        device = self._devices.get(address)
        if device is not None and device.trusted:
            return
        with self._lock:
            device = self._device(address, network)
            device.trusted = True
            if device.told:
                device.told = False
                self._changed()

    def rejected(self, address: str, name: Name, now: datetime, policy: object, *, may_pass: bool) -> News:
        """Note that a device has rejected our certificate for an allowed name, and return what follows from that.

        `may_pass` says whether the name may be passed on unread at all.
        """
        with self._lock:
            self._follow(policy)
            device = self._device(address, name[0])
            if device.since is None or now - device.since > _PASSED:
                device.since = now
            device.reject(name, now)
            if may_pass:
                self._of_name(name).add(address)
            self._withdraw(now)
            passed = self._judge(name, now) if may_pass else None
            news = News(passed, self._lacks(address, device))
            if news != News():
                self._changed()
            return news

    # -- judging -----------------------------------------------------------------------------------------------

    def _judge(self, name: Name, now: datetime) -> PassedName | None:
        count = len(list(self._witnesses(name, now)))
        if name in self._passed or count < _DEVICES:
            return None
        found = self._passed[name] = PassedName(*name, now, now + _PASSED, count)
        return found

    def _witnesses(self, name: Name, now: datetime) -> Iterator[str]:
        """Yield the devices that speak for a name being pinned."""
        for address in self._names.get(name, ()):
            device = self._devices.get(address)
            seen = device.rejected.get(name) if device is not None else None
            if device is None or seen is None or seen.times < _TIMES or now - seen.last > _WINDOW:
                continue
            if device.trusted or len(device.rejected) < _NAMES:
                yield address

    def _withdraw(self, now: datetime) -> None:
        """Pass on no longer what only devices without the certificate spoke for: that shows a little later."""
        for name, found in list(self._passed.items()):
            if now - found.since < _WINDOW and len(list(self._witnesses(name, now))) < _DEVICES:
                del self._passed[name]
                self._changed()

    def _lacks(self, address: str, device: Device) -> WithoutCertificate | None:
        signs = sum(seen.times for name, seen in device.rejected.items() if name not in self._passed)
        if device.trusted or device.told or signs < _SIGNS or device.since is None:
            return None
        device.told = True
        return WithoutCertificate(device.network, address, device.since, len(device.rejected))

    # -- remembering -------------------------------------------------------------------------------------------

    def _follow(self, policy: object) -> None:
        if policy is self._policy:
            return
        self._policy = policy
        had = bool(self._passed)
        self._passed.clear()
        self._names.clear()
        for device in self._devices.values():
            device.rejected.clear()
            device.told, device.since = False, None
        if had:
            self._changed()

    def _device(self, address: str, network: str) -> Device:
        device = self._devices.setdefault(address, Device(network))
        self._devices.move_to_end(address)
        if len(self._devices) > _MOST_DEVICES:
            self._devices.popitem(last=False)
        return device

    def _of_name(self, name: Name) -> set[str]:
        devices = self._names.setdefault(name, set())
        self._names.move_to_end(name)
        if len(self._names) > _MOST_NAMES:
            self._names.popitem(last=False)
        return devices
