"""Figures about the parts of the filter and the machine, from the samples that the portal keeps. They are about nobody."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite

from schoolgate_exceptions.probe_record import Result
from schoolgate_exceptions.sampling import EVERY, GROWTHS, INTERVAL, Sample
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.figures import Figure, Figures, Window
from schoolgate_exceptions.web.pictures import Row, bands, colour_of, columns, lines
from schoolgate_exceptions.web.stretches import Stretch
from schoolgate_exceptions.web.visit import Visit

_HOURS = {1: 1, 7: 6}  # of one place of a picture, by the days that it shows; else a day
_MOST_SERIES = 5
_MILLION = 1_000_000
type _Write = Callable[[float], str]


class _Place:
    """What the samples of one place of a picture come to: levels as they were, counts together."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], list[float]] = {}
        self.grown: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.seconds = 0.0  # that the counts are of; 0: nothing was counted

    def add(self, sample: Sample) -> None:
        """Take in a sample."""
        for series, values in sample.readings.items():
            for name, value in values.items():
                if series in GROWTHS:
                    self.grown[series, name] += value
                else:
                    self.levels.setdefault((series, name), []).append(value)
        self.seconds += sample.of(INTERVAL).get("seconds", 0)

    def of(self, series: str) -> dict[str, float]:
        """Return the counts of a series by name."""
        return {name: count for (kind, name), count in self.grown.items() if kind == series}


class HealthFigures(Figures):
    """Draws how the box was."""

    _page = "health"

    def __init__(self, counter: Counter, visit: Visit, seen: Window) -> None:
        super().__init__(counter, visit, seen)
        self._stretches = hours_of(seen, counter)
        self._places = [_Place() for _ in self._stretches]
        number = 0
        for sample in counter.service.sampling.between(seen.since, seen.until):
            while sample.at >= self._stretches[number].until:
                number += 1
            self._places[number].add(sample)
        self._probes = counter.service.probes.runs(seen.since, seen.until)

    def states(self, question: str, series: str) -> Figure:
        """Draw when each of a series was well (1) and when not."""
        found = {name: self._values(series, name) for name in self._names(series)}
        shares = {
            self._called(series, name): [sum(one) / len(one) if one else None for one in places]
            for name, places in found.items()
        }
        table = [
            (
                self._called(series, name),
                f"{_share(places):.1%}",
                self._minutes(sum(value < 1 for one in places for value in one)),
            )
            for name, places in found.items()
        ]
        picture = bands(self._ask(question), [one.mark for one in self._stretches], shares)
        return self._figure(question, picture, ("what", "well", "not-well"), table)

    def counts(self, question: str, series: str, *, apart: bool = False) -> Figure:
        """Draw how much of each kind was counted, from left to right; `apart`: what has no sum that means something."""
        totals = self._totals(series)
        names = sorted([name for name, count in totals.items() if round(count)][:_MOST_SERIES])
        rows, table = [], []
        for one, place in zip(self._stretches, self._places, strict=True):
            values = tuple(round(place.grown[series, name]) for name in names)
            every = round(sum(place.grown[series, name] for name in totals))
            rows.append(Row(one.mark, values))
            if place.seconds and names:
                table.append(
                    (one.name, *(f"{value:,}" for value in values), *([] if apart else [f"{every:,}"]))
                )
        titles = [self._called(series, name) for name in names]
        picture = columns(self._ask(question), rows, beside=apart)
        head = ("when", *titles, *([] if apart else ["all"]))
        return self._figure(question, picture, head, table, series=_legend(titles))

    def ranks(self, question: str, series: str) -> Figure:
        """Draw how much of each kind was counted in all, the most first."""
        totals = {self._called(series, name): round(count) for name, count in self._totals(series).items()}
        return self._bars(question, "what", {name: count for name, count in totals.items() if count})

    def levels(
        self, question: str, series: str, write: _Write, *, only: str = "", of: float = 1, most: float = 0
    ) -> Figure:
        """Draw the greatest of each name, from left to right, each divided by `of`; `only` is one name."""
        names = [only] if only else self._names(series)[:_MOST_SERIES]
        drawn = {
            self._called(series, name): [max(one) / of if one else None for one in self._values(series, name)]
            for name in names
        }
        return self._lines(question, drawn, write, most)

    def processors(self) -> Figure:
        """Draw which share of one processor each part took."""
        drawn = {
            self._called("up", name): [
                one.grown["cpu", name] / one.seconds if one.seconds else None for one in self._places
            ]
            for name in sorted(self._totals("cpu"))[:_MOST_SERIES]
        }
        return self._lines("cpu", drawn, "{:.0%}".format, 0)

    def room(self) -> Figure:
        """Draw which share of the disk was free, at the least."""
        free = [
            min(left) / size[-1] if left and size and size[-1] else None
            for left, size in zip(self._values("room", "free"), self._values("room", "size"), strict=True)
        ]
        known = any(one is not None for one in free)
        return self._lines("room", {self._t("health.free"): free} if known else {}, "{:.0%}".format, 1)

    def cache(self) -> Figure:
        """Draw which share of questions was answered from memory."""
        shares: list[float | None] = []
        for one in self._places:
            looked = one.of("cache")
            total = sum(looked.values())
            shares.append(1 - looked.get("miss", 0) / total if total else None)
        known = any(one is not None for one in shares)
        return self._lines("cache", {self._t("health.known"): shares} if known else {}, "{:.0%}".format, 1)

    def answer_times(self) -> Figure:
        """Draw within which time half of the questions to name servers were answered, and nineteen of twenty."""
        drawn: dict[str, list[float | None]] = {}
        for share, key in ((0.5, "half"), (0.95, "most")):
            drawn[self._t(f"health.{key}")] = [_within(share, one.of("answer_times")) for one in self._places]
        known = any(one is not None for values in drawn.values() for one in values)
        return self._lines("answer-times", drawn if known else {}, self._milliseconds, 0)

    def checks(self) -> Figure:
        """Draw what each check of the filter came to, but for what was as promised."""
        runs = self._probes[::-1]
        odd = (Result.BROKEN, Result.UNKNOWN, Result.UNREACHED)
        zone = self._policy.calendar.zone
        rows = [
            Row(f"{run.started_at.astimezone(zone):%d}", tuple(run.count(one) for one in odd)) for run in runs
        ]
        table = [
            (f"{run.started_at.astimezone(zone):%Y-%m-%d %H:%M}", *(f"{run.count(one):,}" for one in (Result.KEPT, *odd)))
            for run in runs
        ]  # fmt: skip
        names = [self._t(f"health.checks-{one}") for one in (Result.KEPT, *odd)]
        picture = columns(self._ask("checks"), rows)
        return self._figure("checks", picture, ("when", *names), table, series=_legend(names[1:]))

    def _lines(
        self, question: str, drawn: Mapping[str, Sequence[float | None]], write: _Write, most: float
    ) -> Figure:
        marks = [one.mark for one in self._stretches]
        table = [
            (one.name, *("-" if value is None else write(value) for value in values))
            for one, *values in zip(self._stretches, *drawn.values(), strict=True)
            if any(value is not None for value in values)
        ]
        picture = lines(self._ask(question), marks, list(drawn.values()), most=most, write=write)
        return self._figure(question, picture, ("when", *drawn), table, series=_legend(list(drawn)))

    def _ask(self, question: str) -> str:
        return self._t(f"health.{question}")

    def _totals(self, series: str) -> dict[str, float]:
        """Return how much of each name was counted in the whole time, the most first."""
        totals: defaultdict[str, float] = defaultdict(float)
        for one in self._places:
            for name, count in one.of(series).items():
                totals[name] += count
        return dict(sorted(totals.items(), key=lambda item: -item[1]))

    def _names(self, series: str) -> list[str]:
        return sorted({name for one in self._places for kind, name in one.levels if kind == series})

    def _values(self, series: str, name: str) -> list[list[float]]:
        """Return the levels of one name at each place."""
        return [one.levels.get((series, name), []) for one in self._places]

    def _called(self, series: str, name: str) -> str:
        """Return what people call one of a series."""
        match series:
            case "up" | "memory":
                return self._t.of("home.part-", name)
            case "jobs_failed":
                return self._t.of("home.job-", name)
            case "upstreams":
                return self._t("health.server", number=name)
        key = f"health.{series.replace('_', '-')}-{name.replace('_', '-')}"
        return self._t(key) if self._t.has(key) else name.replace("_", " ")

    def _minutes(self, samples: int) -> str:
        return self._t("asked.minutes", minutes=samples * int(EVERY.total_seconds() // 60))

    def _milliseconds(self, value: float) -> str:
        return f"{value:,.0f} ms" if value < 1_000 else f"{value / 1_000:,.1f} s"


def megabytes(value: float) -> str:
    """Write octets that were divided by a million."""
    return f"{value:,.0f} MB"


def hours_of(seen: Window, counter: Counter) -> tuple[Stretch, ...]:
    """Return the hours, quarters of days or days that a page looks at, by the school's clocks, oldest first."""
    zone, hours = counter.service.office.zone, _HOURS.get(seen.days, 24)
    found = []
    for label in seen.labels:
        day = date.fromisoformat(label)
        begins = [datetime.combine(day, time(hour), zone) for hour in range(0, 24, hours)]
        ends = [*begins[1:], datetime.combine(day + timedelta(days=1), time(), zone)]
        for since, until in zip(begins, ends, strict=True):
            mark = f"{since:%H:%M}" if seen.days == 1 else str(day.day) if since.hour == 0 else ""
            name = label if hours == 24 else f"{since:%H:%M}" if seen.days == 1 else f"{label} {since:%H:%M}"
            found.append(Stretch(since.astimezone(UTC), until.astimezone(UTC), mark, name))
    return tuple(found)


def _share(places: Sequence[Sequence[float]]) -> float:
    values = [value for one in places for value in one]
    return sum(values) / len(values) if values else 0


def _within(share: float, counts: Mapping[str, float]) -> float | None:
    """Return the milliseconds within which a share of exchanges ended: the upper end of a class of times."""
    totals = {float(name): count for name, count in counts.items()}
    every = max(totals.values(), default=0)
    end = min((end for end, count in totals.items() if every and count >= share * every), default=None)
    if end is None:
        return None
    return 1_000 * (end if isfinite(end) else max(filter(isfinite, totals), default=0))


def _legend(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, colour_of(number)) for number, name in enumerate(names))
