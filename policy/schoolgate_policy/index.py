"""From a host and path to everything in a policy that speaks of it, in one walk over the name's labels.

Every entry of a policy (an always-allowed target, one target of an exception, a rule …) owns one bit; a look-up
returns the entries that match as an integer, lowest bit first in the order of judgement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from schoolgate_policy.errors import InvalidPath
from schoolgate_policy.lists.spec import HostSet
from schoolgate_policy.model import Catalogue, Service, Target, TargetKind
from schoolgate_policy.paths import canonical_path, is_below, is_canonical
from schoolgate_policy.reach import is_within

_MOST_HITS = 4096  # different things that are said of hosts; a policy seldom has a hundred

# What `Hits` are made of: sure, maybe, by name, service, lists.
type _Said = tuple[int, int, int, str, tuple[tuple[str, int], ...]]

_NO_CATEGORIES: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class _Name:
    """What is known of one name: the entries that cover it, its service, and entries for pages below it."""

    mask: int = 0
    service: Service | None = None
    sharers: tuple[Service, ...] = ()  # services that use it together
    pages: tuple[tuple[str, int, bool], ...] = ()  # path prefix, entry bit, whether the entry allows


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The entries that speak of a host: `sure` for what was asked, `maybe` for some page below it only.

    Hosts of which the same is said get the same object (`Index.look_up` sees to it), so that verdicts can go by it.
    """

    sure: int
    maybe: int
    service: Service | None
    shared: "tuple[Hits, ...]" = ()  # the same, once as each of the services that share the name
    listed: tuple[
        tuple[str, int], ...
    ] = ()  # the lists that hold the host, and the entries that speak of each
    by_name: int = 0  # the entries that hold for another cause than a list

    def list_of(self, bit: int) -> str | None:
        """Return the list through which an entry matched; None where it names the host by itself."""
        if not self.listed or self.by_name & bit:
            return None
        return next((name for name, mask in self.listed if mask & bit), None)


class Index:
    """Compiled targets. `entries` are (bit number, target, whether the entry allows)."""

    def __init__(
        self,
        entries: Iterable[tuple[int, Target, bool]],
        catalogue: Catalogue,
        lists: Mapping[str, HostSet],
        list_categories: Mapping[str, str] = _NO_CATEGORIES,
    ) -> None:
        self._names: dict[str, _Name] = {}
        self._everything = 0
        self._service_masks: dict[str, int] = {}
        self._members = _services_by_category(catalogue)
        self._catalogue = catalogue
        self._learn_services()
        by_list: dict[str, int] = {}
        for number, target, allows in entries:
            for name in self._lists_of(target, list_categories):
                by_list[name] = by_list.get(name, 0) | 1 << number
            if target.kind is not TargetKind.LIST:
                self._add(1 << number, target, allows=allows)
        self._lists = tuple((name, lists[name], mask) for name, mask in by_list.items())
        self._nothing = Hits(self._everything, 0, None, (), (), self._everything)
        self._hits: dict[_Said, Hits] = {}

    def _lists_of(self, target: Target, categories: Mapping[str, str]) -> Iterable[str]:
        """Return the lists that a target speaks of: the one it names, or those of its category."""
        match target.kind:
            case TargetKind.LIST:
                return (target.value,)
            case TargetKind.CATEGORY:
                return [
                    name for name, own in categories.items() if is_within(own, target.value, self._catalogue)
                ]
            case _:
                return ()

    def _learn_services(self) -> None:
        """Note whose name each is, so that a verdict can say it whatever gave it."""
        services = self._catalogue.services.values()
        for service in services:
            for domain in service.domains:
                self._name(domain).service = service
            for domain in service.shared_domains:
                self._name(domain).sharers += (service,)
        for service in services:
            for domain in service.frontends:
                self._name(domain).service = self._name(domain).service or service

    def _add(self, bit: int, target: Target, *, allows: bool) -> None:
        match target.kind:
            case TargetKind.EVERYTHING:
                self._everything |= bit
            case TargetKind.URL:
                self._name(target.value).pages += ((target.path, bit, allows),)
            case TargetKind.SERVICE:
                self._cover((self._catalogue.services[target.value],), bit, allows=allows)
            case TargetKind.CATEGORY:
                self._cover(self._members.get(target.value, ()), bit, allows=allows)
            case _:
                self._name(target.value).mask |= bit

    def _name(self, host: str) -> _Name:
        return self._names.setdefault(host, _Name())

    def _cover(self, services: Iterable[Service], bit: int, *, allows: bool) -> None:
        """Let an entry speak of services. Who blocks one blocks its alternative front ends; who allows it does not."""
        for service in services:
            self._service_masks[service.id] = self._service_masks.get(service.id, 0) | bit
            for domain in service.domains if allows else (*service.domains, *service.frontends):
                self._name(domain).mask |= bit

    @property
    def names(self) -> Iterable[str]:
        """The names that something here speaks of, lists aside: a name below one of them is looked up as that one."""
        return self._names.keys()

    def look_up(self, host: str, path: str | None) -> Hits:
        """Find all entries that speak of a canonical host, and of a raw path where one is given."""
        names = self._names
        found: list[_Name] = []
        name = host
        while name:
            known = names.get(name)
            if known is not None:
                found.append(known)
            name = name.partition(".")[2]
        listed: tuple[tuple[str, int], ...] = ()
        for list_name, hosts, mask in self._lists:
            if hosts.covers(host):
                listed += ((list_name, mask),)
        return self._combine(found, listed, path) if found or listed else self._nothing

    def _combine(self, found: list[_Name], listed: tuple[tuple[str, int], ...], path: str | None) -> Hits:
        """Put together what is known of a host and the names above it, longest first, and of the lists it is on."""
        sure, maybe, service = self._everything, 0, None
        sharers: tuple[Service, ...] = ()
        for known in found:
            sure |= known.mask
            service = service or known.service
            sharers = sharers or known.sharers
            if path is not None:
                sure |= _pages_hit(known.pages, path)
            else:
                for _, bit, _ in known.pages:
                    maybe |= bit
        by_name = sure
        for _, mask in listed:
            sure |= mask
        shared = service is None and len(sharers) > 1
        said = sure, maybe & ~sure, by_name, service.id if service else "", listed
        known_hits = None if shared else self._hits.get(said)
        if known_hits is not None:
            return known_hits
        hits = Hits(sure, maybe & ~sure, service, (), listed, by_name)
        if shared:
            return replace(hits, shared=self._as_each(sharers, hits))
        if len(self._hits) >= _MOST_HITS:
            self._hits.clear()
        self._hits[said] = hits
        return hits

    def also_as(self, service_id: str, hits: Hits) -> Hits:
        """Add the entries that speak of a service to what is known of a host that shows itself to be it."""
        service = self._catalogue.services.get(service_id)
        mask = self._service_masks.get(service_id, 0)
        return Hits(
            hits.sure | mask,
            hits.maybe & ~mask,
            hits.service or service,
            (),
            hits.listed,
            hits.by_name | mask,
        )

    def _as_each(self, sharers: tuple[Service, ...], hits: Hits) -> tuple[Hits, ...]:
        """Look at a shared name as each of its services would be looked at.

        A name that only one service of the catalogue marks as shared is needed by others that no policy names.
        """
        masks = [(service, self._service_masks.get(service.id, 0)) for service in sharers]
        return tuple(
            Hits(hits.sure | mask, hits.maybe & ~mask, service, (), hits.listed, hits.by_name | mask)
            for service, mask in masks
        )


def _pages_hit(pages: tuple[tuple[str, int, bool], ...], raw: str) -> int:
    """Match page prefixes. A path that two servers could read differently is allowed by none and blocked by all."""
    if not pages:
        return 0
    try:
        path = canonical_path(raw)
    except InvalidPath:
        return sum(bit for _, bit, allows in pages if not allows)
    plain = is_canonical(raw)
    hits = 0
    for prefix, bit, allows in pages:
        if is_below(path, prefix) and (plain or not allows):
            hits |= bit
    return hits


def _services_by_category(catalogue: Catalogue) -> dict[str, list[Service]]:
    """Group services; a category holds those of the categories below it too."""
    members: dict[str, list[Service]] = {}
    for service in catalogue.services.values():
        category: str | None = service.category
        while category is not None:
            members.setdefault(category, []).append(service)
            category = catalogue.categories[category].parent
    return members
