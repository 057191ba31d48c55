"""How much a request could open, the narrowest first, and for whom and how long by default. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from schoolgate_exceptions.kinds import Breadth, Kind, Purpose
from schoolgate_exceptions.model import AccessRequest, Grant, Scope
from schoolgate_policy.decision import Verdict
from schoolgate_policy.model import Inspection, Policy, Service
from schoolgate_policy.names import as_ip
from schoolgate_policy.suffix import is_public_suffix, registrable_domain

# What stands in policy.yaml as the reason unless the officer writes a better one: never the requester's own words.
REASONS: Mapping[Purpose, str] = {
    Purpose.LESSON: "For a lesson",
    Purpose.HOMEWORK: "For homework",
    Purpose.CLUB: "For a club",
    Purpose.WORK: "For work at school",
    Purpose.OFFICIAL: "For the school's own pages",
    Purpose.OTHER: "Asked for and agreed",
}
_BLOCK_REASON = "Reported as not suitable for school"
_USUAL = timedelta(days=7)


def choices(request: AccessRequest, policy: Policy) -> tuple[Scope, ...]:
    """Return what a request could open, the narrowest first."""
    host, found = request.host, []
    network = policy.networks.get(request.requester.network)
    if request.path.strip("/") and network is not None and network.inspection is not Inspection.NAMES:
        target = host + request.path.rstrip("/")
        found.append(Scope(Breadth.PAGE, target, f"the page {target} and what lies below it"))
    found.append(Scope(Breadth.HOST, host, f"{host} and all names below it"))
    if as_ip(host) is None:
        site = registrable_domain(host)
        if site != host and not is_public_suffix(site):
            found.append(Scope(Breadth.SITE, site, f"the whole site {site} with all names below it"))
    service = policy.catalogue.services.get(request.service)
    if service is not None:
        found.append(Scope(Breadth.SERVICE, service.id, _covers(service)))
    return tuple(found)


def suggestion(request: AccessRequest, policy: Policy, now: datetime) -> Grant:
    """Return the narrowest grant that would do: the first choice, the device or network that asked, a short time."""
    whom = request.requester.devices[:1] or (request.requester.network,)
    limit = policy.limits.longest_exception
    until = request.wanted_until or _usual_end(request, policy, now)
    if limit is not None:
        until = min(until, now + limit)
    blocks = request.kind in {Kind.BLOCK, Kind.REPORT}
    return Grant(
        targets=(choices(request, policy)[0].target,),
        whom=() if blocks else whom,
        until=until,
        reason=_BLOCK_REASON if blocks else REASONS.get(request.purpose, REASONS[Purpose.OTHER]),
        verdict=Verdict.BLOCK if blocks else Verdict.ALLOW,
    )


def _usual_end(request: AccessRequest, policy: Policy, now: datetime) -> datetime:
    """Return the end of the day a week from now; for official use of the day it says, a block as long as may be."""
    zone = policy.calendar.zone
    if request.official is not None:
        day = request.official.ends
    elif request.kind in {Kind.BLOCK, Kind.REPORT}:
        day = (now + (policy.limits.longest_exception or 4 * _USUAL)).astimezone(zone).date()
        day -= timedelta(days=1)  # the end of the day is later than the instant
    else:
        day = (now + _USUAL).astimezone(zone).date()
    after = day + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=zone)


def _covers(service: Service) -> str:
    shown = ", ".join(service.domains[:6])
    more = len(service.domains) - 6
    return f"all of {service.title}: {shown}" + (f" and {more} more" if more > 0 else "")
