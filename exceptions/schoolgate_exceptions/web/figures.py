"""Figures: a question, a picture that answers it, and the numbers as a table. Made from the evidence, for two pages."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from markupsafe import Markup

from schoolgate_exceptions.evidence import Count, Evidence
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.pictures import Row, bars, clock, colour_of, columns
from schoolgate_exceptions.web.visit import Visit
from schoolgate_policy.technique_table import about

PERIODS = (1, 7, 30)
_MOST_ROWS = 14
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Figure:
    """What a page shows: `series` are (name, colour) where a picture has several; `note` stands below it.

    `keys` say for each row of the table what more can be seen of, where there is more.
    """

    question: str
    picture: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    series: tuple[tuple[str, str], ...] = ()
    note: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """The time a page looks at: whole days of the school, `[since, until)`."""

    days: int
    since: datetime
    until: datetime
    labels: tuple[str, ...]  # of the days, as `Evidence` has them


def window(counter: Counter, visit: Visit, periods: tuple[int, ...] = PERIODS, usual: int = 7) -> Window:
    """Return the time that was asked for, in days up to today: one of `periods`, or the usual one."""
    wanted = visit.query.one("days")
    days = int(wanted) if wanted.isdecimal() and int(wanted) in periods else usual
    office = counter.service.office
    last = office.today()
    first = last - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=office.zone)
    after = last + timedelta(days=1)
    until = datetime(after.year, after.month, after.day, tzinfo=office.zone)
    labels = tuple((first + timedelta(days=number)).isoformat() for number in range(days))
    return Window(days, since, until, labels)


class Figures:
    """Draws the figures of one page in one language; `_page` is where its questions stand in the texts."""

    _page = "figures"

    def __init__(self, counter: Counter, visit: Visit, seen: Window, network: str = "") -> None:
        self._evidence: Evidence = counter.service.evidence
        self._policy = counter.policy
        self._t = visit.t
        self._seen = seen
        self._only = {"network": network} if network else {}

    def techniques_by_time(self) -> Figure:
        """Draw which ways were tried, at which times of the day."""
        rows: dict[str, dict[int, int]] = {}
        for count in self._attempts("technique", "hour"):
            technique, hour = count.key
            if _counts(technique):
                rows.setdefault(technique, {})[int(hour)] = count.count
        name, bands = self._timetable()
        ways = {self.title(one): hours for one, hours in list(rows.items())[:_MOST_ROWS]}
        table = [
            (
                self.title(one),
                *(str(sum(hours.get(h, 0) for h in part)) for part in _PARTS),
                str(sum(hours.values())),
            )
            for one, hours in rows.items()
        ]
        head = ("technique", "before", "morning", "afternoon", "after", "all")
        note = self._t("figures.shaded", name=name) if name else ""
        figure = self._figure("times", clock(self._t("figures.times"), ways, bands), head, table, note=note)
        return replace(figure, keys=tuple(rows))

    def timeline(self, technique: str) -> Figure:
        """Draw on which days one way was tried, on which networks."""
        counts = [one for one in self._attempts("day", "network", "technique") if one.key[2] == technique]
        figure = self._by_day("days", counts, attempts=False)
        return replace(figure, question=self._t("figures.timeline", name=self.title(technique)))

    def attempts_by_day(self) -> Figure:
        """Draw on which days, on which networks."""
        return self._by_day("days", self._attempts("day", "network", "technique"), attempts=True)

    def attempts_by_network(self) -> Figure:
        """Draw on which networks."""
        totals: dict[str, int] = defaultdict(int)
        for count in self._attempts("network", "technique"):
            totals[count.key[0]] += count.count * _counts(count.key[1])
        return self._bars("networks", "network", {name: n for name, n in totals.items() if n})

    def background(self) -> Figure:
        """Draw what devices send by themselves."""
        counts = self._attempts("technique")
        return self._bars(
            "background",
            "technique",
            {self.title(one.key[0]): one.count for one in counts if not _counts(one.key[0])},
        )

    def verdicts_by_day(self) -> Figure:
        """Draw how much was blocked on each day, beside what was let through."""
        totals = {one.key: one.count for one in self._visits("day", "verdict")}
        days = [
            (day, totals.get((day, "allow"), 0), totals.get((day, "block"), 0)) for day in self._seen.labels
        ]
        table = [
            (day, f"{allowed:,}", f"{blocked:,}", f"{blocked / (allowed + blocked or 1):.1%}")
            for day, allowed, blocked in days
        ]
        picture = columns(self._t("figures.verdicts"), [Row(day[8:], (blocked,)) for day, _, blocked in days])
        head = ("day", self._t("figures.allowed"), self._t("figures.blocked"), "share")
        return self._figure("verdicts", picture, head, table if totals else [])

    def blocks_by_category(self) -> Figure:
        """Draw what kinds of sites were blocked."""
        return self._bars(
            "categories", "category", self._named(self._visits("category", verdict="block"), self._category)
        )

    def blocks_by_service(self) -> Figure:
        """Draw which services were blocked most."""
        return self._bars(
            "services", "service", self._named(self._visits("service", verdict="block"), self._service)
        )

    def blocks_by_network(self) -> Figure:
        """Draw where it was blocked."""
        return self._bars("where", "network", self._named(self._visits("network", verdict="block"), str))

    def blocks_by_hour(self) -> Figure:
        """Draw at which times of the day it was blocked."""
        hours = {int(one.key[0]): one.count for one in self._visits("hour", verdict="block")}
        name, bands = self._timetable()
        row = {self._t("figures.blocked"): hours} if hours else {}
        table = [(f"{hour:02}:00", f"{count:,}") for hour, count in sorted(hours.items())]
        note = self._t("figures.shaded", name=name) if name else ""
        picture = clock(self._t("figures.hours"), row, bands)
        return self._figure("hours", picture, ("hour", "all"), table, note=note)

    def reasons(self) -> Figure:
        """Draw why it was blocked."""
        words = self._named(
            self._visits("reason", verdict="block"), lambda one: self._t.of("reason.", one.replace("_", " "))
        )
        return self._bars("reasons", "reason", words)

    def blocks_by_point(self) -> Figure:
        """Draw whether it was blocked at the name or at the connection."""
        words = self._named(self._visits("point", verdict="block"), lambda one: self._t.of("home.part-", one))
        return self._bars("points", "area", words)

    def allowed(self) -> Figure:
        """Draw why it was let through."""
        words = self._named(self._visits("reason", verdict="allow"), lambda one: one.replace("_", " "))
        return self._bars("let-through", "reason", words)

    def waiting(self) -> Figure:
        """Draw how long people waited for an answer."""
        facts = self._evidence.requests(self._seen.since, self._seen.until)
        return self._spans("waiting", [fact.took for fact in facts], "figures.undecided")

    def faults(self) -> Figure:
        """Draw where we failed."""
        found = self._evidence.faults(self._seen.since, self._seen.until)
        return self._bars("faults", "area", {one.key[0].replace("_", " "): one.count for one in found})

    def alerts(self) -> Figure:
        """Draw how long alerts waited until somebody acknowledged them."""
        waits = self._evidence.alert_waits(self._seen.since, self._seen.until, **self._only)
        return self._spans("alerts", waits, "figures.unseen")

    def title(self, technique: str) -> str:
        """Return what people call a technique, in the language of the page."""
        known = about(technique)
        return known.title.get(self._t.language, known.title["en"]) if known else technique

    def _attempts(self, *by: str) -> list[Count]:
        return self._evidence.attempts(self._seen.since, self._seen.until, by, **self._only)

    def _spans(self, question: str, spans: Sequence[timedelta | None], unended: str) -> Figure:
        """Draw how many took how long; None has not ended, and is called `unended`."""
        steps = ((1, "figures.hour-1"), (24, "figures.hour-24"), (72, "figures.hour-72"))
        totals = {self._t(key): 0 for key in (*(key for _, key in steps), "figures.longer", unended)}
        for took in spans:
            if took is None:
                key = unended
            else:
                key = next((key for most, key in steps if took <= timedelta(hours=most)), "figures.longer")
            totals[self._t(key)] += 1
        return self._bars(question, "took", totals if spans else {}, keep=True)

    def _visits(self, *by: str, **only: str) -> list[Count]:
        return self._evidence.visits(self._seen.since, self._seen.until, by, **self._only, **only)

    def _by_day(self, question: str, counts: list[Count], *, attempts: bool) -> Figure:
        found = [Count(one.key[:2], one.count) for one in counts if not attempts or _counts(one.key[2])]
        names = {name: name for name in sorted({one.key[1] for one in found})}
        return self._stacked(question, found, self._seen.labels, "day", names)

    def _stacked(
        self, question: str, counts: list[Count], labels: tuple[str, ...], head: str, names: dict[str, str]
    ) -> Figure:
        totals: dict[tuple[str, ...], int] = defaultdict(int)
        for one in counts:
            totals[one.key] += one.count
        rows = [Row(label[8:], tuple(totals[label, name] for name in names)) for label in labels]
        table = [(label, *(f"{totals[label, name]:,}" for name in names)) for label in labels]
        series = tuple((title, colour_of(number)) for number, title in enumerate(names.values()))
        about = self._t(f"{self._page}.{question}")
        found = any(row.total for row in rows)
        return self._figure(
            question, columns(about, rows), (head, *names.values()), table if found else [], series=series
        )

    def _bars(self, question: str, head: str, totals: dict[str, int], *, keep: bool = False) -> Figure:
        """Draw a bar for each name, the longest first unless the order means something."""
        every = list(totals.items()) if keep else sorted(totals.items(), key=lambda item: -item[1])
        picture = bars(
            self._t(f"{self._page}.{question}"), [Row(name, (n,)) for name, n in every[:_MOST_ROWS]]
        )
        return self._figure(question, picture, (head, "all"), [(name, f"{n:,}") for name, n in every])

    def _figure(
        self,
        question: str,
        picture: Markup,
        head: tuple[str, ...],
        table: Sequence[tuple[str, ...]],
        *,
        series: tuple[tuple[str, str], ...] = (),
        note: str = "",
    ) -> Figure:
        return Figure(
            self._t(f"{self._page}.{question}"),
            picture,
            tuple(self._head(one) for one in head),
            tuple(table),
            series,
            note,
        )

    def _head(self, name: str) -> str:
        """Return what stands above a column: the page's own words, those of all figures, or the name as it is."""
        keys = (f"{self._page}.h-{name}", f"figures.h-{name}")
        return next((self._t(key) for key in keys if self._t.has(key)), name)

    def _named(self, counts: list[Count], name: Callable[[str], str]) -> dict[str, int]:
        totals: dict[str, int] = defaultdict(int)
        for one in counts:
            totals[name(one.key[0]) or self._t("figures.other")] += one.count
        return dict(totals)

    def _category(self, name: str) -> str:
        known = self._policy.catalogue.categories.get(name)
        return known.title if known else name

    def _service(self, name: str) -> str:
        known = self._policy.catalogue.services.get(name)
        return known.title if known else name

    def _timetable(self) -> tuple[str, list[tuple[int, int]]]:
        """Return the schedule that looks most like a timetable, and its periods in minutes of the day."""
        fitting = [
            one
            for one in self._policy.schedules.values()
            if all(part.start < part.end <= _DAY_MINUTES for part in one.periods)
        ]
        best = max(fitting, key=lambda one: (one.id == "lessons", len(one.periods)), default=None)
        if best is None:
            return "", []
        return best.id, [(part.start, part.end) for part in best.periods]


_PARTS = (range(9), range(9, 12), range(12, 16), range(16, 24))


def _counts(technique: str) -> int:
    """Return 1 for what people do, 0 for what devices send by themselves."""
    known = about(technique)
    return int(known is not None and not known.is_background)
