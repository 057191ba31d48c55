"""Looks up for the proxy what is behind a name, as the sinkhole does: at the same resolvers, special names at none."""

import asyncio
import socket
from collections.abc import Sequence

from dnslib import DNSError, DNSRecord

from schoolgate_dns.query import Query, read_query
from schoolgate_dns.special_names import Kind, special_name
from schoolgate_dns.upstream import UpstreamError, Upstreams
from schoolgate_dns.wire import Qtype

type Address = tuple[str, int]


class UpstreamLookup:
    """Finds addresses; callable as the proxy's `Resolve`."""

    def __init__(self, upstreams: Upstreams, own_zones: frozenset[str] = frozenset()) -> None:
        """Names in `own_zones`, the school's, are ordinary ones whatever they are called."""
        self._upstreams = upstreams
        self._own_zones = own_zones

    async def __call__(self, name: str, port: int) -> Sequence[Address]:
        """Return the addresses of a canonical host name that this box has a route to, IPv6 first.

        Raises:
            OSError: no upstream gave an answer, or the name is one that none is asked for.

        """
        special = special_name(name, Qtype.A, self._own_zones)
        if special is not None and special.kind is not Kind.LOOPBACK:  # a private address has its own refusal
            raise OSError(f"{name} is not a name of the internet")
        found = await asyncio.gather(self._ask(name, "AAAA"), self._ask(name, "A"), return_exceptions=True)
        addresses = [a for answer in found if not isinstance(answer, BaseException) for a in answer]
        failures = [answer for answer in found if isinstance(answer, BaseException)]
        if failures and not addresses:
            raise OSError(f"cannot look up: {failures[0]}") from failures[0]
        return [(address, port) for address in addresses if _has_route(address)]

    async def _ask(self, name: str, kind: str) -> list[str]:
        query = read_query(bytes(DNSRecord.question(name, kind).pack()))
        if not isinstance(query, Query):
            raise OSError(f"{name} cannot be asked for")
        try:
            reply = DNSRecord.parse(await self._upstreams.exchange(query))
        except (UpstreamError, DNSError) as error:
            raise OSError(str(error)) from error
        return [str(record.rdata) for record in reply.rr if record.rtype in {1, 28}]


def _has_route(address: str) -> bool:
    """Whether packets to the address have a way out; sends none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 443))
        except OSError:
            return False
    return True
