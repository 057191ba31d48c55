"""The report as a paper: one page in plain English, then the figures behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from schoolgate_exceptions.papers import saying
from schoolgate_exceptions.papers.document import Document, Figure, Item, Section
from schoolgate_exceptions.papers.numbers import FEW, HIDDEN, LEAST, Tally, shown
from schoolgate_exceptions.papers.report import Report, Stream
from schoolgate_exceptions.web.pictures import Row, bars, columns
from schoolgate_policy.model import People

WHO = {People.PUPIL: "Pupils", People.STAFF: "Staff", People.GUEST: "Visitors"}
NO_CHECK = "No check was made in this period."
_MOST_ROWS = 12


def paper(report: Report, zone: ZoneInfo, limits: Section | None = None) -> Document:
    """Return the report as a paper; `limits` says what the filter cannot see."""
    period = report.period
    name = f" ({period.name})" if period.name else ""
    figures = [_figures(one) for one in report.streams]
    figures[:1] = [replace(one, new_page=True) for one in figures[:1]]
    return Document(
        "Web filter report",
        report.school,
        f"{saying.day(period.first)} to {saying.day(period.last)}{name}",
        f"Made on {saying.moment(report.made_at, zone)} from policy {report.policy_version}. Nobody is named; no site"
        f" that only one person or device uses is shown. Counts from 1 to {LEAST - 1} are put together or left out.",
        (
            *(Section(WHO[one.people], tuple(_sentences(one))) for one in report.streams),
            Section("Is it working, and is it looked after?", tuple(_care(report, zone))),
            *figures,
            *_lists(report, zone),
            *([limits] if limits else []),
        ),
    )  # fmt: skip


def _sentences(one: Stream) -> Iterator[str]:
    yield _blocked(one)
    yield _attempts(one)
    if one.alerts != 0:
        yield _alerts(one)
    yield _requests(one)
    granted = len(one.granted)
    yield (
        f"Now {granted} agreed {'exceptions are' if granted != 1 else 'exception is'} in force."
        if granted
        else ("No exception is in force now.")
    )


def _blocked(one: Stream) -> str:
    if one.blocked.is_nothing:
        return (
            "Nothing was blocked."
            if one.visits == 0
            else f"Of {shown(one.visits)} requests none was blocked."
        )
    count = shown(one.blocked.total)
    text = f"The filter blocked {count} requests" + (f" out of {one.visits:,}" if one.visits else "")
    top = saying.most(one.blocked)
    return f"{text}. Most of them: {top}." if top else f"{text}."


def _attempts(one: Stream) -> str:
    if one.attempts.is_nothing:
        return "Nobody was seen trying to get round the filter."
    count = (
        "Fewer than 5 attempts" if one.attempts.total is None else saying.many(one.attempts.total, "attempt")
    )
    top = saying.most(one.attempts)
    return (
        f"{count} to get round the filter {'was' if one.attempts.total == 1 else 'were'} seen and stopped"
        + (f": {top}." if top else ".")
    )


def _alerts(one: Stream) -> str:
    text = f"The school was alerted {_times(one.alerts)} to a device that tried often"
    if one.alerts is None or one.seen_to is None:
        return f"{text}."
    waited = (
        f", half of them within {saying.length(one.median_alert_seconds)}"
        if one.median_alert_seconds is not None
        else ""
    )
    return f"{text}; {shown(one.seen_to)} of these alerts were seen to{waited}."


def _times(count: int | None) -> str:
    return FEW + " times" if count is None else saying.many(count, "time")


def _requests(one: Stream) -> str:
    made = one.requests
    if made.by_outcome.is_nothing:
        return "Nobody asked for a page to be opened or blocked."
    if made.by_outcome.total is None:
        return "Fewer than 5 requests to open or block a page were made."
    text = f"{made.by_outcome.total:,} requests to open or block a page were made"
    parts = [f"{count:,} {name.lower()}" for name, count in made.by_outcome.rows]
    text += f" ({saying.listed(parts)})" if parts else ""
    if made.median_seconds is None or made.longest_seconds is None:
        return f"{text}."
    half, longest = saying.length(made.median_seconds), saying.length(made.longest_seconds)
    return f"{text}. Half had an answer within {half}; the longest wait was {longest}."


def _care(report: Report, zone: ZoneInfo) -> Iterator[str]:
    if report.counted_from is None:
        yield "Nothing has been recorded yet."
    elif report.counted_from > report.period.since:
        yield f"Counts begin on {saying.moment(report.counted_from, zone)}; of the time before nothing is known."
    yield _checks(report)
    count = len(report.changes)
    yield f"The policy was changed {saying.many(count, 'time')}." if count else "The policy was not changed."
    empty = [name for name, _, entries in report.lists if not entries]
    if not report.lists or empty:
        yield f"Illegal content: the school has not supplied {saying.listed(empty) or 'any list'}, so it is not blocked."
    if report.faults:
        yield f"The filter itself failed {saying.many(report.faults, 'time')}; each time the page was blocked."
    if report.waiting_since:
        yield f"The oldest request without an answer is of {saying.moment(report.waiting_since, zone)}."
    yield _review(report, zone)


def _checks(report: Report) -> str:
    if not report.checks:
        return NO_CHECK
    bad = sum(not one.is_good for one in report.checks)
    count = saying.many(len(report.checks), "check")
    return f"{count} of the filter {'was' if len(report.checks) == 1 else 'were'} made; " + (
        f"{bad} found something that was not as promised." if bad else "everything was as promised."
    )


def _review(report: Report, zone: ZoneInfo) -> str:
    if report.review_due is None:
        return "The policy says nothing about its next review."
    late = report.review_due < report.made_at.astimezone(zone).date()
    when = saying.day(report.review_due)
    return (
        f"The policy was due for review on {when}: it is late."
        if late
        else f"The policy is due for review on {when}."
    )


def _figures(one: Stream) -> Section:
    figures = [
        _bars("What kinds of sites were blocked?", "Kind of site", one.blocked),
        _weeks("How much was blocked in each week?", one.blocked_weeks),
        _bars("How did somebody try to get round the filter?", "Way", one.attempts),
        _weeks("In which weeks was that tried?", one.attempts_weeks),
        _bars("What became of the requests?", "Answer", one.requests.by_outcome),
        _bars("What was asked for?", "Request", one.requests.by_kind),
    ]
    if len(one.networks) > 1:
        figures.insert(2, _bars("On which networks was it blocked?", "Network", one.blocked_where))
        figures.insert(5, _bars("On which networks was that tried?", "Network", one.attempts_where))
    who = WHO[one.people]
    # With whom it is about: the same question stands in each stream, and a page has no two regions of one name.
    shown_ones = tuple(
        replace(figure, question=f"{who}: {figure.question[:1].lower()}{figure.question[1:]}")
        for figure in figures
        if figure.rows
    )
    said = (
        tuple(_ways(one))
        if shown_ones or one.ways or one.background_ways
        else ("There is nothing to count.",)
    )
    return Section(f"{who}: the figures", said, one.ways, figures=shown_ones)


def _ways(one: Stream) -> Iterator[str]:
    if one.background_ways:
        yield f"Devices did this by themselves: {saying.listed(one.background_ways)}."
    if one.ways:
        yield "These ways round the filter were seen, however rarely:"


def _bars(question: str, head: str, found: Tally) -> Figure:
    drawn = [Row(name, (count,)) for name, count in found.rows[:_MOST_ROWS]]
    drawn += [Row("All others", (found.rest,))] if found.rest else []
    return Figure(
        question, (head, "Count"), tuple(saying.rows(found)), bars(question, drawn) if drawn else None
    )


def _weeks(question: str, weeks: Sequence[tuple[str, int | None]]) -> Figure:
    picture = columns(question, [Row(name, (count or 0,)) for name, count in weeks])
    table = tuple((name, HIDDEN if count is None else f"{count:,}") for name, count in weeks)
    hidden = any(count is None for _, count in weeks)
    note = "A week that is not shown has a small count, or stands beside one that has." if hidden else ""
    return Figure(
        question,
        ("Week from", "Count"),
        table if any(count != 0 for _, count in weeks) else (),
        picture,
        note=note,
    )


def _lists(report: Report, zone: ZoneInfo) -> Iterator[Section]:
    granted = {one.id: one for stream in report.streams for one in stream.granted}
    if granted:
        items = [
            Item(
                f"{one.id}: {saying.listed(one.what)} {one.verb} for {one.whom}",
                (f"From {saying.moment(one.starts, zone)} until {saying.end(one.ends, zone)}",),
            )
            for one in granted.values()
        ]
        yield Section("Exceptions in force now", items=tuple(items))
    checks = tuple(
        Item(
            saying.moment(one.at, zone),
            (f"From {saying.listed(one.networks) or 'no network'}: {one.kept:,} as promised, {one.broken:,} not, {one.unknown:,} not to be told.",),
            "as promised" if one.is_good else "not as promised",
            "good" if one.is_good else "bad",
        )
        for one in report.checks
    )  # fmt: skip
    yield Section("Checks made", () if checks else (NO_CHECK,), items=checks)
    changes = tuple(
        Item(f"{saying.moment(one.at, zone)}: version {one.version}", (f"{saying.many(one.added, 'new line')}, {saying.many(one.removed, 'old line')} gone",))
        for one in report.changes
    )  # fmt: skip
    yield Section("Changes of the policy", () if changes else ("None in this period.",), items=changes)
