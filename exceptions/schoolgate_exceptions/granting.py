"""From a grant to the lines of policy.yaml, and what speaks against it. Pure but for the policy it is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from schoolgate_exceptions.model import AccessRequest, Grant
from schoolgate_exceptions.roles import Role
from schoolgate_policy.decision import Attempt, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import EditError
from schoolgate_policy.fields import parse_target
from schoolgate_policy.grant import NewException
from schoolgate_policy.model import Inspection, Network, People, Policy, Target, TargetKind
from schoolgate_policy.reach import is_within, names_of, reaches

_ADULT_CHECK_FROM = 13  # a network of pupils whose age nobody wrote down may well be younger


class Concern(StrEnum):
    """Why a grant may be a bad idea."""

    LOCKED = "locked"
    NEVER = "never"
    OVER_LIMIT = "over limit"
    MINIMUM_AGE = "minimum age"
    PATH = "path not enforceable"
    OVER = "already over"
    WIDE = "wide"
    EVERYBODY = "everybody"
    OPEN_ALREADY = "open already"
    UNKNOWN = "unknown"
    NAME = "names a person"


@dataclass(frozen=True, slots=True)
class Objection:
    """A concern in words; one that `blocks` cannot be approved."""

    concern: Concern
    message: str
    blocks: bool


def exception_of(request: AccessRequest, grant: Grant, zone: ZoneInfo, approved_by: Role) -> NewException:
    """Return what is written into policy.yaml.

    Raises:
        EditError: a field is not what the policy language allows.

    """
    if grant.until is None:
        raise EditError("until: every exception ends; say when")
    return NewException(
        id=request.id,
        targets=grant.targets,
        until=write_end(grant.until, zone),
        reason=grant.reason,
        verdict=grant.verdict,
        whom=grant.whom,
        starts=write_start(grant.starts, zone) if grant.starts else None,
        during=grant.during,
        reviewed_by=str(Role.OFFICER),
        approved_by=str(approved_by),
    )


def write_end(until: datetime, zone: ZoneInfo) -> str:
    """Write an end as the policy does: the last day where it is the end of one, else the instant."""
    local = until.astimezone(zone)
    if (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0):
        return str((local - timedelta(hours=1)).date())
    return _instant(local)


def write_start(starts: datetime, zone: ZoneInfo) -> str:
    """Write a start: the day where it is the beginning of one, else the instant."""
    local = starts.astimezone(zone)
    if (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0):
        return str(local.date())
    return _instant(local)


def _instant(local: datetime) -> str:
    """Write a wall-clock instant to the second, or in UTC where the clock shows it twice."""
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        return f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


def objections(request: AccessRequest, grant: Grant, engine: Engine, now: datetime) -> tuple[Objection, ...]:
    """Return what speaks against a grant, what blocks it first."""
    found = list(_objections(request, grant, engine, now))
    return tuple(sorted(found, key=lambda one: not one.blocks))


def _objections(request: AccessRequest, grant: Grant, engine: Engine, now: datetime) -> Iterator[Objection]:
    policy = engine.policy
    yield from _about_time(grant, policy, now)
    yield from _about_words(request, grant)
    networks = _networks(grant, engine)
    if isinstance(networks, str):
        yield Objection(Concern.UNKNOWN, networks, blocks=True)
        return
    for text in grant.targets:
        try:
            target = parse_target(text)
        except ValueError as error:
            yield Objection(Concern.UNKNOWN, str(error), blocks=True)
            continue
        if grant.verdict is Verdict.ALLOW:
            yield from _about_opening(target, networks, engine)
        if target.kind is TargetKind.URL:
            yield from _about_path(networks)
    if grant.verdict is Verdict.ALLOW and request.host:
        yield from _about_now(request, grant, networks, engine, now)


def _about_time(grant: Grant, policy: Policy, now: datetime) -> Iterator[Objection]:
    if grant.until is None:
        return
    if grant.until <= max(now, grant.starts or now):
        yield Objection(
            Concern.OVER, "the end has passed already, or comes before the beginning", blocks=True
        )
    longest = policy.limits.longest_exception
    if longest is not None and grant.until - max(now, grant.starts or now) > longest:
        days = longest.days
        yield Objection(Concern.OVER_LIMIT, f"an exception may last {days} days at most", blocks=True)


def _about_words(request: AccessRequest, grant: Grant) -> Iterator[Objection]:
    if not grant.whom and grant.verdict is Verdict.ALLOW:
        yield Objection(Concern.EVERYBODY, "this would open it on every network", blocks=False)
    names = [part for part in request.requester.name.casefold().split() if len(part) > 2]
    if any(name in grant.reason.casefold().split() for name in names):
        yield Objection(
            Concern.NAME, "the reason stands in policy.yaml and must not name a person", blocks=True
        )


def _networks(grant: Grant, engine: Engine) -> list[Network] | str:
    """Return the networks concerned, or what is wrong with the names."""
    policy, found = engine.policy, {}
    for name in grant.whom:
        if name in policy.networks:
            found[name] = policy.networks[name]
        elif name in policy.devices:
            for part in policy.devices[name].addresses:
                network = engine.identify(str(part.network_address)).network
                found[network] = policy.networks[network]
        else:
            return f"there is no network or device `{name}`; available: {', '.join((*policy.networks, *policy.devices))}"
    for text in grant.during:
        name = text.removeprefix("not ").strip()
        if name not in policy.schedules:
            return f"there is no schedule `{name}`; available: {', '.join(policy.schedules)}"
    return list(found.values()) or list(policy.networks.values())


def _about_opening(target: Target, networks: list[Network], engine: Engine) -> Iterator[Objection]:
    policy = engine.policy
    if any(is_locked(name, policy) for name in names_of(target, policy.catalogue)):
        yield Objection(Concern.LOCKED, "this can never be opened", blocks=True)
    for never in policy.limits.never:
        if reaches(never, target, policy.catalogue):
            yield Objection(
                Concern.NEVER, f"`limits.never` names `{never}`, so no exception may open it", blocks=True
            )
    if target.kind in {TargetKind.CATEGORY, TargetKind.LIST, TargetKind.EVERYTHING}:
        yield Objection(
            Concern.WIDE, f"`{target}` opens many sites at once; name the one that is needed", blocks=False
        )
    yield from _about_age(target, networks, policy)


def _about_age(target: Target, networks: list[Network], policy: Policy) -> Iterator[Objection]:
    names = names_of(target, policy.catalogue)
    for service in policy.catalogue.services.values():
        if service.min_age is None:
            continue
        concerned = (
            service.id == target.value
            if target.kind is TargetKind.SERVICE
            else is_within(service.category, target.value, policy.catalogue)
            if target.kind is TargetKind.CATEGORY
            else any(_below(name, domain) for name in names for domain in service.domains)
        )
        if not concerned:
            continue
        for network in networks:
            if network.age is not None and network.age < service.min_age.years:
                message = f"{service.title} is for people of {service.min_age.years} or more; `{network.id}` has people of {network.age}"
                yield Objection(Concern.MINIMUM_AGE, message, blocks=True)
            elif (
                network.age is None
                and network.people is People.PUPIL
                and service.min_age.years >= _ADULT_CHECK_FROM
            ):
                message = f"{service.title} is for people of {service.min_age.years} or more; check who uses `{network.id}`"
                yield Objection(Concern.MINIMUM_AGE, message, blocks=False)


def _below(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _about_path(networks: list[Network]) -> Iterator[Objection]:
    blind = [network.id for network in networks if network.inspection is Inspection.NAMES]
    if blind:
        message = f"a page cannot be told from its site on {', '.join(blind)} (`inspection: names`); name the whole site"
        yield Objection(Concern.PATH, message, blocks=True)


def _about_now(
    request: AccessRequest, grant: Grant, networks: list[Network], engine: Engine, now: datetime
) -> Iterator[Objection]:
    path = request.path or "/"
    decisions = [
        engine.decide(Attempt(str(network.addresses[0].network_address), request.host, now, path))
        for network in networks
    ]
    if grant.whom and decisions and all(one.valid_until is None and not one.blocked for one in decisions):
        yield Objection(Concern.OPEN_ALREADY, f"{request.host} is open there already", blocks=False)


def is_locked(host: str, policy: Policy) -> bool:
    """Whether a host is on a locked list, which nothing can open and nobody may be told of."""
    return any(locked.hosts.covers(host) for locked in policy.locked)
