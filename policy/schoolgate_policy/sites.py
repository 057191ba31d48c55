"""Everything that some policies can tell apart by name: each `Site` stands for all hosts and pages judged alike.

A name that a policy or its catalogue speaks of makes a site of its own, for itself and all below it as far as no
longer name is spoken of; one more site stands for every other host. Pages, lists and locked lists divide them
further. The names on a list cannot be told one by one, so a stand-in represents each combination of lists.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from schoolgate_policy.compile import Compiled, compile_policy
from schoolgate_policy.decision import READING, SENDING
from schoolgate_policy.lists.spec import HostSet
from schoolgate_policy.model import LockedList, Policy, Target, TargetKind
from schoolgate_policy.names import as_ip, suffixes
from schoolgate_policy.paths import is_below

_STRANGER = "any-other-site.invalid"  # RFC 6761 6.4: nobody has this name
_ODD = "/%61"  # a letter that needs no escape: two servers may read such a path differently
_FEW_LISTS = 4
_UNREADABLE = "/%ff"  # not UTF-8


class Part(StrEnum):
    """Which requests for a host a site stands for."""

    ALL = "all"  # the name and every page: nothing speaks of single pages
    NAME = "name"  # only the name is known
    PAGE = "page"  # pages at and below `Site.page`
    OTHER_PAGES = "other pages"
    ODD_PAGES = "oddly spelled pages"  # of `Site.page`, or unreadable altogether where that is empty


@dataclass(frozen=True, slots=True)
class Site:
    """Hosts and pages that are judged alike; `host` and `path` are one of them. `name` None: any other host.

    `method` None: requests that read, and names; else what is sent by this method stands for all that is judged alike.
    """

    name: str | None
    part: Part
    host: str
    path: str | None = None
    page: str = ""
    lists: frozenset[str] = frozenset()
    locked: str | None = None
    method: str | None = None

    def is_page_of(self, other: "Site") -> bool:
        """Whether both are the same page, whatever is done with it."""
        return replace(self, method=None) == replace(other, method=None)


@dataclass(frozen=True, slots=True)
class _Listed:
    """Stands for a block list: holds the stand-ins of hosts that are on it, and the names that really are."""

    hosts: frozenset[str]

    def covers(self, host: str) -> bool:
        return any(name in self.hosts for name in suffixes(host))

    def __len__(self) -> int:
        return len(self.hosts)


class Sites:
    """The sites of some policies, and those policies with stand-ins for their lists."""

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        compiled = tuple(
            compile_policy(policy, (), state) for policy in policies for state in (None, *policy.states)
        )
        targets = {target for one in compiled for entry in one.entries for target in entry.targets}
        self._pages: dict[str, set[str]] = {}
        for target in targets:
            if target.kind is TargetKind.URL:
                self._pages.setdefault(target.value, set()).add(target.path)
        self._names = _names(policies, targets)
        self._methods = _methods(compiled)
        self._parts_only = frozenset().union(*(one.parts.names for one in compiled))
        self._lists = sorted({name for policy in policies for name in policy.lists})
        self._stranger = _unused(_STRANGER, self._names)
        self._policies = policies
        self._known = {
            name: tuple(_covering(policy.lists, name) for policy in policies) for name in self._names
        }
        self.all = (*self._by_name(), *self._locked())

    def policies(self) -> tuple[Policy, ...]:
        """Return the policies with lists that hold the stand-ins; a name is on those lists it really is on."""
        return tuple(self._with_stand_ins(number) for number in range(len(self._policies)))

    def find(self, host: str, path: str | None, lists: frozenset[str] = frozenset()) -> Site | None:
        """Return the site of a canonical host, and path prefix where only pages differ; None where none fits."""
        name = next((part for part in suffixes(host) if part in self._names), None)
        fitting = [
            site
            for site in self.all
            if site.name == name and site.lists == lists and not site.locked and not site.method
        ]
        if path is not None:
            below = [s for s in fitting if s.part is Part.PAGE and is_below(path, s.page)]
            if below:
                return max(below, key=lambda site: len(site.page))
        part = Part.NAME if path is None else Part.OTHER_PAGES
        return next((site for site in fitting if site.part in {Part.ALL, part}), None)

    def _by_name(self) -> Iterator[Site]:
        for name in (*sorted(self._names), None):
            yield from self._parts(name, name or self._stranger, frozenset())
            for lists in self._combinations(name):
                yield from self._parts(name, self._stand_in(name, lists), lists)

    def _combinations(self, name: str | None) -> Iterator[frozenset[str]]:
        """Yield the lists a host below a name may be on.

        Two at a time show every difference, since one entry decides in each policy; where there are many lists, two
        at a time are tried for hosts that nothing else speaks of only.
        """
        if name is not None and as_ip(name):
            return
        certain: set[str] = set().union(*self._known[name]) if name else set()
        left = [item for item in self._lists if item not in certain]
        for size in (1, 2) if name is None or len(self._lists) <= _FEW_LISTS else (1,):
            for some in combinations(left, size):
                yield frozenset(some)

    def _stand_in(self, name: str | None, lists: Iterable[str]) -> str:
        label = "-and-".join(f"on-{self._lists.index(item)}" for item in sorted(lists))
        return _unused(f"{label}.{name or self._stranger}", self._names)

    def _parts(self, name: str | None, host: str, lists: frozenset[str]) -> Iterator[Site]:
        pages = sorted({page for part in suffixes(name or "") for page in self._pages.get(part, ())})
        if not pages and self._parts_only.isdisjoint(suffixes(name or "")):
            yield Site(name, Part.ALL, host, None, "", lists)
            return
        yield Site(name, Part.NAME, host, None, "", lists)
        for page in pages:
            for method in (None, *self._methods):
                yield Site(name, Part.PAGE, host, page, page, lists, method=method)
            yield Site(name, Part.ODD_PAGES, host, page.rstrip("/") + _ODD, page, lists)
        if "/" not in pages:
            other = "/"
            while any(is_below(other, page) for page in pages):
                other += "_"
            yield Site(name, Part.OTHER_PAGES, host, other, "", lists)
        yield Site(name, Part.ODD_PAGES, host, _UNREADABLE, "", lists)

    def _locked(self) -> Iterator[Site]:
        for name in sorted({part.id for policy in self._policies for part in policy.locked}):
            host = _unused(f"on-locked-{name.replace('_', '-')}.{self._stranger}", self._names)
            yield Site(None, Part.ALL, host, locked=name)

    def _with_stand_ins(self, number: int) -> Policy:
        policy = self._policies[number]
        on: dict[str, set[str]] = {name: set() for name in policy.lists}
        for site in self.all:
            for name in site.lists & on.keys():
                on[name].add(site.host)
        for host, known in self._known.items():
            for name in known[number]:
                on[name].add(host)
        locked = tuple(
            LockedList(
                part.id,
                _Listed(frozenset(site.host for site in self.all if site.locked == part.id)),
                part.source,
            )
            for part in policy.locked
        )
        stand_ins: dict[str, HostSet] = {name: _Listed(frozenset(hosts)) for name, hosts in on.items()}
        return replace(policy, lists=stand_ins, locked=locked)


def _names(policies: Iterable[Policy], targets: Iterable[Target]) -> frozenset[str]:
    named = {target.value for target in targets if target.kind in {TargetKind.DOMAIN, TargetKind.URL}}
    for policy in policies:
        for service in policy.catalogue.services.values():
            named.update(service.domains, service.shared_domains)
    return frozenset(named)


def _methods(policies: Iterable[Compiled]) -> tuple[str, ...]:
    """Return the methods of which some page takes one and not another, and one for those that nothing speaks of."""
    told: set[str] = set().union(*(entry.methods for one in policies for entry in one.entries))
    if not told:
        return ()
    others = [method for method in SENDING if method not in told]
    return (*sorted(told - READING), *others[:1])


def _covering(lists: Mapping[str, HostSet], name: str) -> frozenset[str]:
    return frozenset(id_ for id_, hosts in lists.items() if hosts.covers(name))


def _unused(name: str, used: frozenset[str]) -> str:
    """Return a name that no policy speaks of, by putting an x in front until it is one."""
    while name in used:
        name = f"x{name}"
    return name
