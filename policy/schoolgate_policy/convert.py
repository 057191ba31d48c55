"""Pieces of building a policy that need nothing but the sections of policy.yaml: values, and what networks can see."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from schoolgate_policy.model import (
    Accounts,
    Catalogue,
    Inspection,
    MicrosoftAccounts,
    Target,
    TargetKind,
)
from schoolgate_policy.names import as_ip
from schoolgate_policy.schedule import DateRange
from schoolgate_policy.schema import AccountsSection, DaysSection, PolicyFile
from schoolgate_policy.suffix import is_public_suffix
from schoolgate_policy.validate import suggest


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a rule or exception speaks of, and on which pages."""

    networks: frozenset[str]
    devices: frozenset[str]
    within: tuple[Target, ...] = ()
    companions: tuple[Target, ...] = ()
    methods: frozenset[str] = frozenset()


def accounts_of(section: AccountsSection) -> Accounts:
    """Return whose accounts people may sign in with."""
    given = section.microsoft
    microsoft = (
        MicrosoftAccounts(given.directory, tuple(given.tenants), given.policy, given.personal)
        if given
        else None
    )
    return Accounts(tuple(section.google), microsoft)


def range_of(section: DaysSection) -> DateRange:
    """Return the days from the first to the last."""
    first, last = section.on or section.first, section.on or section.last
    assert first is not None  # noqa: S101 - the section's own validator saw to it
    assert last is not None  # noqa: S101
    return DateRange(section.name, first, last)


def unseen(file: PolicyFile, what: str, whom: frozenset[str]) -> str | None:
    """Say why something cannot be told apart for some of those it is said for, None where it can."""
    concerned = whom or file.networks.keys()
    blind = [
        name for name in _networks_of(file, concerned) if file.networks[name].inspection is Inspection.NAMES
    ]
    if not blind:
        return None
    seeing = sorted(name for name, net in file.networks.items() if net.inspection is not Inspection.NAMES)
    return (
        f"{what}, and on {', '.join(blind)} only names are seen (`inspection: names`); "
        f"say `for:` one of {', '.join(seeing) or 'the networks with inspection'}, or name the whole site"
    )


def _networks_of(file: PolicyFile, names: Iterable[str]) -> list[str]:
    """Return the networks among some networks and devices: a device's is the narrowest around its addresses."""
    found = set()
    for name in names:
        if name in file.networks:
            found.add(name)
            continue
        section = file.devices.get(name)
        for address in section.addresses if section else ():
            holding = [
                (part.prefixlen, network)
                for network, around in file.networks.items()
                for part in around.addresses
                if part.version == address.version and address.subnet_of(part)  # type: ignore[arg-type]
            ]
            found.add(max(holding)[1] if holding else file.unknown_clients)
    return sorted(found & file.networks.keys())


def target_problem(target: Target, catalogue: Catalogue, lists: Collection[str]) -> str | None:
    """Say what a target names that is not there, or is no single site; None: nothing is wrong."""
    name = target.value
    match target.kind:
        case TargetKind.SERVICE if name not in catalogue.services:
            return f"unknown service `{name}`; {_service_hint(name, catalogue)}"
        case TargetKind.CATEGORY if name not in catalogue.categories:
            return f"unknown category `{name}`; {suggest(name, catalogue.categories)}"
        case TargetKind.LIST if name not in lists:
            return f"unknown list `{name}`; {suggest(name, lists)}"
        case TargetKind.DOMAIN | TargetKind.URL if not as_ip(name) and is_public_suffix(name):
            return f"`{name}` is no single site: anybody can have a name below it"
        case _:
            return None


def _service_hint(name: str, catalogue: Catalogue) -> str:
    if name in catalogue.categories:
        return f"it is a category: write `category:{name}`"
    by_title = {service.title.lower(): service.id for service in catalogue.services.values()}
    return (
        f"{suggest(by_title.get(name, name), sorted(catalogue.services))}; `schoolgate services` lists them"
    )
