"""The front page, the officer's home, and what else there is."""

from datetime import timedelta

from schoolgate_exceptions.papers.annex import READS_HEALTH
from schoolgate_exceptions.papers.desk import READS_EVIDENCE
from schoolgate_exceptions.papers.reports import READERS as READS_REPORTS
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.queue import KEEPERS, READERS
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.watch.devices import SEES_PUPILS
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.troubles import troubles
from schoolgate_exceptions.web.visit import Visit

READS_CHECKS = READS_HEALTH
READS_ACTIVITY = (*SEES_PUPILS, Role.GOVERNOR, Role.TECHNICIAN, Role.DPO)
READS_ASKED = (*READERS, Role.GOVERNOR)
_AUDITORS = (Role.OFFICER, Role.HEAD, Role.DPO, Role.GOVERNOR, Role.TECHNICIAN)
_REGISTRARS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL, Role.DPO, Role.GOVERNOR)
_KEEPERS = (Role.OFFICER, Role.HEAD, Role.TECHNICIAN)
MORE: tuple[tuple[str, tuple[Role, ...]], ...] = (  # what they are called and about is `more.` in the texts
    ("/my-requests", ()),
    ("/official", ()),
    ("/services", ()),
    ("/lists", ()),
    ("/lessons/caps", (Role.OFFICER,)),
    ("/register", _REGISTRARS),
    ("/asked", READS_ASKED),
    ("/activity", READS_ACTIVITY),
    ("/checks", READS_CHECKS),
    ("/health", READS_CHECKS),
    ("/attempts", SEES_PUPILS),
    ("/papers/report", READS_REPORTS),
    ("/papers/evidence", READS_EVIDENCE),
    ("/papers/limits", ()),
    ("/papers/data-protection", READS_EVIDENCE),
    ("/sanctions/pause", (Role.TEACHER, Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)),
    ("/sanctions", (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)),
    ("/states", (Role.OFFICER, Role.HEAD, Role.DEPUTY)),
    ("/holds", KEEPERS),
    ("/boxes", (*_KEEPERS, Role.GOVERNOR)),
    ("/people", (*_KEEPERS, Role.GOVERNOR)),
    ("/audit", _AUDITORS),
)


def front(counter: Counter, visit: Visit) -> Page:
    """Show the front page to everybody; that the filter works is said only where every part has just said so."""
    return counter.page(visit, "front.html.j2", queue=True, works=counter.service.conditions.box().well)


def home(counter: Counter, visit: Visit) -> Page:
    """Show what is known of whether it works, what is open, what changes next, and what waits."""
    overview = counter.service.overviews.now()
    condition = counter.service.conditions.now()
    soon = counter.service.ending.ending_soon(timedelta(days=7)) if visit.has(*READERS) else []
    return counter.page(
        visit,
        "office/home.html.j2",
        overview=overview,
        parts=condition.box,
        troubles=troubles(condition, overview.with_problems, visit.t),
        soon=soon,
        waiting=sum(overview.waiting.values()),
        reads=visit.has(*READERS),
        may_read=lambda path: visit.has(*_readers(path)) if _readers(path) else True,
    )


def _readers(path: str) -> tuple[Role, ...]:
    """Return who may read what a trouble leads to; nobody named: everybody who is signed in."""
    return {"checks": READS_CHECKS, "health": READS_CHECKS, "queue": READERS}.get(path.split("/")[1], ())


def more(counter: Counter, visit: Visit) -> Page:
    """Show the less usual pages."""
    shown = [href for href, roles in MORE if not roles or visit.has(*roles)]
    return counter.page(visit, "office/more.html.j2", shown=shown)
