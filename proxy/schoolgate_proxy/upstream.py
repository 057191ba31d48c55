"""Finds the address behind a judged name, and refuses those that no client may reach through the proxy.

The client's own idea of the address is never used (re-anchoring), and what a name resolves to is checked before
anything is dialled: private, link-local, loopback, multicast and reserved ranges, and every address of this box.
"""

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Self

from schoolgate_policy.model import IPNetwork
from schoolgate_policy.names import IPAddress, as_ip, parse_address
from schoolgate_policy.patience import within
from schoolgate_proxy.ports import Address, Resolve

_CACHE_SIZE = 4096
_CACHE_SECONDS = 30.0
_LOOKUP_SECONDS = 5.0
_PARTS_KEPT = 32
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 2.1: the last 32 bits are an IPv4 address


class NameNotFound(OSError):  # noqa: N818 - reads as what it is where it is caught
    """A name that has no address; `certain`: there is none, and it is not that nobody answered."""

    def __init__(self, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.certain = certain


class AddressRefused(OSError):  # noqa: N818
    """A name or literal whose every address lies where no client may go."""


class Anchor(tuple[str, int]):  # noqa: SLOT001 - a tuple of variable size has no room for a slot
    """An upstream address: to mitmproxy's connection pool the judged name and port, to the dialler an IP address.

    mitmproxy reuses an upstream connection where the address compares equal, and dials `*address`. Replacing a
    name by an address would lose the reuse; so an anchor compares and hashes as `(name, port)` and unpacks as
    the address that was looked up and checked.
    """

    dialled: Address

    def __new__(cls, name: str, port: int, dialled: Address) -> Self:
        """Make an anchor for `name` and `port` that is dialled at `dialled`."""
        anchor = super().__new__(cls, (name, port))
        anchor.dialled = dialled
        return anchor

    def __iter__(self) -> Iterator[str | int]:
        """Yield what is dialled: IP address and port."""
        return iter(self.dialled)


async def system_resolve(name: str, port: int) -> Sequence[Address]:
    """Look a name up with the system's resolver, in the order it prefers (RFC 6724)."""
    found = await asyncio.get_running_loop().getaddrinfo(
        name, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [(str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in found]


def is_own(address: IPAddress) -> bool:
    """Whether this machine has the address: exactly those can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
        return True


def is_public(address: IPAddress) -> bool:
    """Whether the address is one of the open internet, also where it embeds an IPv4 address."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and not is_public(inner):
            return False
    return address.is_global and not address.is_multicast


def _part(address: IPAddress) -> str:
    """Name the part of the internet that an address lies in: its /24, or its /48 of IPv6."""
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


class Upstream:
    """Looks names up, remembers the answers for half a minute, and hands out only addresses that may be dialled.

    Everything but `known` and `failed` belongs to the event loop's thread.
    """

    def __init__(
        self,
        resolve: Resolve | None,
        allowed: tuple[IPNetwork, ...],
        own_listeners: Callable[[], Sequence[Address]],
        own_pages: Mapping[Address, Address] | None = None,
    ) -> None:
        self._resolve: Resolve = resolve or system_resolve
        self._allowed = allowed
        self._own_listeners = own_listeners
        self._own_pages = own_pages or {}
        self._cache: OrderedDict[tuple[str, int], tuple[float, tuple[Address, ...]]] = OrderedDict()
        self._asking: dict[tuple[str, int], asyncio.Task[Sequence[Address]]] = {}
        self._failed: OrderedDict[Address, float] = OrderedDict()  # until when each is avoided
        self._seen: OrderedDict[str, dict[str, None]] = (
            OrderedDict()
        )  # parts of the internet each name was found in

    def known(self, name: str, port: int) -> tuple[Address, ...]:
        """Return the remembered addresses that have not failed of late, best first; empty: look the name up.

        May be asked from any thread.
        """
        if (own := self._own_pages.get((name, port))) is not None:
            return (own,)
        now = time.monotonic()
        until, usable = self._cache.get((name, port), (0.0, ()))
        if until <= now:
            return ()
        if not self._failed:
            return usable
        return tuple(address for address in usable if not self._avoided(address, now))

    def is_strange(self, name: str, address: IPAddress) -> bool:
        """Whether a name was looked up, and never found near the address: large sites give one of many each time.

        May be asked from any thread.
        """
        seen = self._seen.get(name)
        return seen is not None and as_ip(name) is None and _part(address) not in seen

    async def find(self, name: str, port: int) -> tuple[Address, ...]:
        """Look a canonical host up: the addresses that may be dialled, those that failed of late last.

        Raises:
            NameNotFound: it has none, or the resolver did not answer within five seconds.
            AddressRefused: all it has are private, reserved or our own.

        """
        if (own := self._own_pages.get((name, port))) is not None:
            return (own,)
        found = await self._look_up(name, port)
        usable = tuple(address for address in found if self._may_dial(address))
        if not usable:
            raise AddressRefused(f"{name} has only addresses that may not be reached from here")
        now = time.monotonic()
        self._see(name, found)
        self._remember((name, port), now + _CACHE_SECONDS, usable)
        return tuple(sorted(usable, key=lambda address: self._avoided(address, now)))

    async def anchor(self, name: str, port: int, stand_in: str | None = None) -> Anchor:
        """Return the address to dial for a canonical host, or for the name that stands in; raises as `find` does."""
        dialled = stand_in or name
        addresses = self.known(dialled, port) or await self.find(dialled, port)
        return Anchor(name, port, addresses[0])

    def failed(self, address: Address) -> None:
        """Note that an address did not answer: for half a minute another is tried first, where there is one."""
        self._failed[address] = time.monotonic() + _CACHE_SECONDS
        self._failed.move_to_end(address)
        if len(self._failed) > _CACHE_SIZE:
            self._failed.popitem(last=False)

    def _avoided(self, address: Address, now: float) -> bool:
        return self._failed.get(address, 0.0) > now

    async def _look_up(self, name: str, port: int) -> Sequence[Address]:
        if as_ip(name) is not None:
            return [(name, port)]
        try:
            found = await asyncio.shield(self._asking.get((name, port)) or self._ask((name, port)))
        except (OSError, TimeoutError, UnicodeError) as error:
            certain = isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
            raise NameNotFound(f"{name} cannot be looked up: {error}", certain=certain) from error
        if not found:
            raise NameNotFound(f"{name} has no address", certain=True)
        return found

    def _ask(self, key: tuple[str, int]) -> asyncio.Task[Sequence[Address]]:
        """Begin a look-up; all who want the same name meanwhile wait for this one, as when a class opens a site."""

        async def resolve() -> Sequence[Address]:
            async with within(_LOOKUP_SECONDS):
                return await self._resolve(*key)

        def ended(task: asyncio.Task[Sequence[Address]]) -> None:
            del self._asking[key]
            if not task.cancelled():
                task.exception()  # looked at, though nobody may wait any more

        self._asking[key] = task = asyncio.get_running_loop().create_task(resolve())
        task.add_done_callback(ended)
        return task

    def _remember(self, key: tuple[str, int], until: float, usable: tuple[Address, ...]) -> None:
        self._cache[key] = (until, usable)
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)

    def _see(self, name: str, found: Sequence[Address]) -> None:
        """Remember where a name was found, for longer than its addresses are used."""
        parts = self._seen.setdefault(name, {})
        self._seen.move_to_end(name)
        for address, _ in found:
            parts[_part(parse_address(address))] = None
        while len(parts) > _PARTS_KEPT:
            del parts[next(iter(parts))]
        if len(self._seen) > _CACHE_SIZE:
            self._seen.popitem(last=False)

    def _may_dial(self, target: Address) -> bool:
        address = parse_address(target[0])
        if target[1] in {port for _, port in self._own_listeners()} and is_own(address):
            return False
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        return is_public(address) and not is_own(address)
