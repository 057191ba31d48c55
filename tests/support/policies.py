"""A small catalogue and a way to make policies from a few lines."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_policy.lists.hostset import NameSet
from schoolgate_policy.lists.spec import ListContent, ListSpec, ListStatus, Standing
from schoolgate_policy.load import parse_policy
from schoolgate_policy.model import Catalogue, Category, Policy, Sanction, Service

LONDON = ZoneInfo("Europe/London")

HEAD = """\
version: 1
school: {name: Test School, timezone: Europe/London, bank_holidays: england}
networks:
  staff:  {vlan: 10, people: staff, addresses: [10.10.0.0/16, "fd00:10::/64"], inspection: needed, otherwise: allow}
  pupils: {vlan: 20, people: pupil, addresses: [10.20.0.0/16, "fd00:20::/64"], inspection: all, otherwise: allow}
  guests: {vlan: 30, people: guest, addresses: [10.30.0.0/16], inspection: names, otherwise: block}
unknown_clients: pupils
devices:
  office-pc: [10.10.0.20]
  room-5: [10.20.5.0/24]
calendar:
  terms: [{name: autumn, from: 2026-09-02, to: 2026-12-18}, {name: spring, from: 2027-01-04, to: 2027-03-25}]
  closed: [{name: half term, from: 2026-10-26, to: 2026-10-30}]
schedules:
  lessons: {days: mon-fri, at: ["08:50-10:30", "10:50-12:10", "13:10-15:15"], in: term}
  lunch: {days: mon-fri, at: ["12:10-13:10"], in: term}
  night: {days: mon-fri, at: ["22:00-06:00"]}
"""


def small_catalogue() -> Catalogue:
    """Return four services in four categories, one category below another."""
    categories = {
        name: Category(name, name, "", parent)
        for name, parent in (
            ("social-network", None),
            ("video", None),
            ("circumvention", None),
            ("doh", "circumvention"),
            ("banking", None),
        )
    }
    services = {
        service.id: service
        for service in (
            Service(
                "facebook", "Facebook", "social-network", ("facebook.com", "fbcdn.net"), ("meta.example",)
            ),
            Service(
                "instagram",
                "Instagram",
                "social-network",
                ("instagram.com",),
                ("meta.example", "lone.example"),
            ),
            Service(
                "twitter",
                "Twitter",
                "social-network",
                ("t.co", "twitter.com", "x.com"),
                frontends=("nitter.example",),
            ),
            Service("youtube", "YouTube", "video", ("youtu.be", "youtube.com")),
            Service("public-doh", "Public DoH", "doh", ("dns.google",)),
            Service("barclays", "Barclays", "banking", ("barclays.co.uk",)),
        )
    }
    return Catalogue("2026-11-21", categories, services)


CATALOGUE = small_catalogue()


def lists(spec: ListSpec) -> ListContent:
    """Stand for the reader of list files."""
    name = spec.file
    known = {"games.txt": NameSet({"games.example", "play.example"}), "iwf.txt": NameSet({"locked.example"})}
    if name not in known:
        raise FileNotFoundError(2, "No such file or directory")
    return ListContent(known[name], ListStatus(spec, Standing.IN_USE))


def policy_of(body: str, head: str = HEAD) -> Policy:
    """Build a policy from lines below the usual head; it must have no issues."""
    policy, issues = parse_policy((head + body).encode(), "policy.yaml", CATALOGUE, lists)
    assert not issues, "\n".join(map(str, issues))
    assert policy is not None
    return policy


def problems_of(text: str) -> list[str]:
    """Return the issues of a policy text, one line each."""
    policy, issues = parse_policy(text.encode(), "policy.yaml", CATALOGUE, lists)
    assert (policy is None) == bool(issues)
    return [str(issue) for issue in issues]


def local(text: str) -> datetime:
    """Read a wall-clock instant in London."""
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(UTC)


def judge(
    body: str,
    host: str,
    at: str = "2026-11-23T10:15",
    address: str = "10.20.0.5",
    path: str | None = None,
    sanctions: tuple[Sanction, ...] = (),
) -> Decision:
    """Ask a policy of some lines about one attempt, both ways, which must agree."""
    engine = Engine(policy_of(body), sanctions)
    attempt = Attempt(address, host, local(at), path)
    decided, explained = engine.decide(attempt), engine.explain(attempt)
    assert decided.verdict is explained.verdict
    assert decided.reason is explained.reason
    assert explained.considered
    assert explained.considered[-1].matched
    return explained


SHIPPED = Path(__file__).parents[2] / "policy.yaml"
