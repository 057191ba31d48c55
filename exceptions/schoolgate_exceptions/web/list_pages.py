"""The block lists: what each holds, how old it is, where it comes from, what is wrong; never what stands in one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.web.words import Words
from schoolgate_policy.lists.spec import Counts, ListStatus, Standing

_TONES = {
    Standing.IN_USE: "good",
    Standing.KEPT: "warn",
    Standing.NOT_FETCHED: "bad",
    Standing.NOT_SUPPLIED: "bad",
}
_MISSED = 3  # refreshes without news of the publisher, before it is told


@dataclass(frozen=True, slots=True)
class Shown:
    """A list as it is shown; `problems` are sentences."""

    status: ListStatus
    tone: str
    source: str
    refresh: str
    problems: tuple[str, ...]


def lists(counter: Counter, visit: Visit) -> Page:
    """Show every list of the policy, the locked ones too."""
    now = visit.t.now
    shown = [_shown(one, now, visit.t) for one in counter.policy.list_status]
    return counter.page(visit, "office/lists.html.j2", shown=shown)


def _shown(status: ListStatus, now: datetime, t: Words) -> Shown:
    spec = status.spec
    source = spec.file or (urlsplit(spec.url).hostname if spec.url else "") or ""  # the rest may hold a key
    refresh = _every(spec.refresh, t) if spec.url else ""
    return Shown(status, _TONES[status.standing], source, refresh, tuple(_problems(status, now, t)))


def _every(span: timedelta, t: Words) -> str:
    hours = round(span.total_seconds() / 3600)
    return t("lists.every-days", count=span.days) if hours % 24 == 0 else t("lists.every-hours", count=hours)


def _problems(status: ListStatus, now: datetime, t: Words) -> Iterator[str]:
    spec = status.spec
    if status.standing is Standing.NOT_SUPPLIED:
        yield t("lists.not-supplied-do")
    elif status.standing is Standing.NOT_FETCHED:
        yield t("lists.not-fetched-do")
    if status.refused:
        yield t("lists.refused", why=status.refused)
    if spec.url and status.dated is not None and now - status.dated > _MISSED * spec.refresh:
        yield t("lists.old")
    unused = ", ".join(_unused(status.counts, t)) if status.counts else ""
    if unused:
        yield t("lists.unused", what=unused)


def _unused(counts: Counts, t: Words) -> Iterator[str]:
    if counts.too_wide:
        yield t("lists.too-wide", count=counts.too_wide)
    if counts.unreadable:
        yield t("lists.unreadable", count=counts.unreadable, line=counts.first_unreadable)
    if counts.exceptions:
        yield t("lists.exceptions", count=counts.exceptions)
    if counts.unused:
        yield t("lists.more-than-names", count=counts.unused)
