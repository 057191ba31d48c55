"""A difference in words and as JSON: `pupils: Instagram: blocked → allowed, mon-fri 12:10-13:10 in term`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from schoolgate_policy.cells import Group
from schoolgate_policy.decision import Verdict
from schoolgate_policy.difference import Change, Difference
from schoolgate_policy.model import Catalogue, Policy
from schoolgate_policy.reach import is_within
from schoolgate_policy.sites import Part, Site
from schoolgate_policy.survey import Survey
from schoolgate_policy.times_in_words import Times, clock, weekdays

_MOST_SHOWN = 12
_DONE = {Verdict.ALLOW: "allowed", Verdict.BLOCK: "blocked"}
_OTHER = {Verdict.ALLOW: Verdict.BLOCK, Verdict.BLOCK: Verdict.ALLOW}


def as_lines(found: Difference, new: Policy) -> Iterator[str]:
    """Yield a line for each change, and one for where each verdict came and comes from."""
    surveys = dict(found.surveys)
    for change in found.changes:
        survey = surveys[change.state]
        who = ", ".join(audience(change.groups, survey))
        what = _shortened(subjects(change, survey, new.catalogue))
        when = "; ".join(str(times) for times in change.times)
        state = f"in state {change.state}: " if change.state else ""
        old = _DONE[_OTHER[change.verdict]]
        yield f"{state}{who}: {what}: {old} → {_DONE[change.verdict]}, {when}"
        yield f"    was by {', '.join(change.before)}; becomes by {', '.join(change.after)}"


def as_mapping(found: Difference, new: Policy) -> dict[str, Any]:
    """Return a difference as plain data; instants in ISO 8601, minutes of the day as the clock shows them."""
    surveys = dict(found.surveys)
    return {
        "changes": [
            {
                "state": change.state,
                "who": audience(change.groups, surveys[change.state]),
                "what": subjects(change, surveys[change.state], new.catalogue),
                "from": _OTHER[change.verdict].value,
                "to": change.verdict.value,
                "when": [_times(times) for times in change.times],
                "before": list(change.before),
                "after": list(change.after),
            }
            for change in found.changes
        ]
    }


def _times(times: Times) -> dict[str, Any]:
    if times.stretch:
        return {"from": times.stretch[0].isoformat(), "until": times.stretch[1].isoformat()}
    return {
        "days": weekdays(times.days) or "mon-sun",
        "at": [f"{clock(start)}-{clock(end)}" for start, end in times.at],
        "in": times.season.value,
        "from": str(times.first) if times.first else None,
        "to": str(times.last) if times.last else None,
    }


def _shortened(names: list[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_MOST_SHOWN])} and {more} more"


def audience(groups: Iterable[Group], survey: Survey) -> list[str]:
    """Name some groups: a network where all its groups are among them, else its devices one by one."""
    left = set(groups)
    if left == set(survey.groups):
        return ["everybody"]
    found = []
    by_network: dict[tuple[tuple[str, bool], ...], set[Group]] = {}
    for group in survey.groups:
        key = tuple((client.network, client.known) for client in group.clients)
        by_network.setdefault(key, set()).add(group)
    for key, members in sorted(by_network.items(), key=lambda item: [not known for _, known in item[0]]):
        if members <= left:
            found.append(_network(key))
        else:
            found += sorted(_one(group, key) for group in members & left)
    return found


def _network(key: tuple[tuple[str, bool], ...]) -> str:
    names = [network if known else f"addresses in no network (as {network})" for network, known in key]
    return " → ".join(dict.fromkeys(names))


def _one(group: Group, key: tuple[tuple[str, bool], ...]) -> str:
    devices = " → ".join(dict.fromkeys(", ".join(client.devices) or "no device" for client in group.clients))
    return f"{_network(key)} ({'other devices' if devices == 'no device' else devices})"


def subjects(change: Change, survey: Survey, catalogue: Catalogue) -> list[str]:
    """Name the sites of a change as a policy would: categories and services where all of one is in it, else names."""
    sites = set(change.sites)
    possible = [site for site in survey.sites.all if survey.is_possible(change.groups[0], site)]
    if sites >= set(possible):
        return ["everything"]
    by_name: dict[str | None, set[Site]] = {}
    for site in possible:
        if not site.locked:
            by_name.setdefault(site.name, set()).add(site)
    whole = {name for name, parts in by_name.items() if name and parts <= sites}
    found, told = _services(whole, catalogue)
    found += sorted(whole - told)
    rest = [site for site in change.sites if site.name not in whole]
    return [*found, *dict.fromkeys(text for site in rest if (text := _piece(site, sites, possible)))]


def _services(whole: set[str], catalogue: Catalogue) -> tuple[list[str], set[str]]:
    """Name the categories and services of which every domain is among some names, and return those domains."""
    services = {
        service.id: service for service in catalogue.services.values() if whole.issuperset(service.domains)
    }
    told = {domain for service in services.values() for domain in service.domains}
    found: list[str] = []
    for category in catalogue.categories:
        members = {s.id for s in catalogue.services.values() if is_within(s.category, category, catalogue)}
        if len(members) > 1 and members <= services.keys():
            found.append(f"category:{category}")
    covered = [name.removeprefix("category:") for name in found]
    parents = [
        name
        for name in covered
        if any(other != name and is_within(name, other, catalogue) for other in covered)
    ]
    single = [
        service.title
        for service in services.values()
        if not any(is_within(service.category, name, catalogue) for name in covered)
    ]
    return [name for name in found if name.removeprefix("category:") not in parents] + sorted(single), told


def _piece(site: Site, among: set[Site], possible: Sequence[Site]) -> str:
    """Name one site that does not stand for a whole name; empty where another one's words say it too."""
    if site.locked:
        return f"the sites on the locked list {site.locked}"
    on = " and ".join(f"list:{name}" for name in sorted(site.lists))
    if on and (site.name or len(site.lists) > 1):
        wider = any(
            other.name is None and len(other.lists) == 1 and other.lists <= site.lists
            for other in among - {site}
        )
        if wider:
            return ""
    where = site.name or ("" if on else "every other site")
    page = f"{where}{site.page}"
    match site.part:
        case Part.NAME:
            with_pages = any(other.name == site.name and other.part is Part.PAGE for other in among)
            text = "" if with_pages else f"{where} (its name, for the sake of a page)"
        case Part.PAGE:
            text = _page(site, page, among, {other for other in possible if other.is_page_of(site)})
        case Part.OTHER_PAGES:
            text = f"{where} (all other pages)"
        case Part.ODD_PAGES:
            plain = any(other.name == site.name and other.page == site.page for other in among - {site})
            text = "" if plain else f"{page} (addresses in an odd spelling)"
        case _:
            text = where
    return " below ".join(part for part in (on, text) if part) if on else text


def _page(site: Site, page: str, among: set[Site], alike: set[Site]) -> str:
    """Name a page, or what is sent to it; `alike` is the page with everything that can be done with it."""
    reading, sent = [{one for one in alike if (one.method is None) is reads} for reads in (True, False)]
    if alike <= among:
        return page
    if site in reading:
        return f"{page} (to read)"
    return (
        f"{page} (what is sent to it)" if sent <= among else f"{page} (what is sent to it by {site.method})"
    )
