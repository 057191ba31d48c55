"""What is promised to a network, as checks that can be made from one of its addresses; the table of the probe.

Two kinds of promise. What the policy says now: the engine is asked as the filter asks it, so that an exception or a bell
is no fault. And what no policy changes: locked lists come first, ways round the filter stay shut, help stays open.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from dnslib import QTYPE, RCODE

from schoolgate.probe.asking import Device, Seen, Verdict
from schoolgate_exceptions.probe_record import Kind, Result
from schoolgate_policy import canary
from schoolgate_policy.decision import Attempt, Point
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Network, Service, TargetKind
from schoolgate_policy.safe_search import ENGINES, enforcement

WAYS_ROUND = ("doh", "private-relay", "tor", "vpn", "web-proxy")  # categories that are shut on every network
HELP = ("safeguarding", "health")  # categories that are open on every network
# Help and learning that a filter must never get in the way of, by exact name.
MUST_BE_OPEN = (
    "www.childline.org.uk", "www.nspcc.org.uk", "www.ceop.police.uk", "www.samaritans.org", "giveusashout.org",
    "www.themix.org.uk", "www.kooth.com", "www.youngminds.org.uk", "www.papyrus-uk.org", "www.mind.org.uk",
    "www.nhs.uk", "111.nhs.uk", "www.stonewall.org.uk", "www.mencap.org.uk", "www.brook.org.uk",
    "www.beateatingdisorders.org.uk", "www.nationaldahelpline.org.uk", "www.refuge.org.uk", "reportharmfulcontent.com",
    "www.gov.uk", "www.thenational.academy", "www.bbc.co.uk", "www.britannica.com", "www.nationalgeographic.com",
)  # fmt: skip
_DNS_QUERY = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"
_ONE_LABEL = (
    b"\0\1\1\0\0\1\0\0\0\0\0\0\x0cfacebook.com\0\0\1\0\1"  # looks like two labels, is one with a dot in it
)
_ECH = 5  # SvcParamKey, RFC 9848
type Look = Callable[[], tuple[Result, str]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to try: `look` tries it and tells how it went, in words."""

    kind: Kind
    point: str
    what: str
    expected: str
    look: Look


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody of a network who asks, and the engine that says what to expect."""

    network: Network
    address: str
    device: Device
    current: Callable[[], Engine]  # of the policy as it is now: it may change meanwhile
    clock: Callable[[], datetime]

    @property
    def engine(self) -> Engine:
        """What judges now."""
        return self.current()

    def blocks(self, host: str, path: str | None, point: Point) -> bool:
        """Whether the policy blocks this now."""
        return self.engine.decide(Attempt(self.address, host, self.clock(), path, point)).blocked


def checks(who: Asker) -> Iterator[Check]:
    """Yield everything that is promised to somebody."""
    yield from _canaries(who)
    yield from _services(who)
    yield from _must_be_open(who)
    yield from _safe_search(who)
    yield from _names_of_ways_round(who)
    yield from _dns_ways_round(who)
    if who.device.proxy is not None:
        yield from _web_ways_round(who)


def _canaries(who: Asker) -> Iterator[Check]:
    """Names of our own, which a locked list of ours holds: nothing in a policy opens them."""
    device, host = who.device, canary.HOST
    below = f"anything.{host}"
    for name in (host, below):
        yield Check(Kind.CANARY, "dns", name, "blocked (locked)", _shut(partial(device.resolves, name)))
    if device.proxy is not None:
        yield Check(Kind.CANARY, "proxy", host, "blocked (locked)", _shut(partial(device.fetch, host)))
        yield Check(
            Kind.CANARY,
            "proxy",
            f"{below} over TLS",
            "blocked (locked)",
            _shut(partial(device.fetch_tls, below)),
        )


def _services(who: Asker) -> Iterator[Check]:
    """Ask for a name of each known service by DNS, and by the proxy for those the policy blocks now."""
    seen: set[str] = set()
    for service in who.engine.policy.catalogue.services.values():
        if service.category in WAYS_ROUND or not service.domains:
            continue
        host = best_known(service)
        yield _as_the_policy_says(who, "dns", host, None)
        if who.device.proxy is not None and who.blocks(host, "/", Point.PROXY):
            yield _as_the_policy_says(who, "proxy", host, "/", tls=service.category not in seen)
            seen.add(service.category)


def _as_the_policy_says(who: Asker, point: str, host: str, path: str | None, *, tls: bool = False) -> Check:
    where = Point.DNS if point == "dns" else Point.PROXY
    ask = who.device.resolves if point == "dns" else who.device.fetch_tls if tls else who.device.fetch

    def look() -> tuple[Result, str]:
        before = who.blocks(host, path, where)
        seen = ask(host)
        allowed = {before, who.blocks(host, path, where)}  # a bell may have rung meanwhile
        if seen.verdict in {Verdict.NONE, Verdict.CLOSED}:
            return Result.UNKNOWN, seen.words
        return (Result.KEPT if (seen.verdict is Verdict.BLOCKED) in allowed else Result.BROKEN), seen.words

    decision = who.engine.decide(Attempt(who.address, host, who.clock(), path, where))
    cause = f", {decision.source}" if decision.source else ""
    expected = f"{'blocked' if decision.blocked else 'open'} ({decision.reason}{cause})"
    return Check(Kind.SERVICES, point, f"{host} over TLS" if tls else host, expected, look)


def _must_be_open(who: Asker) -> Iterator[Check]:
    """Try what helps: it is open to everybody, unless a network is closed to all that no rule opens."""
    policy = who.engine.policy
    names = [str(target.value) for target, _ in policy.always_allow if target.kind is TargetKind.DOMAIN]
    services = [one for one in policy.catalogue.services.values() if one.category in HELP]
    names += [best_known(one) for one in services if one.domains]
    always = {str(target.value) for target, _ in policy.always_allow}
    for host in dict.fromkeys((*names, *MUST_BE_OPEN)):
        closed = who.network.otherwise == "block" and host not in always
        if closed and who.blocks(host, None, Point.DNS):
            continue
        yield Check(Kind.OPEN, "dns", host, "open", _open(partial(who.device.resolves, host)))
        if who.device.proxy is not None:
            yield Check(Kind.OPEN, "proxy", host, "open", _open(partial(who.device.fetch, host)))


def best_known(service: Service) -> str:
    """Return the name by which people know a service: the shortest that holds its id, else the shortest."""
    plain = service.id.replace("-", "")
    return min(service.domains, key=lambda name: (plain not in name.replace("-", ""), len(name), name))


def _safe_search(who: Asker) -> Iterator[Check]:
    wanted = who.network.safe_search
    for engine in ENGINES:
        host = next((one for one in engine.hosts if one.startswith("www.")), engine.hosts[0])
        asked = enforcement(wanted, host)
        if asked is not None and not who.blocks(host, None, Point.DNS):
            yield Check(
                Kind.SAFE_SEARCH,
                "dns",
                host,
                f"an alias of {asked.alias}",
                _alias(who.device, host, asked.alias),
            )


def _names_of_ways_round(who: Asker) -> Iterator[Check]:
    """Services that are made to get round filters, whatever the policy says."""
    for service in _made_for_it(who.engine.policy.catalogue.services.values()):
        host = best_known(service)
        expected = f"blocked ({service.category})"
        if service.category != "private-relay":  # its names do not exist here at all, see `_dns_ways_round`
            yield Check(Kind.CIRCUMVENTION, "dns", host, expected, _shut(partial(who.device.resolves, host)))
        if who.device.proxy is not None:
            yield Check(Kind.CIRCUMVENTION, "proxy", host, expected, _shut(partial(who.device.fetch, host)))


def _made_for_it(services: Iterable[Service]) -> Iterator[Service]:
    return (one for one in services if one.category in WAYS_ROUND and one.domains)


def _dns_ways_round(who: Asker) -> Iterator[Check]:
    device = who.device

    def check(what: str, expected: str, look: Look) -> Check:
        return Check(Kind.CIRCUMVENTION, "dns", what, expected, look)

    for qtype in ("A", "AAAA", "HTTPS"):
        name = "use-application-dns.net"
        yield check(f"{name} {qtype}", "NXDOMAIN", _code(device, name, qtype, RCODE.NXDOMAIN))
        for name in ("mask.icloud.com", "mask-h2.icloud.com"):
            yield check(f"{name} {qtype}", "NXDOMAIN", _code(device, name, qtype, RCODE.NXDOMAIN))
    for name in ("2.dnscrypt-cert.example.org", "wpad.example.org"):
        yield check(name, "NXDOMAIN", _code(device, name, "TXT", RCODE.NXDOMAIN))
    yield check(
        "_dns.resolver.arpa SVCB", "no data", _code(device, "_dns.resolver.arpa", "SVCB", RCODE.NOERROR)
    )
    yield check("a label with a dot in it", "FORMERR", _formerr(device))
    yield check("keys of an Encrypted ClientHello", "none", _no_ech(device))


def _web_ways_round(who: Asker) -> Iterator[Check]:
    """Try requests that a proxy must refuse; each to the canary, or to what is open, so that nothing bad is asked for."""
    ok, bad, device = "www.gov.uk", canary.HOST, who.device

    def check(what: str, ask: Callable[[], Seen]) -> Check:
        return Check(Kind.CIRCUMVENTION, "proxy", what, "refused", _shut(ask, closed=True))

    def plain(what: str, *lines: str) -> Check:
        data = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        return check(what, partial(device.request, data))

    yield plain("an address instead of a name", "GET http://192.0.2.7/ HTTP/1.1", "Host: 192.0.2.7")
    yield check("an address over TLS", lambda: device.fetch_tls("192.0.2.7"))
    yield plain("CONNECT to the port of SSH", f"CONNECT {ok}:22 HTTP/1.1", f"Host: {ok}:22")
    yield plain("two Host fields", f"GET http://{ok}/ HTTP/1.1", f"Host: {ok}", f"Host: {bad}")
    yield plain("a Host beside the target", f"GET http://{bad}/ HTTP/1.1", f"Host: {ok}")
    yield plain("a user in the Host", "GET / HTTP/1.1", f"Host: {ok}@{bad}")
    yield plain(
        "DNS over HTTPS by its type",
        f"GET http://{ok}/x HTTP/1.1",
        f"Host: {ok}",
        "Accept: application/dns-message",
    )
    yield plain(
        "DNS over HTTPS by its question", f"GET http://{ok}/x?dns={_DNS_QUERY} HTTP/1.1", f"Host: {ok}"
    )
    yield plain("the method TRACE", f"TRACE http://{ok}/ HTTP/1.1", f"Host: {ok}")
    yield check("SSH to the proxy's port", lambda: device.request(b"SSH-2.0-OpenSSH_9.6\r\n"))
    yield check("a shut name inside an open connection", lambda: device.fetch_tls(ok, name=bad))


def _shut(ask: Callable[[], Seen], *, closed: bool = False) -> Look:
    def look() -> tuple[Result, str]:
        seen = ask()
        if seen.verdict is Verdict.NONE or (seen.verdict is Verdict.CLOSED and not closed):
            return Result.UNKNOWN, seen.words
        return (Result.BROKEN if seen.verdict is Verdict.OPEN else Result.KEPT), seen.words

    return look


def _open(ask: Callable[[], Seen]) -> Look:
    def look() -> tuple[Result, str]:
        seen = ask()
        if seen.verdict in {Verdict.NONE, Verdict.CLOSED}:
            return Result.UNKNOWN, seen.words
        return (Result.BROKEN if seen.verdict is Verdict.BLOCKED else Result.KEPT), seen.words

    return look


def _code(device: Device, name: str, qtype: str, wanted: int) -> Look:
    def look() -> tuple[Result, str]:
        reply = device.query(name, qtype)
        if reply is None:
            return Result.UNKNOWN, "the sinkhole does not answer"
        said = f"{RCODE.get(reply.header.rcode)}, {len(reply.rr)} records"
        kept = reply.header.rcode == wanted and not reply.rr
        return (Result.KEPT if kept else Result.BROKEN), said

    return look


def _alias(device: Device, host: str, alias: str) -> Look:
    def look() -> tuple[Result, str]:
        reply = device.query(host)
        if reply is None or reply.header.rcode == RCODE.SERVFAIL:
            return Result.UNKNOWN, "no answer"
        found = [str(one.rdata).rstrip(".").lower() for one in reply.rr if one.rtype == QTYPE.CNAME]
        return (
            Result.KEPT if alias in found else Result.BROKEN
        ), f"an alias of {found[0]}" if found else "itself"

    return look


def _formerr(device: Device) -> Look:
    def look() -> tuple[Result, str]:
        reply = device.send(_ONE_LABEL)
        if reply is None:
            return Result.UNKNOWN, "the sinkhole does not answer"
        code = reply.header.rcode
        return (Result.KEPT if code == RCODE.FORMERR else Result.BROKEN), str(RCODE.get(code))

    return look


def _no_ech(device: Device) -> Look:
    def look() -> tuple[Result, str]:
        name = "crypto.cloudflare.com"
        reply = device.query(name, "HTTPS")
        if reply is None or reply.header.rcode not in {RCODE.NOERROR, RCODE.NXDOMAIN}:
            return Result.UNKNOWN, "no answer"
        if any(key == _ECH for one in reply.rr for key, _ in getattr(one.rdata, "params", ())):
            return Result.BROKEN, f"a key for {name}"
        return Result.KEPT, "none"

    return look
