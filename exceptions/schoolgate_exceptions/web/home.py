"""The front page, the officer's home, and what else there is."""

from datetime import timedelta

from schoolgate_exceptions.papers.desk import READS_EVIDENCE
from schoolgate_exceptions.papers.reports import READERS as READS_REPORTS
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.queue import READERS
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.watch.devices import SEES_PUPILS
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.troubles import troubles
from schoolgate_exceptions.web.visit import Visit

READS_CHECKS = (Role.DSL, Role.HEAD, Role.DEPUTY, Role.GOVERNOR, Role.OFFICER, Role.TECHNICIAN)
READS_ACTIVITY = (*SEES_PUPILS, Role.GOVERNOR, Role.TECHNICIAN, Role.DPO)
_AUDITORS = (Role.OFFICER, Role.HEAD, Role.DPO, Role.GOVERNOR, Role.TECHNICIAN)
_REGISTRARS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL, Role.DPO, Role.GOVERNOR)
_KEEPERS = (Role.OFFICER, Role.HEAD, Role.TECHNICIAN)
MORE: tuple[tuple[str, str, str, tuple[Role, ...]], ...] = (
    ("/my-requests", "My requests", "What you have asked for, and how it stands.", ()),
    ("/official", "Ask for official use", "For the school's own accounts and pages.", ()),
    ("/services", "Services", "Every site and app that the filter knows by name.", ()),
    ("/lists", "Block lists", "Lists that others keep: how many names, how old, what is wrong.", ()),
    ("/lessons/caps", "What teachers may open", "Caps for lesson windows.", (Role.OFFICER,)),
    (
        "/register",
        "Register",
        "Official accounts of the school, and exceptions that have ended.",
        _REGISTRARS,
    ),
    ("/activity", "What the filter did", "Counts and pictures that name nobody; to print.", READS_ACTIVITY),
    (
        "/checks",
        "Checks",
        "Whether the filter does what it promises: tried each night, from each network.",
        READS_CHECKS,
    ),
    (
        "/attempts",
        "Attempts",
        "Who tried to get round the filter: ways, times, and devices by pseudonym.",
        SEES_PUPILS,
    ),
    (
        "/papers/report",
        "Report",
        "What was blocked, tried and asked for, on one page for governors and the safeguarding lead.",
        READS_REPORTS,
    ),
    (
        "/papers/evidence",
        "Standards",
        "Each point of the UKSIC and DfE standards: met, not met or not ours, with its proof.",
        READS_EVIDENCE,
    ),
    ("/papers/limits", "Limits", "What the filter cannot see, on which network.", ()),
    (
        "/papers/data-protection",
        "Data protection",
        "What is recorded, why, for how long and for whom.",
        READS_EVIDENCE,
    ),
    (
        "/sanctions/pause",
        "Let a device go for this lesson",
        "A device under supervision reaches what the class reaches, until the bell.",
        (Role.TEACHER, Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL),
    ),
    (
        "/sanctions",
        "Sanctions",
        "Devices that reach only what a closely supervised pupil may reach.",
        (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL),
    ),
    (
        "/states",
        "States",
        "Rules for a special time, such as an incident.",
        (Role.OFFICER, Role.HEAD, Role.DEPUTY),
    ),
    ("/boxes", "Boxes", "Those of other schools that this portal looks after.", (*_KEEPERS, Role.GOVERNOR)),
    ("/people", "People", "Who can sign in, and in which roles.", (*_KEEPERS, Role.GOVERNOR)),
    ("/audit", "Audit", "Who did what, and when; nothing in it can be changed.", _AUDITORS),
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
    )


def more(counter: Counter, visit: Visit) -> Page:
    """Show the less usual pages."""
    shown = [one for one in MORE if not one[3] or visit.has(*one[3])]
    return counter.page(visit, "office/more.html.j2", shown=shown)
