"""Figures about requests over time: asked, decided, waiting, and how long it took. They name nobody, and no site."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from statistics import median

from schoolgate_exceptions.courses import Course, Outcome
from schoolgate_exceptions.queue import school_days
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.figures import Figure, Figures, Window
from schoolgate_exceptions.web.pictures import Row, bars, colour_of, columns
from schoolgate_exceptions.web.stretches import MOST_DAYS, Stretch, stretches
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.workflow import State

PERIODS = (7, 30, 90, 365)
_TURNS = {State.SUBMITTED: "officer", State.UNDER_REVIEW: "officer", State.RECOMMENDED: "head"}
_WAITED = ((0, "today"), (1, "one"), (3, "three"), (7, "week"))  # school days at most


class AskedFigures(Figures):
    """Draws what became of requests."""

    _page = "asked"

    def __init__(self, counter: Counter, visit: Visit, seen: Window) -> None:
        super().__init__(counter, visit, seen)
        self._now = counter.service.office.now()
        self._courses = self._evidence.courses(seen.since, seen.until)
        self._stretches = stretches(seen, self._policy)
        self._by = "day" if seen.days <= MOST_DAYS else "week"

    def asked(self) -> Figure:
        """Draw when requests were made, and of which kind."""
        kinds = Tally((self._stretch(one.asked_at), str(one.kind)) for one in self._courses)
        names = {kind: self._t.of("kind.", kind) for kind in sorted({kind for _, kind in kinds})}
        return self._time("asked", names, lambda n, kind: kinds[n, kind])

    def decided(self) -> Figure:
        """Draw when requests ceased to wait, and how."""
        found = Tally((self._stretch(one.ended_at), one.outcome) for one in self._courses)
        names = {str(one): self._t(f"asked.was-{one}") for one in Outcome}
        return self._time("decided", names, lambda n, outcome: found[n, Outcome(outcome)])

    def outcomes(self) -> Figure:
        """Draw how requests were answered in all; the table says how long that took."""
        taken = {outcome: self._ended(outcome) for outcome in Outcome}
        rows = [(self._t(f"asked.was-{one}"), found) for one, found in taken.items() if found]
        picture = bars(self._t("asked.outcomes"), [Row(name, (len(found),)) for name, found in rows])
        table = [
            (name, str(len(found)), self._span(_middle(found)), self._span(max(found)))
            for name, found in rows
        ]
        return self._figure("outcomes", picture, ("outcome", "all", "median", "longest"), table)

    def took(self) -> Figure:
        """Draw how long decisions took: the one in the middle, and the longest."""
        rows, table = [], []
        for number, one in enumerate(self._stretches):
            found = [
                course.took
                for course in self._courses
                if course.took is not None and self._stretch(course.ended_at) == number
            ]
            middle, longest = _middle(found), max(found, default=timedelta())
            rows.append(Row(one.mark, (_minutes(middle), _minutes(longest))))
            if found:
                table.append((one.name, str(len(found)), self._span(middle), self._span(longest)))
        names = {name: self._t(f"asked.h-{name}") for name in ("median", "longest")}
        return self._drawn(
            "took", rows, (self._by, "decided", *names), table, names, write=self._written, beside=True
        )

    def waiting(self) -> Figure:
        """Draw how long those that wait now have waited, in school days, and whose turn it is."""
        found: Tally[tuple[str, str]] = Tally()
        for one in self._courses:
            state = one.waiting_at(self._now + timedelta(microseconds=1))
            if state is not None:
                found[_waited(school_days(self._policy, one.asked_at, self._now)), _TURNS[state]] += 1
        steps = [*(name for _, name in _WAITED), "longer"]
        rows = [
            Row(self._t(f"asked.waited-{step}"), (found[step, "officer"], found[step, "head"]))
            for step in steps
        ]
        table = [(row.label, *(str(value) for value in row.values), str(row.total)) for row in rows]
        return self._figure(
            "waiting",
            bars(self._t("asked.waiting"), rows),
            ("waited", "officer", "head", "all"),
            table if found else [],
            series=self._legend(self._turns()),
        )

    def queue(self) -> Figure:
        """Draw how many waited at the end of each day, and whose turn it was."""
        waiting = [self._standing(one) for one in self._stretches]
        return self._time("queue", self._turns(), lambda n, turn: sum(t == turn for _, t in waiting[n]))

    def oldest(self) -> Figure:
        """Draw how long the oldest had waited at the end of each day."""
        rows, table = [], []
        for one in self._stretches:
            end, waiting = min(one.until, self._now), self._standing(one)
            first = min((course.asked_at for course, _ in waiting), default=end)
            rows.append(Row(one.mark, (_minutes(end - first),)))
            days = school_days(self._policy, first, end - timedelta(microseconds=1))
            if waiting:
                table.append((one.name, str(len(waiting)), self._span(end - first), str(days)))
        head = (self._by, "waited-for", "oldest", "school-days")
        return self._drawn("oldest", rows, head, table, {}, write=self._written)

    def _standing(self, stretch: Stretch) -> list[tuple[Course, str]]:
        """Return what waited at the end of a stretch, or waits now, and whose turn it was."""
        if stretch.since > self._now:
            return []
        end = min(stretch.until, self._now + timedelta(microseconds=1))
        return [(one, _TURNS[state]) for one in self._courses if (state := one.waiting_at(end)) is not None]

    def _time(self, question: str, names: dict[str, str], count: Callable[[int, str], int]) -> Figure:
        """Draw counts of each name over time; what never was is left out."""
        every = range(len(self._stretches))
        used = {name: title for name, title in names.items() if any(count(n, name) for n in every)}
        rows = [
            Row(one.mark, tuple(count(n, name) for name in used)) for n, one in enumerate(self._stretches)
        ]
        table = [
            (one.name, *(str(value) for value in row.values), str(row.total))
            for one, row in zip(self._stretches, rows, strict=True)
        ]
        return self._drawn(question, rows, (self._by, *used.values(), "all"), table if used else [], used)

    def _drawn(
        self,
        question: str,
        rows: Sequence[Row],
        head: tuple[str, ...],
        table: Sequence[tuple[str, ...]],
        names: dict[str, str],
        *,
        beside: bool = False,
        write: Callable[[int], str] = "{:,}".format,
    ) -> Figure:
        closed = [number for number, one in enumerate(self._stretches) if one.closed]
        picture = columns(
            self._t(f"asked.{question}"), rows, beside=beside, shaded=closed if table else (), write=write
        )
        note = self._t("asked.closed") if closed and table else ""
        return self._figure(question, picture, head, table, series=self._legend(names), note=note)

    def _legend(self, names: dict[str, str]) -> tuple[tuple[str, str], ...]:
        return tuple((title, colour_of(number)) for number, title in enumerate(names.values()))

    def _turns(self) -> dict[str, str]:
        return {turn: self._t(f"asked.h-{turn}") for turn in ("officer", "head")}

    def _stretch(self, at: datetime | None) -> int | None:
        """Return the number of the stretch in which an instant lies; None outside of all."""
        if at is None:
            return None
        return next((n for n, one in enumerate(self._stretches) if one.since <= at < one.until), None)

    def _ended(self, outcome: Outcome) -> list[timedelta]:
        return [
            one.ended_at - one.asked_at
            for one in self._courses
            if one.outcome is outcome and one.ended_at and self._stretch(one.ended_at) is not None
        ]

    def _written(self, minutes: int) -> str:
        return self._span(timedelta(minutes=minutes))

    def _span(self, span: timedelta) -> str:
        """Say how long something took: `3 d 4 h`."""
        hours, minutes = divmod(_minutes(span), 60)
        if hours >= 48:
            return self._t("asked.days", days=hours // 24, hours=hours % 24)
        if hours:
            return self._t("asked.hours", hours=hours, minutes=minutes)
        return self._t("asked.minutes", minutes=minutes)


def _waited(days: int) -> str:
    return next((name for most, name in _WAITED if days <= most), "longer")


def _middle(spans: Sequence[timedelta]) -> timedelta:
    return timedelta(seconds=median(one.total_seconds() for one in spans)) if spans else timedelta()


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
