"""A server of response policy zones beside a sinkhole, both under one policy and one clock that tests move."""

import base64
import time
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from dnslib import QTYPE, RR, DNSHeader, DNSRecord
from secondaries import SECRET

from schoolgate_dns.rpz.config import RpzConfig, Secondary
from schoolgate_dns.rpz.records import head_lines, lines
from schoolgate_dns.rpz.server import RpzServer
from schoolgate_dns.rpz.tsig import TsigKey
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

PAGE4, PAGE6 = "192.0.2.80", "2001:db8::80"
KEY = TsigKey("trust", "hmac-sha256", base64.b64decode(SECRET))
POLICY = """\
version: 1
school:
  name: Perryfields Primary PRU
  timezone: Europe/London
  bank_holidays: england
networks:
  staff:  {people: staff, addresses: [127.0.10.0/24], inspection: needed, otherwise: allow}
  pupils: {people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow, safe_search: strict}
  guests: {people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: allow}
  exams:  {people: pupil, addresses: [127.0.40.0/24], inspection: all, otherwise: block}
unknown_clients: pupils
devices: {office-pc: [127.0.10.20]}
calendar: {terms: [{name: autumn, from: 2026-09-02, to: 2026-12-18}]}
schedules:
  lessons: {days: mon-fri, at: ["08:50-10:30"], in: term}
  lunch:   {days: mon-fri, at: ["12:10-13:10"], in: term}
always_allow: [childline.org.uk, help.instagram.com]
rules:
  - {allow: [bbc.co.uk], for: [exams], reason: Exam papers}
  - {block: [facebook, instagram], reason: Not at school}
  - {block: ["category:social-network"], for: [pupils, guests], reason: Pupils may not}
  - {block: ["category:video"], for: [staff], during: [lessons], reason: Not in lessons}
  - {block: ["category:circumvention"], reason: Ways round the filter are not allowed}
"""
EXCEPTION = """\
exceptions:
  - id: REQ-2026-0001
    allow: [scontent.fbcdn.net, m.facebook.com]
    for: [pupils]
    from: 2026-11-23
    until: 2026-11-30
    reason: A project
    reviewed_by: e-safety officer
    approved_by: headteacher
"""


class FakeRpzCounters:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def gave(self, what) -> None:
        self.seen[f"gave {what}"] += 1

    def refused(self, why) -> None:
        self.seen[f"refused {why}"] += 1

    def notified(self, *, heard) -> None:
        self.seen["heard" if heard else "not heard"] += 1

    def published(self, zones, seconds) -> None:
        self.seen["published"] += zones


def everything(request, transport):
    """Stand for the internet: every name has an A record, none has an AAAA record or a CNAME."""
    reply = DNSRecord(DNSHeader(id=request.header.id, qr=1, ra=1, rd=1), q=request.q)
    name = str(request.q.qname)
    if QTYPE.get(request.q.qtype) == "A":
        reply.add_answer(*RR.fromZone(f"{name} 300 A 203.0.113.9"))
    else:
        reply.add_auth(*RR.fromZone(". 100 IN SOA ns.example. host.example. 1 2 3 4 50"))
    return bytes(reply.pack())


class Zones:
    """The server of zones, on the loop of a rig."""

    def __init__(
        self, rig, folder: Path, notify: Iterable[tuple[str, int, bool]] = (), text: str = POLICY, **more
    ):
        self.rig = rig
        self.folder = folder
        self.skew = 0.0  # how far the box's clock is ahead of its secondaries'
        self.file = folder / "policy.yaml"
        self.counters = FakeRpzCounters()
        self.write(text)
        rig.upstream.script = everything
        secondaries = tuple(
            Secondary(name, ("127.0.0.1", port), KEY if signed else None) for name, port, signed in notify
        )
        pages = {name: (ip_address(PAGE4), ip_address(PAGE6)) for name in ("staff", "pupils", "exams")}
        lists = more.pop("lists", lambda engine: ())
        self.config = RpzConfig(
            folder=folder / "rpz",
            listen=(("127.0.0.1", 0),),
            secondaries=secondaries or (Secondary("trust", ("127.0.0.1", 9), KEY),),
            pages=more.pop("pages", pages),
            **more,
        )
        self.lists = lists
        self.start()

    def start(self) -> None:
        """Start the server, or start it again."""
        zones = self

        class Source:
            @property
            def engine(self):
                return zones.rig.engine

        rig = self.rig
        self.server = RpzServer(
            self.config,
            Source(),
            self.lists,
            rig.recorder,
            self.counters,
            lambda: rig.now,
            seconds=lambda: time.time() + self.skew,
        )
        rig.run(self.server.start())
        self.port = self.server.addresses[0][1]

    def stop(self) -> None:
        self.rig.run(self.server.stop())

    def write(self, text: str) -> None:
        """Put another policy in force."""
        self.file.write_text(text)
        self.rig.engine = Engine(load_policy(self.file))

    def version(self, zone: str):
        return self.server.archive.current(zone)

    def text(self, zone: str) -> list[str]:
        """Return a zone as text."""
        version = self.version(zone)
        body = [line for node in version.nodes(self.config.folder) for line in lines(node, version)]
        return [*head_lines(f"{zone}.{self.config.origin}", version), *body]
