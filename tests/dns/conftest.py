"""A sinkhole on loopback with a stand-in upstream behind it, driven from outside by real sockets."""

import asyncio
import copy
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from dnslib import QTYPE, RR, DNSHeader, DNSQuestion, DNSRecord, EDNSOption

from schoolgate_dns import DnsConfig, DnsServer, Upstream
from schoolgate_policy.decision import Attempt, Decision, Reason, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_policy.model import Inspection
from schoolgate_policy.names import suffixes

STAFF, PUPIL, GUEST = "127.0.10.5", "127.0.20.5", "127.0.30.5"
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def enter(namespace: str) -> None:
    """Move the calling thread, and the sockets it makes from now on, into a network namespace."""
    with Path("/run/netns", namespace).open() as handle:
        os.setns(handle.fileno(), os.CLONE_NEWNET)


class FakeEngine:
    """Judges by a table: name (and all below it) to what `Decision` fields it gets, for some networks."""

    def __init__(self) -> None:
        self.table: dict[str, dict] = {}
        self.broken = False
        self._last, self._view = "", self
        networks = {"staff": Inspection.NEEDED, "pupils": Inspection.ALL, "guests": Inspection.NAMES}
        self.policy = SimpleNamespace(
            networks={
                name: SimpleNamespace(inspection=kind, safe_search={}) for name, kind in networks.items()
            },
            school=SimpleNamespace(
                name="Test School", contacts={"e_safety_officer": "esafety@school.example"}
            ),
            catalogue=SimpleNamespace(
                categories={
                    one: SimpleNamespace(id=one, parent=parent)
                    for one, parent in (
                        ("circumvention", None),
                        ("doh", "circumvention"),
                        ("private-relay", "circumvention"),
                        ("social-network", None),
                    )
                }
            ),
        )

    @property
    def in_force(self) -> "FakeEngine":
        """This engine; after each change of its table another object, as after a reload."""
        if repr(self.table) != self._last:
            self._last, self._view = repr(self.table), copy.copy(self)
        self._view.__dict__.update(broken=self.broken, policy=self.policy)
        return self._view

    def block(self, name: str, *, networks=("staff", "pupils", "guests"), **fields) -> None:
        self.table[name] = {"verdict": Verdict.BLOCK, "reason": Reason.RULE, "networks": networks, **fields}

    def allow(self, name: str, *, networks=("staff", "pupils", "guests"), **fields) -> None:
        self.table[name] = {"verdict": Verdict.ALLOW, "reason": Reason.RULE, "networks": networks, **fields}

    def identify(self, address: str):
        parts = address.split(".")
        return SimpleNamespace(
            network={"10": "staff", "30": "guests"}.get(parts[2] if len(parts) > 2 else "", "pupils"),
            known=parts[0] == "127",
        )

    def group(self, address: str):
        return self.identify(address).network

    def decide(self, attempt: Attempt) -> Decision:
        if self.broken:
            raise RuntimeError("the engine is broken")
        network = self.identify(attempt.address).network
        base = Decision(
            Verdict.ALLOW,
            Reason.OTHERWISE,
            "",
            attempt.at,
            None,
            attempt.host,
            network,
            source="policy.yaml:7",
        )
        for name in suffixes(attempt.host):
            fields = dict(self.table.get(name, ()))
            if fields and network in fields.pop("networks"):
                fields.setdefault("message", "Not in lessons")
                fields.setdefault("source", "policy.yaml:41")
                return replace(base, **fields)
        return base


class FakeRecorder:
    def __init__(self) -> None:
        self.decisions: list[tuple[Attempt, Decision]] = []
        self.techniques: list[tuple[str, str, str, str]] = []
        self.faults: list[tuple[str, Exception]] = []

    def decision(self, attempt, decision) -> None:
        self.decisions.append((attempt, decision))

    def repeated(self, point, batch) -> None:
        for address, decision, times in batch:
            attempt = Attempt(address, decision.host, decision.at, point=point)
            self.decisions += [(attempt, decision)] * times

    def technique(self, technique, network, address, host) -> None:
        self.techniques.append((str(technique), network, address, host))

    def fault(self, area, error) -> None:
        self.faults.append((area, error))


class FakeCounters:
    def __init__(self) -> None:
        self.seen: Counter = Counter()

    def query(self, transport, rcode, times=1) -> None:
        self.seen["query", str(transport), rcode] += times

    def dropped(self, transport, times=1) -> None:
        self.seen["dropped", str(transport)] += times

    def cache(self, outcome, times=1) -> None:
        self.seen["cache", str(outcome)] += times

    def upstream(self, outcome, seconds, times=1) -> None:
        self.seen["upstream", str(outcome)] += times

    def forged(self) -> None:
        self.seen["forged"] += 1

    def limited(self, limit) -> None:
        self.seen["limited", str(limit)] += 1


class StandIn(asyncio.DatagramProtocol):
    """An upstream that answers from zone-file lines, or from whatever `script` returns."""

    def __init__(self, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.context = context  # for TLS on the stream side
        self.connections = 0
        self.zone: dict[tuple[str, str], str] = {}
        self.asked: list[tuple[str, str, str]] = []  # transport, name as spelt, type
        self.messages: list[bytes] = []
        self.sources: list[tuple] = []
        self.script: Callable[[DNSRecord, str], list[bytes] | bytes | None] | None = None
        self.delay: dict[str, float] = {}
        self.silent = False
        self.hang_up = False  # after each message on a stream
        self.port = 0
        self._closers: list[Callable[[], None]] = []

    def add(self, name: str, qtype: str, *lines: str) -> None:
        """Answer this question with these zone-file lines."""
        self.zone[name.rstrip("."), qtype] = "\n".join(lines)

    def count(self, name: str) -> int:
        return sum(asked.lower().rstrip(".") == name for _, asked, _ in self.asked)

    def reply(self, request: DNSRecord) -> DNSRecord:
        name, qtype = str(request.q.qname).rstrip(".").lower(), QTYPE.get(request.q.qtype)
        reply = DNSRecord(DNSHeader(id=request.header.id, qr=1, ra=1, rd=1), q=request.q)
        known = [key for key in self.zone if key[0] == name]
        if (name, qtype) in self.zone:
            for rr in RR.fromZone(self.zone[name, qtype]):
                (reply.auth if QTYPE.get(rr.rtype) == "SOA" and qtype != "SOA" else reply.rr).append(rr)
        else:
            reply.header.rcode = 0 if known else 3
            reply.add_auth(*RR.fromZone("example. 100 IN SOA ns.example. host.example. 1 2 3 4 50"))
        return reply

    def answers(self, data: bytes, transport: str) -> list[bytes]:
        request = DNSRecord.parse(data)
        self.asked.append((transport, str(request.q.qname), QTYPE.get(request.q.qtype)))
        self.messages.append(data)
        if self.script is not None:
            made = self.script(request, transport)
            return [bytes(made)] if isinstance(made, bytes | bytearray) else list(made or ())
        if self.silent:
            return []
        packed = bytes(self.reply(request).pack())
        if transport == "udp" and len(packed) > 1232:
            cut = DNSRecord(DNSHeader(id=request.header.id, qr=1, ra=1, rd=1, tc=1), q=request.q)
            packed = bytes(cut.pack())
        return [packed]

    def connection_made(self, transport) -> None:
        self._udp = transport

    def datagram_received(self, data, addr) -> None:
        self.sources.append(addr)
        name = str(DNSRecord.parse(data).q.qname).rstrip(".").lower()
        for answer in self.answers(data, "udp"):
            asyncio.get_running_loop().call_later(self.delay.get(name, 0), self._udp.sendto, answer, addr)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, 0))
            port = transport.get_extra_info("sockname")[1]
            try:
                server = await asyncio.start_server(self._stream, self.host, port, ssl=self.context)
            except OSError:
                transport.close()
                continue
            self.port = port
            self._closers = [transport.close, server.close]
            return

    async def _stream(self, reader, writer) -> None:
        self.connections += 1
        try:
            while True:
                data = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                name = str(DNSRecord.parse(data).q.qname).rstrip(".").lower()
                for answer in self.answers(data, "tcp"):
                    framed = len(answer).to_bytes(2) + answer
                    if name in self.delay:
                        asyncio.get_running_loop().call_later(self.delay[name], writer.write, framed)
                    else:
                        writer.write(framed)
                await writer.drain()
                if self.hang_up:
                    return
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    def stop(self) -> None:
        for close in self._closers:
            close()


class Source:
    """The policy source of a rig, whose tests change the policy as they go."""

    def __init__(self, rig: "Rig") -> None:
        self._rig = rig

    @property
    def engine(self):
        engine = self._rig.engine
        return engine.in_force if isinstance(engine, FakeEngine) else engine


class Rig:
    """The sinkhole and its surroundings, on a loop in a thread of its own; tests are its clients."""

    def __init__(self, upstreams=1, endpoints=(), tls_names=(), namespace="", **config) -> None:
        self.engine = FakeEngine()  # Rig is the PolicySource
        self.recorder = FakeRecorder()
        self.counters = FakeCounters()
        self.now = START
        self.seconds = 0.0
        self.upstreams = (
            [StandIn() for _ in range(upstreams)] if isinstance(upstreams, int) else list(upstreams)
        )
        self._tls_names = tls_names
        self._namespace = namespace
        self._settings = config
        self._endpoints = endpoints  # beside those of the stand-ins
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self.close()
            raise

    def _serve(self) -> None:
        if self._namespace:
            enter(self._namespace)
        self._loop.run_forever()

    @property
    def upstream(self) -> StandIn:
        return self.upstreams[0]

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def pass_time(self, seconds: float) -> None:
        """Move both clocks on."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    async def _start(self) -> None:
        for upstream in self.upstreams:
            await upstream.start()
        names = dict(enumerate(self._tls_names))
        endpoints = tuple(
            Upstream(one.host, one.port, tls=one.context is not None, tls_name=names.get(number, ""))
            for number, one in enumerate(self.upstreams)
        )
        endpoints += self._endpoints
        if callable(zones := self._settings.get("zones", {})):
            zones = zones(endpoints)
        settings = {
            "listen": (("127.0.0.1", 0),),
            "upstreams": endpoints,
            "udp_timeout": 0.4,
            **self._settings,
            "zones": zones,
        }
        self.config = DnsConfig(**settings)
        self.server = DnsServer(
            self.config, Source(self), self.recorder, self.counters, lambda: self.now,
            monotonic=lambda: self.seconds + time.monotonic(),
        )  # fmt: skip
        await self.server.start()
        self.address = self.server.addresses[0]

    async def _stop(self) -> None:
        await self.server.stop()
        for upstream in self.upstreams:
            upstream.stop()
        current = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not current]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def udp(self, data: bytes, source: str = PUPIL, timeout: float = 8, to: str = "") -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.bind((source, 0))
            sock.connect((to or self.address[0], self.address[1]))
            sock.send(data)
            return sock.recv(65535)

    def tcp(self, *data: bytes, source: str = PUPIL, expect: int | None = None) -> list[bytes]:
        """Send all queries on one connection at once; return the replies in order of arrival."""
        with socket.create_connection(self.address, timeout=8, source_address=(source, 0)) as sock:
            sock.sendall(b"".join(struct.pack("!H", len(one)) + one for one in data))
            stream = sock.makefile("rb")
            return [stream.read(int.from_bytes(stream.read(2))) for _ in range(expect or len(data))]

    def ask(
        self, name: str, qtype: str = "A", source: str = PUPIL, *, tcp=False, to: str = "", **query
    ) -> DNSRecord:
        data = make_query(name, qtype, **query)
        return DNSRecord.parse(self.tcp(data, source=source)[0] if tcp else self.udp(data, source, to=to))


def make_query(
    name, qtype="A", *, edns=True, do=False, size=1232, options=(), rd=1, cd=0, ident=None, ad=0
) -> bytes:
    request = DNSRecord(
        DNSHeader(id=ident, rd=rd, cd=cd, ad=ad),
        q=DNSQuestion(name, int(qtype) if qtype.isdecimal() else getattr(QTYPE, qtype)),
    )
    data = request.pack()
    if edns:
        packed = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in options)
        opt = b"\0" + struct.pack("!HHIH", 41, size, 0x8000 if do else 0, len(packed)) + packed
        data = data[:10] + b"\0\1" + data[12:] + opt
    return data


def edes(record: DNSRecord) -> list[tuple[int, str]]:
    """Return the extended errors of a reply."""
    return [
        (int.from_bytes(option.data[:2]), option.data[2:].decode())
        for rr in record.ar
        if rr.rtype == QTYPE.OPT
        for option in rr.rdata
        if isinstance(option, EDNSOption) and option.code == 15
    ]


SCHOOL = """\
version: 1
school:
  name: Perryfields Primary PRU
  timezone: Europe/London
  bank_holidays: england
  contacts: {e_safety_officer: esafety@perryfields.example}
networks:
  staff:  {people: staff, addresses: [10.10.0.0/16, 127.0.10.0/24], inspection: needed, otherwise: allow}
  pupils:
    people: pupil
    addresses: [10.20.0.0/16, 127.0.20.0/24, "2a00:20::/64"]
    inspection: all
    otherwise: allow
    safe_search: strict
  guests: {people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: allow}
unknown_clients: pupils
calendar: {terms: [{name: autumn, from: 2026-09-02, to: 2026-12-18}]}
schedules: {lessons: {days: mon-fri, at: ["08:50-10:30"], in: term}}
rules:
  - {block: [facebook, 1.1.1.1], reason: Not at school}
  - {block: ["category:video"], for: [staff], during: [lessons], reason: Not in lessons}
  - {block: ["category:circumvention"], reason: Ways round the filter are not allowed}
"""


def run_tool(rig, tool: str, *arguments: str, source: str = PUPIL, namespace: str = "") -> str:
    """Run dig or kdig against a sinkhole, in the namespace of a client where one is named; return what it prints."""
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    host, port = rig.address
    command = [tool, *([] if any(one.startswith("@") for one in arguments) else [f"@{host}"])]
    command += [*([] if namespace else ["-p", str(port), "-b", source]), *arguments]
    if namespace:
        command = ["ip", "netns", "exec", namespace, *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.fixture(scope="session")
def school_policy(tmp_path_factory):
    """A policy with the shipped catalogue: facebook blocked for all, ways round the filter too."""
    path = tmp_path_factory.mktemp("school") / "policy.yaml"
    path.write_text(SCHOOL)
    return load_policy(path)


@pytest.fixture
def make_school(make_rig, school_policy):
    """Make sinkholes under the real engine, each with a stand-in internet behind it."""

    def make(upstreams=1, **settings) -> Rig:
        rig = make_rig(upstreams, **settings)
        rig.engine = Engine(school_policy)
        for upstream in rig.upstreams:
            upstream.add("school.example", "A", "school.example. 300 A 198.51.100.7")
            upstream.add("school.example", "AAAA", "school.example. 300 AAAA 2001:db8::7")
            upstream.add("big.example", "TXT", *(f'big.example. 300 TXT "{str(n) * 200}"' for n in range(10)))
        return rig

    return make


@pytest.fixture
def school(make_school):
    return make_school()


@pytest.fixture
def make_rig():
    """Make sinkholes with their own settings; all are closed at the end."""
    rigs: list[Rig] = []

    def make(upstreams=1, **settings) -> Rig:
        rigs.append(Rig(upstreams, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()


@pytest.fixture
def dns():
    """Names that tests use: addresses of clients, and functions on messages."""
    return SimpleNamespace(
        STAFF=STAFF,
        PUPIL=PUPIL,
        GUEST=GUEST,
        START=START,
        query=make_query,
        edes=edes,
        StandIn=StandIn,
        run=run_tool,
    )
