"""Attempts to get round the filter, single devices for those who may, and what the filter did."""

from schoolgate_exceptions.errors import InvalidInput
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.watch.devices import SEES_PUPILS
from schoolgate_exceptions.watch.looking import DeviceFile
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.figures import PERIODS, Figures, window
from schoolgate_exceptions.web.home import READS_ACTIVITY
from schoolgate_exceptions.web.visit import Visit
from schoolgate_policy.technique_table import about

LOOKERS = SEES_PUPILS
_MOMENTS = 100  # of one technique, the newest
READERS = READS_ACTIVITY
PAUSERS = (Role.TEACHER, Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)


def attempts(counter: Counter, visit: Visit) -> Page:
    """Show what was tried, when and where; alerts nobody has seen to; devices by their pseudonyms."""
    return _attempts(counter, visit)


def acknowledge(counter: Counter, visit: Visit) -> Page:
    """Note that somebody sees to an alert."""
    number = int(visit.form.one("number")) if visit.form.one("number").isdecimal() else 0
    counter.service.alerting.acknowledge(visit.actor, number, visit.form.one("note"))
    return counter.to("/attempts", done="seen")


def device(counter: Counter, visit: Visit) -> Page:
    """Show one device with its address, hold what is known of it, or let go of that; each with a reason."""
    form, service = visit.form, counter.service
    name, reason = visit.parts["device"], form.one("reason")
    try:
        match form.one("do"):
            case "hold":
                service.devices.hold(visit.actor, name, reason)
            case "release":
                service.devices.release(visit.actor, name, reason)
        seen = window(counter, visit)
        file = service.watched.file(visit.actor, name, reason, seen.since, seen.until)
    except InvalidInput as error:
        return _attempts(counter, visit, errors={"reason": error.fields.get("reason", str(error))})
    return _device(counter, visit, file, reason)


def activity(counter: Counter, visit: Visit) -> Page:
    """Show what the filter did, in numbers that name nobody."""
    seen, network = window(counter, visit), _network(counter, visit)
    draw = Figures(counter, visit, seen, network)
    figures = [
        draw.verdicts_by_day(), draw.blocks_by_category(), draw.blocks_by_service(), draw.blocks_by_network(),
        draw.blocks_by_hour(), draw.reasons(), draw.blocks_by_point(), draw.allowed(), draw.attempts_by_day(), draw.waiting(), draw.faults(),
    ]  # fmt: skip
    return counter.page(
        visit, "office/activity.html.j2", figures=figures, seen=seen, periods=PERIODS, network=network
    )


def pause(counter: Counter, visit: Visit) -> Page:
    """Ask which device is to be let go for this lesson."""
    return _pause(counter, visit, {})


def set_pause(counter: Counter, visit: Visit) -> Page:
    """Lift the sanction on a device until the bell, or end that."""
    form, service = visit.form, counter.service.sanctioning
    try:
        if form.one("do") == "end":
            service.resume(visit.actor, form.one("address"))
            return counter.to("/sanctions/pause", done="ended")
        service.pause(visit.actor, form.one("address"), form.one("reason"))
    except InvalidInput as error:
        return _pause(counter, visit, dict(error.fields))
    return counter.to("/sanctions/pause", done="paused")


def _attempts(counter: Counter, visit: Visit, errors: dict[str, str] | None = None) -> Page:
    seen, network, service = window(counter, visit), _network(counter, visit), counter.service
    draw = Figures(counter, visit, seen, network)
    technique = visit.query.one("technique") if about(visit.query.one("technique")) else ""
    return counter.page(
        visit,
        "office/attempts.html.j2",
        422 if errors else 200,
        figures=[
            draw.techniques_by_time(),
            draw.attempts_by_day(),
            draw.attempts_by_network(),
            draw.alerts(),
        ],
        background=draw.background(),
        alerts=service.alerting.listed(visit.actor, open_only=True),
        past=service.alerting.listed(visit.actor, most=20),
        devices=service.watched.devices(
            visit.actor, seen.since, seen.until, technique=technique, network=network
        ),
        name_of=draw.title,
        seen=seen,
        periods=PERIODS,
        network=network,
        technique=technique,
        timeline=draw.timeline(technique) if technique else None,
        moments=service.watched.times(
            visit.actor, seen.since, seen.until, technique=technique, network=network
        )[-_MOMENTS:][::-1]
        if technique
        else [],
        errors=errors or {},
        done=visit.query.one("done"),
    )


def _device(counter: Counter, visit: Visit, file: DeviceFile, reason: str) -> Page:
    draw = Figures(counter, visit, window(counter, visit))
    return counter.page(visit, "office/device.html.j2", file=file, reason=reason, name_of=draw.title)


def _pause(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    return counter.page(
        visit, "office/pause.html.j2", 422 if errors else 200,
        devices=counter.service.sanctioning.supervised(visit.actor), said=visit.form, errors=errors, done=visit.query.one("done"), bell=counter.service.lessons.bell(),
    )  # fmt: skip


def _network(counter: Counter, visit: Visit) -> str:
    wanted = visit.query.one("network")
    return wanted if wanted in counter.policy.networks else ""
