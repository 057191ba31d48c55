"""A school in the middle of a week: requests in every state, people with every role. For pictures and browser walks."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import trustme
from boxes import WELL, ToldBox
from instruments import an_ordinary_day
from live_portal import LivePortal
from policies import HEAD
from school import RULES, School

from schoolgate_exceptions import probe_record as record
from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.lessons import Caps
from schoolgate_exceptions.model import Ask, OfficialUse
from schoolgate_exceptions.papers.box import FirewallState
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.workflow import State
from schoolgate_policy.event import Event, Fault, Sighting, Visit

_STATES = """
states:
  incident:
    about: Only the school's official channels speak; everything else is shut until it is over.
    rules:
      - {block: everything, for: [guests], reason: There is an incident}
"""
_LISTS = """
lists:
  adverts: {file: adverts.txt, format: hosts, licence: CC-BY-4.0}
  gambling: {url: "https://lists.example.org/gambling.txt", refresh: 6 hours, licence: MIT}
"""
OFFICER, HEADTEACHER = "sam.okafor@school.example", "ruth.evans@school.example"
TEACHER, LEAD = "alex.reid@school.example", "dina.shah@school.example"
GOVERNOR = "gwen.morris@school.example"
LOOPBACK = "127.0.0.1"


@dataclass
class Showcase:
    """The portal, and the people in it."""

    portal: LivePortal
    officer: Actor
    head: Actor
    teacher: Actor

    @property
    def school(self) -> School:
        """The school behind the portal."""
        return self.portal.school


def write_policy(folder: Path) -> None:
    """Write a policy with a name and contacts in it."""
    head = HEAD.replace("Test School", "Perryfields Primary").replace(
        "bank_holidays: england}",
        "bank_holidays: england, contacts: {e_safety_officer: esafety@school.example, headteacher: head@school.example}}",
    )
    (folder / "policy.yaml").write_text(head + RULES + _STATES + _LISTS)
    (folder / "locked.txt").write_text("locked.example\n")
    (folder / "adverts.txt").write_text("".join(f"0.0.0.0 ad{n}.example\n" for n in range(2_400)))
    (folder / "state").mkdir(exist_ok=True)
    trustme.CA().cert_pem.write_to_path(str(folder / "state" / "ca.pem"))


def open_showcase(folder: Path) -> Showcase:
    """Start a portal with some days of work behind it."""
    write_policy(folder)
    url = sqlite_url(folder / "portal.db")
    database = Database(url)
    database.migrate()
    database.close()
    school = School(folder, url)
    school.clock.at -= timedelta(days=4)
    school.service.papers.box = ToldBox(
        names=(*WELL, "evidence"), wall=FirewallState(loaded=True, refused=12)
    )
    portal = LivePortal(school)
    accounts = {
        "officer": portal.account(OFFICER, Role.OFFICER, Role.TECHNICIAN),
        "head": portal.account(HEADTEACHER, Role.HEAD),
        "teacher": portal.account(TEACHER, Role.TEACHER),
        "lead": portal.account(LEAD, Role.DSL),
        "governor": portal.account(GOVERNOR, Role.GOVERNOR),
    }
    today = school.service.office.today()
    officer, head, teacher = (accounts[name].actor(today) for name in ("officer", "head", "teacher"))
    _fill(school, officer, head, teacher)
    return Showcase(portal, officer, head, teacher)


def _fill(school: School, officer: Actor, head: Actor, teacher: Actor) -> None:
    service = school.service
    service.lessons.set_caps(officer, Caps(("youtube", "other.example"), ("room-5",)))
    school.ask("other.example", "10.20.0.9", reason="Maps of old London for history")
    granted = school.ask("youtube.com", "10.20.5.9", reason="A film about the rainforest")
    grant = service.queue.case(officer, granted.id).grant
    service.reviewing.recommend(
        officer, granted.id, replace(grant, whom=("room-5",)), "One film, one room, one week."
    )
    service.approving.approve(head, granted.id)
    refused = school.ask("facebook.com", "10.20.0.7", reason="To talk with my friends")
    service.reviewing.refuse(
        officer, refused.id, "That is for after school. Ask me if you are lonely at lunch."
    )
    over = school.ask("maps.twitter.com", LOOPBACK, reason="Maps of the town")
    grant = service.queue.case(officer, over.id).grant
    short = replace(grant, until=school.clock.at + timedelta(days=1))
    service.reviewing.recommend(officer, over.id, short, "One day is enough.")
    service.approving.approve(head, over.id)
    school.clock.forward(days=3, hours=22)
    service.ending.expire_due()
    for address, words in (("10.20.0.5", "Volcanoes, for geography"), ("10.20.0.6", "Volcanoes")):
        school.ask("blocked.example", address, reason=words)
    school.ask("twitter.com", "10.10.0.5", "staff", reason="The council posts snow closures there")
    school.ask("instagram.com", "10.20.0.8", reason="Somebody there says I should kill myself")
    asked = school.ask("films.twitter.com", LOOPBACK, reason="A film")
    service.reviewing.ask_back(officer, asked.id, "Which film is it?")
    report = Ask(Kind.BLOCK, Purpose.OTHER, "Games in every lesson", host="games.example")
    service.asking.submit(report, service.asking.asker("10.20.0.4"), "10.20.0.4")
    use = OfficialUse(
        "Parents hear of school news where they are",
        "Half of the families follow within a year",
        "Comments are switched off; two people look after it; no faces of pupils",
        date(2026, 12, 18),
        notice_given=True,
        consent_held=True,
    )
    ask = Ask(
        Kind.OFFICIAL_USE, Purpose.OFFICIAL, "School news", host="facebook.com/perryfields", official=use
    )
    official = service.asking.submit(ask, teacher, "10.10.0.20").request
    service.reviewing.recommend(
        officer,
        official.id,
        service.queue.case(officer, official.id).grant,
        "It is for the office computer only, and Alex has done this before. I would say yes.",
    )
    service.register.add(
        officer,
        "Facebook",
        "Perryfields Primary",
        "Alex Reid",
        ("Alex Reid", "Sam Okafor"),
        date(2026, 9, 2),
        official.id,
    )
    service.sanctioning.impose(
        officer,
        "10.20.4.7",
        school.clock.at + timedelta(days=4),
        "Went round the filter twice",
        ("other.example",),
    )
    school.clock.forward(hours=2)
    service.lessons.open(teacher, "other.example", ("room-5",), "Old maps, together")
    _watch(school)
    an_ordinary_day(school)
    _keep_boxes(school, officer)
    assert service.queue.listed(officer)
    assert official.state is State.SUBMITTED


def _keep_boxes(school: School, keeper: Actor) -> None:
    """Have boxes of other schools: well, behind, not well, silent, waiting and revoked."""
    boxes = school.service.boxes
    told: dict[str, tuple[int, dict[str, str]]] = {
        "northfield": (1, {}),
        "eastgate": (0, {}),
        "southmoor": (1, {"dns": "no upstream answers since 09:40"}),
        "westbrook": (1, {}),
    }
    for number, (name, (applied, health)) in enumerate(told.items(), 1):
        box = boxes.enrol(boxes.invite(keeper, name, ("pupils", "staff")), f"{number:064x}")
        boxes.seen(box, f"policy of {name}", applied, health)
        if name == "eastgate":
            boxes.seen(box, "a newer policy", applied, health)
    boxes.revoke(keeper, "westbrook")
    boxes.invite(keeper, "old-mill", ("guests",))


def _watch(school: School) -> None:
    """Fill a week with what devices did: much that is allowed, some blocks, a few who try to get round the filter."""
    now, log = school.clock.at, school.service.log
    for day in reversed(range(6)):
        for hour in reversed(range(8)):
            at = (now - timedelta(days=day, hours=hour)).timestamp()
            if at > now.timestamp():
                continue
            busy = 40 + 13 * ((day * 5 + hour * 3) % 11)
            batch: list[Event] = [
                Visit(at, "dns", name, "", "", "allow", "otherwise", "", "", "", busy * 7)
                for name in ("pupils", "staff")
            ]
            batch += [
                Visit(at, "dns", "pupils", f"10.20.0.{n}", f"www.{service}.com", "block", "rule", "policy.yaml:20",
                      service, category, 1 + busy % 5)
                for n, (service, category) in enumerate(_BLOCKED[: 1 + (hour + day) % 4])
            ]  # fmt: skip
            batch += [
                Sighting(at + 7 * n, "dns", "", f"10.20.1.{n % 4}", "dns.google", technique)
                for n, technique in enumerate(_TRIED[: (day * hour) % 5])
            ]
            batch += [
                Sighting(at, "dns", "", "10.20.0.77", "wpad", name)
                for name in ("wpad", "private_relay", "ddr")
            ]
            log.take(batch)
            log.flush()
    burst = ("vpn", "tor", "doh", "web_proxy", "dns_tunnel")
    log.take(
        [Sighting(now.timestamp() - 60, "proxy", "", "10.20.4.9", "nordvpn.com", name) for name in burst]
    )
    log.take(
        [Sighting(now.timestamp() - 30, "proxy", "", "10.10.0.9", "example.org", name) for name in burst]
    )
    log.take([Fault(now.timestamp(), "dns", "upstream", "TimeoutError", 3)])
    for number in range(5):
        log.take(list(record.pieces(_probe(number, now))))
    log.flush()


def _probe(number: int, now: datetime) -> record.ProbeRun:
    """Make the record of a night: green, the newest but one with two broken promises; guests are out of reach."""
    at = now - timedelta(days=number, hours=7)
    names = tuple(f"site-{n}.example" for n in range(180))
    broken = (
        record.Finding("nordvpn.com", record.Result.BROKEN, "blocked (vpn)", "203.0.113.7"),
        record.Finding("www.samaritans.org", record.Result.BROKEN, "open", "NOERROR, blocked"),
    )
    away = record.Finding("everything", record.Result.UNREACHED, "", "this box has no address in it")
    packets = tuple(
        record.Finding(
            what, record.Result.UNREACHED, "refused", "the box's own packets do not pass its firewall"
        )
        for what in ("DNS over TLS", "QUIC")
    )
    groups = (
        record.Group("pupils", record.Kind.CANARY, "dns", ("filter-check.schoolgate.internal",)),
        record.Group("pupils", record.Kind.SERVICES, "dns", names),
        record.Group("pupils", record.Kind.CIRCUMVENTION, "proxy", names[:30], broken if number == 1 else ()),
        record.Group("pupils", record.Kind.CIRCUMVENTION, "firewall", (), packets),
        record.Group(
            "staff",
            record.Kind.SERVICES,
            "dns",
            names,
            (record.Finding("slow.example", record.Result.UNKNOWN, "open", "SERVFAIL"),),
        ),
        record.Group("guests", record.Kind.CANARY, "dns", (), (away,)),
    )
    who = "sam as root" if number == 1 else "timer"
    return record.ProbeRun(
        f"{number:032x}", at, at + timedelta(seconds=21), who, "filter", "box", "0123456789ab", groups, record.outcome_of(groups)
    )  # fmt: skip


_BLOCKED = (
    ("instagram", "social-network"), ("youtube", "video"), ("facebook", "social-network"), ("twitter", "social-network"),
)  # fmt: skip
_TRIED = ("vpn", "doh", "web_proxy", "tor", "fronting")
