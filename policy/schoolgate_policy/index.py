"""From a host and path to everything in a policy that speaks of it, in one walk over the name's labels.

Every entry of a policy (an always-allowed target, one target of an exception, a rule …) owns one bit; a look-up
returns the entries that match as an integer, lowest bit first in the order of judgement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schoolgate_policy.errors import InvalidPath
from schoolgate_policy.model import Catalogue, HostSet, Service, Target, TargetKind
from schoolgate_policy.names import suffixes
from schoolgate_policy.paths import canonical_path, is_below, is_canonical


@dataclass(slots=True)
class _Name:
    """What is known of one name: the entries that cover it, its service, and entries for pages below it."""

    mask: int = 0
    service: Service | None = None
    pages: tuple[tuple[str, int, bool], ...] = ()  # path prefix, entry bit, whether the entry allows


@dataclass(frozen=True, slots=True)
class Hits:
    """The entries that speak of a host: `sure` for what was asked, `maybe` for some page below it only."""

    sure: int
    maybe: int
    service: Service | None


class Index:
    """Compiled targets. `entries` are (bit number, target, whether the entry allows)."""

    def __init__(
        self,
        entries: Iterable[tuple[int, Target, bool]],
        catalogue: Catalogue,
        lists: Mapping[str, HostSet],
    ) -> None:
        self._names: dict[str, _Name] = {}
        self._everything = 0
        by_list: dict[str, int] = {}
        members = _services_by_category(catalogue)
        for service in catalogue.services.values():
            for domain in service.domains:
                self._name(domain).service = service
        for number, target, allows in entries:
            bit = 1 << number
            match target.kind:
                case TargetKind.EVERYTHING:
                    self._everything |= bit
                case TargetKind.LIST:
                    by_list[target.value] = by_list.get(target.value, 0) | bit
                case TargetKind.URL:
                    self._name(target.value).pages += ((target.path, bit, allows),)
                case TargetKind.DOMAIN:
                    self._name(target.value).mask |= bit
                case TargetKind.SERVICE:
                    self._cover((catalogue.services[target.value],), bit)
                case TargetKind.CATEGORY:
                    self._cover(members.get(target.value, ()), bit)
        self._lists = tuple((lists[name], mask) for name, mask in by_list.items())

    def _name(self, host: str) -> _Name:
        return self._names.setdefault(host, _Name())

    def _cover(self, services: Iterable[Service], bit: int) -> None:
        for service in services:
            for domain in service.domains:
                self._name(domain).mask |= bit

    def look_up(self, host: str, path: str | None) -> Hits:
        """Find all entries that speak of a canonical host, and of a raw path where one is given."""
        sure, maybe, service = self._everything, 0, None
        names = self._names
        for name in suffixes(host):
            known = names.get(name)
            if known is None:
                continue
            sure |= known.mask
            service = service or known.service
            if not known.pages:
                continue
            if path is None:
                for _, bit, _ in known.pages:
                    maybe |= bit
            else:
                sure |= _pages_hit(known.pages, path)
        for hosts, mask in self._lists:
            if hosts.covers(host):
                sure |= mask
        return Hits(sure, maybe & ~sure, service)


def _pages_hit(pages: tuple[tuple[str, int, bool], ...], raw: str) -> int:
    """Match page prefixes. A path that two servers could read differently is allowed by none and blocked by all."""
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
