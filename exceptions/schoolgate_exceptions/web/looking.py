"""Pages that only look: why something is blocked, the catalogue, the audit, one's own requests."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from urllib.parse import urlsplit

from schoolgate_exceptions.errors import AuditBroken
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.frame import raw
from schoolgate_exceptions.web.visit import Visit
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.model import Service

_MOST = 300


def explain(counter: Counter, visit: Visit) -> Page:
    """Say what would happen, and why: the same engine as everywhere."""
    query, policy = visit.query, counter.policy
    url, network, at = query.one("url").strip(), query.one("from"), query.one("at")
    network = network if network in {*policy.networks, *policy.devices} else next(iter(policy.networks))
    moment, errors = visit.t.now, {}
    if at:
        try:
            typed = datetime.fromisoformat(at)
            moment = (typed if typed.tzinfo else typed.replace(tzinfo=policy.calendar.zone)).astimezone(UTC)
        except ValueError:
            errors["at"] = "write a day and a time, such as 2026-11-23T10:15"
    decision: Decision | None = None
    opens = None
    if url and not errors:
        attempt = _attempt(counter, url, network, moment)
        if attempt is None:
            errors["url"] = "write a site or a page, such as www.example.org"
        else:
            decision = counter.service.office.engine.explain(attempt)
            opens = counter.service.office.engine.opens_at(attempt) if decision.blocked else None
    values = {
        "url": url,
        "network": network,
        "at": at,
        "decision": decision,
        "opens": opens,
        "errors": errors,
    }
    return counter.page(visit, "office/explain.html.j2", 422 if errors else 200, **values)


def services(counter: Counter, visit: Visit) -> Page:
    """Show what the filter knows by name."""
    catalogue = counter.policy.catalogue
    wanted, category = visit.query.one("q").strip().casefold(), visit.query.one("category")
    found = [
        one
        for one in sorted(catalogue.services.values(), key=lambda one: one.title.casefold())
        if (not category or one.category == category) and (not wanted or _matches(one, wanted))
    ]
    return counter.page(
        visit,
        "office/services.html.j2",
        found=found[:_MOST],
        total=len(found),
        most=_MOST,
        q=visit.query.one("q"),
        category=category,
        catalogue=catalogue,
    )


def audit(counter: Counter, visit: Visit) -> Page:
    """Show the newest rows; whether the whole is unbroken only where that was asked for."""
    subject, action = visit.query.one("subject").strip(), visit.query.one("action").strip()
    book = counter.service.audit
    unreadable = False
    try:
        rows = book.of(visit.actor, subject)[::-1] if subject else book.newest(visit.actor, 200, action)
    except (KeyError, ValueError, TypeError):  # somebody changed a row so that it says nothing any more
        rows, unreadable = [], True
    verdict, broken = None, ""
    if unreadable or visit.query.has("verify"):
        try:
            verdict = book.verify()
        except AuditBroken as error:
            broken = str(error)
    return counter.page(
        visit,
        "office/audit.html.j2",
        rows=rows[:_MOST],
        subject=subject,
        action=action,
        verdict=verdict,
        broken=broken,
    )


def export(counter: Counter, visit: Visit) -> Page:
    """Hand the audit out as a file, a row a line; that is noted in it."""
    lines = [
        json.dumps(asdict(row), ensure_ascii=False, default=str)
        for row in counter.service.audit.export(visit.actor)
    ]
    name = f"audit-{counter.service.office.today()}.jsonl"
    more = ("Content-Disposition", f'attachment; filename="{name}"')
    return raw(200, "application/jsonl; charset=utf-8", ("\n".join(lines) + "\n").encode(), (more,))


def mine(counter: Counter, visit: Visit) -> Page:
    """Show the requests of whoever is signed in."""
    return counter.page(visit, "office/mine.html.j2", found=counter.service.asking.mine(visit.actor))


def _attempt(counter: Counter, url: str, network: str, at: datetime) -> Attempt | None:
    policy = counter.policy
    ranges = (policy.networks.get(network) or policy.devices[network]).addresses
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host = parts.hostname
    except ValueError:
        return None
    if not host or not ranges:
        return None
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return Attempt(str(ranges[0].network_address), host, at, path or ("/" if "://" in url else None))


def _matches(one: Service, wanted: str) -> bool:
    names = (one.id, one.title, *one.domains, *one.shared_domains)
    return any(wanted in name.casefold() for name in names)
