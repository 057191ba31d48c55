"""Pages of figures alone: how requests are answered, and how the parts of the filter are."""

from collections.abc import Iterator
from datetime import UTC, datetime

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.sampling import Sample
from schoolgate_exceptions.web.asked_figures import PERIODS as ASKED_PERIODS
from schoolgate_exceptions.web.asked_figures import AskedFigures
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.figures import PERIODS, Figure, Window, window
from schoolgate_exceptions.web.health_figures import HealthFigures, megabytes
from schoolgate_exceptions.web.home import READS_ASKED, READS_CHECKS
from schoolgate_exceptions.web.visit import Visit

ASKED_READERS = READS_ASKED
HEALTH_READERS = READS_CHECKS


def asked(counter: Counter, visit: Visit) -> Page:
    """Show how many asked, how they were answered, who waits now, and how long it takes."""
    seen, overview = window(counter, visit, ASKED_PERIODS, usual=30), counter.service.overviews.now()
    draw = AskedFigures(counter, visit, seen)
    figures = [
        draw.waiting(), draw.asked(), draw.decided(), draw.outcomes(), draw.took(), draw.queue(), draw.oldest(),
    ]  # fmt: skip
    return counter.page(
        visit,
        "office/asked.html.j2",
        figures=figures,
        seen=seen,
        periods=ASKED_PERIODS,
        waiting=sum(overview.waiting.values()),
        oldest=overview.oldest.created_at if overview.oldest else None,
        unwritten=len(overview.with_problems),
        letters=overview.letters_waiting,
    )


def health(counter: Counter, visit: Visit) -> Page:
    """Show how the parts and the machine are and were."""
    seen, latest = window(counter, visit, usual=1), counter.service.sampling.latest()
    return counter.page(
        visit,
        "office/health.html.j2",
        facts=[*_parts_now(counter, visit), *(_told(latest, visit) if latest else ())],
        sections=list(_sections(counter, visit, seen)),
        sampled=latest.at if latest else None,
        seen=seen,
        periods=PERIODS,
    )


def _sections(counter: Counter, visit: Visit, seen: Window) -> Iterator[tuple[str, list[Figure]]]:
    """Yield headings, each with its figures."""
    draw, t = HealthFigures(counter, visit, seen), visit.t
    yield t("health.parts"), [draw.states("up", "up"), draw.checks(), draw.counts("reloads", "reloads")]
    yield t("health.dns"), [
        draw.counts("queries", "queries"), draw.cache(), draw.answer_times(), draw.states("upstreams", "upstreams"),
        draw.counts("exchanges", "exchanges"), draw.ranks("dns-refused", "dns_refused"),
    ]  # fmt: skip
    yield t("health.proxy"), [
        draw.counts("connections", "connections"), draw.levels("open", "open", "{:,.0f}".format),
        draw.ranks("turned-away", "turned_away"), draw.levels("old", "old", "{:,.0f}".format),
        draw.ranks("site-failures", "site_failures"), draw.ranks("ech", "ech"), draw.ranks("pinned", "pinned"),
        draw.ranks("no-certificate", "no_certificate"),
    ]  # fmt: skip
    yield t("health.portal"), [
        draw.ranks("pages", "pages"), draw.counts("errors", "errors"), draw.ranks("jobs-failed", "jobs_failed"),
    ]  # fmt: skip
    yield t("health.machine"), [
        draw.faults(), draw.ranks("lost", "lost"), draw.counts("recorded", "recorded", apart=True), draw.processors(),
        draw.levels("memory", "memory", megabytes, of=1_000_000), draw.room(),
        draw.levels("clock", "clock", "{:,.0f} ms".format, only="error", of=0.001),
    ]  # fmt: skip


def _parts_now(counter: Counter, visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield what is known without samples: parts and firewall as they say, and the newest check."""
    t, box, check = visit.t, counter.service.conditions.box(), counter.service.probes.latest()
    broken = [t.of("home.part-", one.name) for one in box.parts if one.problem]
    if box.told and box.parts:
        yield t("health.now-parts"), ", ".join(broken) if broken else t("health.all-ready")
    else:
        yield t("health.now-parts"), t("health.not-told")
    if box.firewall is not None:
        yield t("home.part-firewall"), t("home.loaded") if box.firewall.loaded else t("home.answers-not")
    yield t("health.now-check"), t.when(check.ended_at) if check else t("health.never")


def _told(sample: Sample, visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield what the newest sample tells."""
    t, yes_no = visit.t, {True: visit.t("health.yes"), False: visit.t("health.no")}
    policy, clock, room = sample.of("policy"), sample.of("clock"), sample.of("room")
    if "current" in policy:
        yield t("health.now-policy"), yes_no[policy["current"] == 1]
    if "versions" in policy:
        yield t("health.now-versions"), f"{policy['versions']:,.0f}"
    for part, at in sample.of("started").items():
        yield t("health.now-since", part=t.of("home.part-", part)), t.when(datetime.fromtimestamp(at, UTC))
    if "synchronised" in clock:
        yield t("health.now-clock"), yes_no[clock["synchronised"] == 1]
    if room.get("size"):
        yield t("health.now-room"), f"{room['free'] / room['size']:.0%}"
    for name, at in sample.of("certificates").items():
        yield t(f"health.certificate-{name}"), t.day(datetime.fromtimestamp(at, UTC))
    for behind in sample.of("zones").values():
        yield t("health.now-zones"), f"{behind:,.0f}"
