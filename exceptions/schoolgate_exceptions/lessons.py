"""Lesson windows: a teacher opens a service for a class's devices, within what the officer allows, until the bell."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk
from schoolgate_exceptions.errors import NotAllowed, NotGranted
from schoolgate_exceptions.granting import objections
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import AccessRequest, Grant, Requester, Step
from schoolgate_exceptions.numbering import Numbering
from schoolgate_exceptions.people import read_setting, write_setting
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.publisher import Publisher
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.workflow import Action, State
from schoolgate_policy.fields import parse_target
from schoolgate_policy.model import Target
from schoolgate_policy.names import suffixes
from schoolgate_policy.reach import names_of

_SETTING = "lesson caps"
_MOST_MINUTES = 240


@dataclass(frozen=True, slots=True)
class Caps:
    """What teachers may open by themselves. Nothing, until the officer says what; `devices` empty: every device."""

    targets: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()  # whole networks that may be named instead of devices
    longest: timedelta = timedelta(minutes=60)
    a_day: int = 4  # windows of one teacher


@dataclass(frozen=True, slots=True)
class Offer:
    """What a teacher can choose from now; `bell` is when the present period ends, None outside of periods."""

    targets: tuple[str, ...]
    devices: tuple[str, ...]
    bell: datetime | None
    longest: timedelta
    left_today: int
    open_now: tuple[AccessRequest, ...] = field(default=())


class Lessons:
    """Opens and caps lesson windows; `Ending.revoke` closes one early."""

    def __init__(self, desk: Desk, publisher: Publisher, numbering: Numbering) -> None:
        self._desk = desk
        self._office = desk.office
        self._publisher = publisher
        self._numbering = numbering

    def caps(self) -> Caps:
        """Return what the officer allows."""
        with self._office.read() as connection:
            found = read_setting(connection, _SETTING)
        if not found:
            return Caps()
        return Caps(
            tuple(found["targets"]),
            tuple(found["devices"]),
            tuple(found["networks"]),
            timedelta(seconds=found["longest"]),
            found["a_day"],
        )

    def set_caps(self, actor: Actor, caps: Caps) -> Caps:
        """Set what teachers may open by themselves.

        Raises:
            NotGranted: a name is unknown, or nobody may open it.

        """
        actor.require(Role.OFFICER)
        self._check(caps)
        with self._office.write() as connection:
            value = {**asdict(caps), "longest": int(caps.longest.total_seconds())}
            write_setting(connection, _SETTING, value)
            self._office.audit.add(connection, self._office.now(), actor, "setting.lesson-caps", **value)
        return caps

    def offer(self, actor: Actor) -> Offer:
        """Return what a teacher can open now."""
        actor.require(Role.TEACHER, Role.OFFICER)
        caps = self.caps()
        mine = self._mine(actor)
        return Offer(
            caps.targets,
            (*(caps.devices or self._office.policy.devices), *caps.networks),
            self.bell(),
            caps.longest,
            max(caps.a_day - len(mine), 0),
            tuple(one for one in mine if one.state.is_granted),
        )

    def bell(self) -> datetime | None:
        """Return when the period that is now ends: the next end among the schedules in force."""
        now = self._office.now()
        spans = [schedule.span(now) for schedule in self._office.policy.schedules.values()]
        return min((span.end for span in spans if span.active and span.end is not None), default=None)

    def open(
        self, actor: Actor, target: str, devices: tuple[str, ...], reason: str, until: datetime | None = None
    ) -> AccessRequest:
        """Open a service or site for some devices, until the bell or earlier.

        Raises:
            NotAllowed: it is beyond the officer's caps.
            NotGranted: the policy refuses it.

        """
        actor.require(Role.TEACHER, Role.OFFICER)
        why = words("reason", reason, 100, least=1)
        caps, now, bell = self.caps(), self._office.now(), self.bell()
        latest = min([now + caps.longest, *([bell] if bell else [])])
        ends = (min(until, latest) if until else latest).replace(microsecond=0)
        self._within(caps, target, devices)
        grant = Grant((target,), devices, ends, "Lesson window", starts=now.replace(second=0, microsecond=0))
        with self._office.write() as connection:
            if len(self._mine(actor)) >= caps.a_day:
                raise NotAllowed(
                    f"{caps.a_day} windows a day are the most; ask the e-safety officer for more"
                )
            network = self._office.policy.unknown_clients
            who = Requester(network, "", devices, actor.account, actor.name)
            request = AccessRequest(
                number=0,
                id=self._numbering.new_id(connection, now),
                reference=self._numbering.new_reference(connection),
                kind=Kind.LESSON_WINDOW,
                state=State.SUBMITTED,
                version=1,
                host=target,
                path="",
                service=target if target in self._office.policy.catalogue.services else "",
                purpose=Purpose.LESSON,
                reason=why,
                wanted_until=ends,
                requester=who,
                rule_source="",
                rule_reason="",
                created_at=now,
                changed_at=now,
            )
            against = [
                one.message for one in objections(request, grant, self._office.engine, now) if one.blocks
            ]
            if against:
                raise NotGranted(tuple(against))
            request = repository.insert(connection, request)
            step = Step(now, None, None, State.SUBMITTED, Role.TEACHER, actor.account, actor.name)
            repository.add_step(connection, request.number, step)
            moved = self._desk.move(
                connection, request, Action.OPEN_WINDOW, actor, grant=replace(grant), approver=actor.account
            )
        return self._publisher.reconcile(moved.number)

    def _mine(self, actor: Actor) -> list[AccessRequest]:
        """Return the windows a teacher has opened today."""
        today = self._office.today()
        midnight = datetime(today.year, today.month, today.day, tzinfo=self._office.zone)
        with self._office.read() as connection:
            return repository.windows_since(connection, actor.account, midnight)

    def _within(self, caps: Caps, target: str, devices: tuple[str, ...]) -> None:
        if not devices:
            raise NotAllowed("say for which devices")
        allowed = {*(caps.devices or self._office.policy.devices), *caps.networks}
        if beyond := [name for name in devices if name not in allowed]:
            raise NotAllowed(
                f"not for {', '.join(beyond)}; available: {', '.join(sorted(allowed)) or 'none'}"
            )
        if not any(self._covers(cap, target) for cap in caps.targets):
            raise NotAllowed(
                f"`{target}` is not among what teachers may open: {', '.join(caps.targets) or 'nothing'}"
            )

    def _covers(self, cap: str, target: str) -> bool:
        """Whether everything a target opens lies within what is capped."""
        catalogue = self._office.policy.catalogue
        whole, part = self._parse(cap), self._parse(target)
        if whole == part:
            return True
        ours, theirs = names_of(whole, catalogue), names_of(part, catalogue)
        return (
            bool(theirs)
            and all(any(name in ours for name in suffixes(host)) for host in theirs)
            and not whole.path
        )

    def _parse(self, text: str) -> Target:
        try:
            target = parse_target(text)
        except ValueError as error:
            raise NotAllowed(str(error)) from None
        catalogue = self._office.policy.catalogue
        known = {**catalogue.services, **catalogue.categories}
        if target.kind in {"service", "category"} and target.value not in known:
            raise NotAllowed(f"`{text}` is neither a site nor a known service")
        return target

    def _check(self, caps: Caps) -> None:
        policy = self._office.policy
        for target in caps.targets:
            self._parse(target)
        unknown = [name for name in caps.devices if name not in policy.devices]
        unknown += [name for name in caps.networks if name not in policy.networks]
        if unknown:
            raise NotGranted((f"unknown: {', '.join(unknown)}",))
        if not timedelta(minutes=5) <= caps.longest <= timedelta(minutes=_MOST_MINUTES):
            raise NotGranted((f"a window lasts from 5 to {_MOST_MINUTES} minutes",))
        probe = Grant(caps.targets, caps.networks or caps.devices, self._office.now() + caps.longest, "x")
        request = _probe(self._office.now())
        against = [
            one.message
            for one in objections(request, probe, self._office.engine, self._office.now())
            if one.blocks
        ]
        if against:
            raise NotGranted(tuple(against))


def _probe(now: datetime) -> AccessRequest:
    """Return a request about nothing, to ask what speaks against a grant."""
    return AccessRequest(
        0, "", "", Kind.LESSON_WINDOW, State.SUBMITTED, 1, "", "", "", Purpose.LESSON, "", None,
        Requester("", ""), "", "", now, now,
    )  # fmt: skip
