"""Tries the compiled policy: the same engine that answers DNS and proxy is asked, now and in the lessons of a week. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta

from schoolgate_exceptions.papers.facts import Facts
from schoolgate_policy.decision import Attempt, Reason, Verdict
from schoolgate_policy.lists.spec import ListStatus, Standing
from schoolgate_policy.model import Network, People, Service, TargetKind

_LESSON = time(10, 15)


def networks(facts: Facts, *people: People) -> list[Network]:
    """Return the networks of some people, or all of them."""
    return [one for one in facts.policy.networks.values() if not people or one.people in people]


def instants(facts: Facts) -> list[datetime]:
    """Return now, and a quarter past ten on each of the next seven days."""
    today = facts.now.astimezone(facts.zone).date()
    days = (today + timedelta(days=number) for number in range(1, 8))
    return [facts.now, *(datetime.combine(day, _LESSON, facts.zone) for day in days)]


def services(facts: Facts, category: str) -> list[Service]:
    """Return the services of a category and of those below it."""
    catalogue = facts.policy.catalogue
    below = {one.id for one in catalogue.categories.values() if category in {one.id, one.parent}}
    return [one for one in catalogue.services.values() if one.category in below]


def open_ways(facts: Facts, among: Iterable[Service], within: Iterable[Network]) -> Iterator[tuple[str, str]]:
    """Yield the network and title of each service that somebody there could reach at some of the instants."""
    for network in within:
        address = _address(network)
        for service in among:
            if any(
                not _blocked(facts, address, host, at) for host in service.domains for at in instants(facts)
            ):
                yield network.id, service.title


def closed_help(facts: Facts, hosts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the network and host of each site that is blocked somewhere, now or in a lesson."""
    known = list(hosts)
    for network in networks(facts):
        address = _address(network)
        for host in known:
            if any(_blocked(facts, address, host, at) for at in instants(facts)):
                yield network.id, host


def is_ruled(facts: Facts, category: str) -> bool:
    """Whether a rule or `always_allow` decides on each service of a category for every pupil, and not the default."""
    found = services(facts, category)
    return bool(found) and all(
        facts.engine.decide(Attempt(_address(network), service.domains[0], facts.now)).reason
        not in {Reason.OTHERWISE, Reason.ERROR}
        for network in networks(facts, People.PUPIL)
        for service in found
    )


def lists_that_block(facts: Facts, names: frozenset[str]) -> list[ListStatus]:
    """Return the lists in use, by name or category, that a rule without a schedule blocks for all pupils."""
    pupils = {one.id for one in networks(facts, People.PUPIL)}
    ruled = {
        (target.kind, target.value)
        for rule in facts.policy.rules
        if rule.verdict is Verdict.BLOCK and not rule.devices and rule.during.span(facts.now).end is None
        and (not rule.networks or pupils <= rule.networks)
        for target in rule.targets
    }  # fmt: skip
    categories = facts.policy.catalogue.categories
    found = []
    for one in facts.policy.list_status:
        category = one.spec.category or ""
        parent = categories[category].parent if category in categories else None
        wanted = {one.spec.name, category} & names
        blocked = {
            (TargetKind.LIST, one.spec.name),
            (TargetKind.CATEGORY, category),
            (TargetKind.CATEGORY, parent),
        }
        if wanted and blocked & ruled and one.names and one.standing is Standing.IN_USE:
            found.append(one)
    return found


def _blocked(facts: Facts, address: str, host: str, at: datetime) -> bool:
    return facts.engine.decide(Attempt(address, host, at)).blocked


def _address(network: Network) -> str:
    """Return an address of a network that is hardly a machine's with a name of its own."""
    return str(network.addresses[0].network_address + min(network.addresses[0].num_addresses - 1, 250))
