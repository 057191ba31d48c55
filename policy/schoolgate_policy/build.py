"""`PolicyFile` → `Policy`: resolves every name and instant, and reports what does not fit together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schoolgate_policy.build_circumvention import circumvention_of
from schoolgate_policy.convert import Audience, accounts_of, range_of, target_problem, unseen
from schoolgate_policy.decision import Verdict
from schoolgate_policy.errors import PolicyIssue, Severity
from schoolgate_policy.fields import Moment
from schoolgate_policy.holiday import bank_holidays
from schoolgate_policy.lists.section import ListReader, locked_lists, opens_through_list, read_lists, specs_of
from schoolgate_policy.lists.spec import ListContent
from schoolgate_policy.model import (
    Accounts,
    Catalogue,
    Category,
    Device,
    Inspection,
    Limits,
    MinimumAge,
    Network,
    Pass,
    Policy,
    PolicyException,
    Privacy,
    Review,
    Rule,
    School,
    Service,
    State,
    Support,
    Target,
    TargetKind,
)
from schoolgate_policy.reach import reaches
from schoolgate_policy.schedule import Calendar, Schedule, Season, When, overlapping
from schoolgate_policy.schema import (
    CalendarSection,
    ExceptionSection,
    NetworkSection,
    RuleSection,
    ScheduleSection,
    ServiceSection,
    StateSection,
)
from schoolgate_policy.validate import Parsed, suggest
from schoolgate_policy.yaml_text import Document, KeyPath

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Builder:
    """Builds one policy; `issues` holds what was found on the way."""

    def __init__(
        self, document: Document, parsed: Parsed, catalogue: Catalogue, read_list: ListReader, version: str
    ) -> None:
        self.issues: list[PolicyIssue] = []
        self._document = document
        self._parsed = parsed
        self._file = parsed.file
        self._catalogue = catalogue
        self._read_list = read_list
        self._version = version
        self._lists: list[ListContent] = []
        self._calendars: dict[str | None, Calendar] = {}  # by name; None is the school's own

    def build(self) -> Policy:
        """Put the policy together; use it only if `issues` is empty."""
        file = self._file
        zone = self._zone()
        self._catalogue = self._with_categories_of_lists()
        self._catalogue = self._with_own_services()
        self._lists = read_lists(specs_of(file), self._read_list, self._note)
        networks = self._networks()
        devices = self._devices(networks)
        self._check_unknown_clients(networks)
        calendar = self._calendar(("calendar",), file.calendar, zone)
        calendars = {
            name: self._calendar(("calendars", name), section, zone)
            for name, section in file.calendars.items()
        }
        self._calendars[None] = calendar
        self._calendars.update(calendars)
        schedules = self._schedules()
        return Policy(
            version=self._version,
            source=self._document.file,
            school=School(
                **dict(file.school),
            ),
            networks=networks,
            unknown_clients=file.unknown_clients,
            devices=devices,
            calendar=calendar,
            calendars=calendars,
            schedules=schedules,
            catalogue=self._catalogue,
            always_allow=tuple(self._always_allow()),
            never_inspect=tuple(self._targets(file.never_inspect, "never_inspect")),
            rules=tuple(self._rule(("rules", n), rule, schedules) for n, rule in enumerate(file.rules)),
            exceptions=tuple(self._exceptions(schedules)),
            states={name: self._state(name, section, schedules) for name, section in file.states.items()},
            lists={
                content.status.spec.name: content.hosts
                for content in self._lists
                if not content.status.spec.locked
            },
            locked=tuple(locked_lists(self._lists, file, self._source, self._note)),
            list_status=tuple(content.status for content in self._lists),
            review=Review(**file.review.model_dump()) if file.review else None,
            support=self._support(),
            limits=Limits(
                file.limits.longest_exception, tuple(self._targets(file.limits.never, "limits", "never"))
            ),
            supervised=tuple(self._supervised()),
            circumvention=circumvention_of(file.circumvention, self._report),
            privacy=self._privacy(),
        )

    def _report(self, path: tuple[str | int, ...], message: str, *, at_key: bool = False) -> None:
        self.issues.append(self._document.issue(self._parsed.place(*path), message, at_key=at_key))

    def _note(self, path: tuple[str, ...], message: str, severity: Severity) -> None:
        issue = self._document.issue(self._parsed.place(*path), message)
        self.issues.append(replace(issue, severity=severity))

    def _source(self, *path: str | int) -> str:
        place: KeyPath = self._parsed.place(*path)
        return self._document.line(place) if place in self._document.marks else self._document.file

    def _raw_names(self, key: str) -> set[str]:
        """All names of a section, those of broken entries too, so that one mistake is reported once."""
        section = self._document.value.get(key)
        return set(section) if isinstance(section, dict) else set()

    def _zone(self) -> ZoneInfo:
        name = self._file.school.timezone
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._report(("school", "timezone"), f"unknown time zone `{name}`; a known one is Europe/London")
            return ZoneInfo("UTC")

    def _with_categories_of_lists(self) -> Catalogue:
        """Add the categories that only lists have: the school may block malware without us knowing a service of it."""
        own = {
            section.category: Category(section.category, section.category, f"the names of list {name}")
            for name, section in self._file.lists.items()
            if section.category is not None
        }
        return replace(self._catalogue, categories={**own, **self._catalogue.categories})

    def _with_own_services(self) -> Catalogue:
        services = dict(self._catalogue.services)
        for name, section in self._file.services.items():
            service = self._own_service(name, section, services.get(name))
            if service is not None:
                services[name] = service
        return replace(self._catalogue, services=services)

    def _own_service(self, name: str, section: ServiceSection, known: Service | None) -> Service | None:
        path = ("services", name)
        category = section.category or (known.category if known else None)
        if category is None:
            self._report((*path, "category"), "a new service needs a `category`")
            return None
        if category not in self._catalogue.categories:
            names = self._catalogue.categories
            self._report((*path, "category"), f"unknown category `{category}`; {suggest(category, names)}")
            return None
        shipped = known.domains if known else ()
        for domain in sorted(set(section.without) - set(shipped)):
            self._report((*path, "without"), f"`{domain}` is no domain of it; {suggest(domain, shipped)}")
        domains = tuple(sorted({*shipped, *section.domains} - set(section.without)))
        if not domains:
            self._report((*path, "domains"), "a service needs at least one domain")
            return None
        base = known or Service(name, name, category, domains)
        limit = MinimumAge(section.min_age, self._source(*path)) if section.min_age else base.min_age
        return replace(
            base, title=section.title or base.title, category=category, domains=domains, min_age=limit
        )

    def _networks(self) -> dict[str, Network]:
        networks: dict[str, Network] = {}
        owners: dict[object, str] = {}
        for name, section in self._file.networks.items():
            path = ("networks", name)
            for number, address in enumerate(section.addresses):
                if address in owners:
                    owner = owners[address]
                    message = f"`{address}` belongs to `{owner}` already ({self._source('networks', owner)})"
                    self._report((*path, "addresses", number), message)
                owners.setdefault(address, name)
            if section.vlan is not None and not 1 <= section.vlan <= 4094:
                self._report((*path, "vlan"), f"{section.vlan} is no VLAN number; they go from 1 to 4094")
            networks[name] = Network(
                id=name,
                people=section.people,
                addresses=tuple(section.addresses),
                inspection=section.inspection,
                otherwise=section.otherwise,
                vlan=section.vlan,
                source=self._source(*path),
                age=section.age,
                safe_search=section.safe_search.model_dump(exclude_none=True) if section.safe_search else {},
                accounts=self._accounts(path, section),
                language=section.language,
                passes=self._passes(name, section),
                websockets=section.websockets.given() if section.websockets else {},
            )
        return networks

    def _passes(self, name: str, section: NetworkSection) -> tuple[Pass, ...]:
        found = []
        for number, one in enumerate(section.passes):
            path = ("networks", name, "passes", number)
            for each, to in enumerate(one.to):
                if to.is_loopback or to.is_multicast or to.is_link_local:
                    self._report(
                        (*path, "to", each), f"`{to}` is nothing that a firewall could let through to"
                    )
            found.append(Pass(tuple(one.to), tuple(one.ports), one.reason, self._source(*path)))
        return tuple(found)

    def _accounts(self, path: tuple[str, ...], section: NetworkSection) -> Accounts | None:
        given = section.accounts
        if given is None:
            return None
        if section.inspection is Inspection.NAMES:
            message = (
                "needs `inspection: needed` or `all`: it is said in a header, and here only names are seen"
            )
            self._report((*path, "accounts"), message)
        return accounts_of(given)

    def _devices(self, networks: Mapping[str, Network]) -> dict[str, Device]:
        devices = {}
        for name, section in self._file.devices.items():
            if name in networks:
                self._report(("devices", name), f"`{name}` is the name of a network already", at_key=True)
            devices[name] = Device(name, tuple(section.addresses), self._source("devices", name), section.age)
        return devices

    def _check_unknown_clients(self, networks: Mapping[str, Network]) -> None:
        name = self._file.unknown_clients
        if name not in networks and ("unknown_clients",) in self._document.marks:
            known = self._raw_names("networks")
            if name not in known:
                self._report(("unknown_clients",), f"unknown network `{name}`; {suggest(name, known)}")

    def _calendar(self, path: tuple[str, ...], section: CalendarSection, zone: ZoneInfo) -> Calendar:
        terms = tuple(range_of(term) for term in section.terms)
        closed = tuple(range_of(closure) for closure in section.closed)
        for one, other in overlapping(terms):
            number = terms.index(other)
            message = f"overlaps with `{one.name}`, which runs until {one.last}"
            self._report((*path, "terms", number), message)
        years = {day.year for term in terms for day in (term.first, term.last)}
        nation = section.bank_holidays or self._file.school.bank_holidays
        return Calendar(zone, terms, closed, bank_holidays(nation, years))

    def _schedules(self) -> dict[str, Schedule]:
        return {
            name: self._schedule(("schedules", name), name, section)
            for name, section in self._file.schedules.items()
        }

    def _schedule(self, path: tuple[str | int, ...], name: str, section: ScheduleSection) -> Schedule:
        if section.calendar not in self._calendars:
            known = self._raw_names("calendars")
            if section.calendar not in known:
                message = f"unknown calendar `{section.calendar}`; {suggest(str(section.calendar), known)}"
                self._report((*path, "calendar"), message)
        calendar = self._calendars.get(section.calendar, self._calendars[None])
        if section.season is not Season.ALWAYS and not calendar.terms:
            where = f"calendars.{section.calendar}.terms" if section.calendar else "calendar.terms"
            self._report((*path, "in"), f"`in: {section.season}` needs `{where}`, and there are none")
        return Schedule(
            name,
            calendar,
            section.at,
            frozenset(range(7)) if section.days is None else section.days,
            section.season,
            frozenset(section.on or ()),
        )

    def _always_allow(self) -> Iterable[tuple[Target, str]]:
        targets = self._targets(self._file.always_allow, "always_allow")
        for number, target in enumerate(targets):
            path = ("always_allow", number)
            if target.kind is TargetKind.EVERYTHING:
                self._report(path, "`everything` would switch the filter off; name what must always work")
            yield target, self._source(*path)

    def _supervised(self) -> Iterable[Target]:
        targets = self._targets(self._file.supervised, "supervised")
        for number, target in enumerate(targets):
            if target.kind is TargetKind.EVERYTHING:
                self._report(("supervised", number), "`everything` would be no supervision; name sites")
            yield target

    def _state(self, name: str, section: StateSection, schedules: Mapping[str, Schedule]) -> State:
        path = ("states", name, "rules")
        rules = tuple(self._rule((*path, n), rule, schedules) for n, rule in enumerate(section.rules))
        return State(name, section.about, rules, self._source("states", name))

    def _rule(
        self, path: tuple[str | int, ...], section: RuleSection, schedules: Mapping[str, Schedule]
    ) -> Rule:
        verdict, targets, whom = self._ruling(path, section)
        return Rule(
            index=int(self._parsed.place(*path)[-1]),
            verdict=verdict,
            targets=targets,
            networks=whom.networks,
            devices=whom.devices,
            during=self._when((*path, "during"), section.during or [], schedules),
            reason=section.reason,
            source=self._source(*path),
            within=whom.within,
            companions=whom.companions,
            methods=whom.methods,
        )

    def _exceptions(self, schedules: Mapping[str, Schedule]) -> Iterable[PolicyException]:
        first: dict[str, int] = {}
        for number, section in enumerate(self._file.exceptions):
            path = ("exceptions", number)
            if section.id in first:
                other = self._source("exceptions", first[section.id])
                self._report((*path, "id"), f"`{section.id}` stands at {other} already; each id stands once")
            first.setdefault(section.id, number)
            yield self._exception(path, number, section, schedules)

    def _exception(
        self,
        path: tuple[str | int, ...],
        number: int,
        section: ExceptionSection,
        schedules: Mapping[str, Schedule],
    ) -> PolicyException:
        verdict, targets, whom = self._ruling(path, section)
        starts = self._instant(section.starts, last=False) if section.starts else _BEGINNING
        ends = self._instant(section.until, last=True)
        if ends <= starts:
            self._report((*path, "until"), "the exception ends before it begins")
        if verdict is Verdict.ALLOW:
            self._check_never((*path, "allow"), targets)
            self._check_never((*path, "companions"), whom.companions)
        return PolicyException(
            index=number,
            id=section.id,
            verdict=verdict,
            targets=targets,
            networks=whom.networks,
            devices=whom.devices,
            starts=starts,
            ends=ends,
            during=self._when((*path, "during"), section.during or [], schedules),
            reason=section.reason,
            source=self._source(*path),
            reviewed_by=section.reviewed_by or "",
            approved_by=section.approved_by or "",
            within=whom.within,
            companions=whom.companions,
            methods=whom.methods,
        )

    def _check_never(self, path: tuple[str | int, ...], targets: tuple[Target, ...]) -> None:
        for number, target in enumerate(targets):
            for never in self._file.limits.never:
                if reaches(never, target, self._catalogue) or opens_through_list(
                    never, target, self._lists, self._catalogue
                ):
                    message = f"`{target}` may not be opened: `limits.never` names `{never}`"
                    self._report((*path, number), message)

    def _ruling(
        self, path: tuple[str | int, ...], section: RuleSection | ExceptionSection
    ) -> tuple[Verdict, tuple[Target, ...], Audience]:
        verdict = Verdict.BLOCK if section.block is not None else Verdict.ALLOW
        targets = tuple(self._targets(section.block or section.allow or [], *path, str(verdict)))
        whom = self._whom((*path, "for"), section.whom)
        for number, target in enumerate(targets):
            if target.kind is TargetKind.URL:
                self._check_inspected((*path, str(verdict), number), f"`{target}` is a page", whom)
        within = self._on_pages((*path, "within"), section.within, whom)
        companions = self._on_pages((*path, "companions"), section.companions, whom)
        networks, devices = whom & self._networks_named, whom & self._devices_named
        return (
            verdict,
            targets,
            Audience(networks, devices, within, companions, frozenset(section.methods)),
        )

    def _on_pages(
        self, path: tuple[str | int, ...], targets: list[Target], whom: frozenset[str]
    ) -> tuple[Target, ...]:
        """Check what `within` and `companions` name; it takes an opened connection to tell pages apart."""
        for number, target in enumerate(targets):
            if target.kind not in {TargetKind.DOMAIN, TargetKind.URL}:
                self._report(
                    (*path, number), f"`{target}` is neither a site nor a page, such as example.org/page"
                )
            what = f"`{path[-1]}` speaks of parts of pages"
            self._check_inspected((*path, number), what, whom)
        return tuple(self._targets(targets, *path))

    @property
    def _networks_named(self) -> frozenset[str]:
        return frozenset(self._file.networks)

    @property
    def _devices_named(self) -> frozenset[str]:
        return frozenset(self._file.devices)

    def _whom(self, path: tuple[str | int, ...], names: list[str] | None) -> frozenset[str]:
        known = self._raw_names("networks") | self._raw_names("devices")
        for number, name in enumerate(names or ()):
            if name not in known:
                self._report((*path, number), f"unknown network or device `{name}`; {suggest(name, known)}")
        return frozenset(names or ())

    def _check_inspected(self, path: tuple[str | int, ...], what: str, whom: frozenset[str]) -> None:
        """Refuse what only an opened connection shows, for a network where none is opened."""
        message = unseen(self._file, what, whom)
        if message is not None:
            self._report(path, message)

    def _targets(self, targets: list[Target], *path: str | int) -> Iterable[Target]:
        kept = []
        for number, target in enumerate(targets):
            message = target_problem(target, self._catalogue, self._raw_names("lists"))
            if message:
                self._report((*path, number), message)
            else:
                kept.append(target)
        return kept

    def _when(
        self,
        path: tuple[str | int, ...],
        parts: Sequence[tuple[str, bool] | ScheduleSection],
        schedules: Mapping[str, Schedule],
    ) -> When:
        known = self._raw_names("schedules")
        found = []
        for number, part in enumerate(parts):
            if isinstance(part, ScheduleSection):
                found.append((self._schedule((*path, number), "the times given", part), False))
                continue
            name, negated = part
            if name in schedules:
                found.append((schedules[name], negated))
            elif name not in known:
                self._report((*path, number), f"unknown schedule `{name}`; {suggest(name, known)}")
        return When(tuple(found))

    def _instant(self, moment: Moment, *, last: bool) -> datetime:
        """Turn a moment into UTC: a day means its first instant, or where it ends something the end of the day."""
        zone = self._zone_or_utc
        value = moment.value
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
        day = value + timedelta(days=1) if last else value
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    @cached_property
    def _zone_or_utc(self) -> ZoneInfo:
        try:
            return ZoneInfo(self._file.school.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo("UTC")  # reported where the zone is read

    def _support(self) -> Support:
        section = self._file.support
        if section is None:
            return Support()
        topics = tuple(self._targets(section.topics, "support", "topics"))
        return Support(topics, section.text, section.welsh or "")

    def _privacy(self) -> Privacy:
        return Privacy(**self._file.privacy.given())
