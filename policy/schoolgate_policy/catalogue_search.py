"""Find a service by what somebody types: an id, a title, a category, a domain or a whole address."""

from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from schoolgate_policy.model import Catalogue, Service
from schoolgate_policy.names import canonical_host, suffixes


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The services found, the likeliest first; where there are none, `near` are ids that look like the text."""

    services: tuple[Service, ...]
    near: tuple[str, ...] = ()


def search(catalogue: Catalogue, text: str) -> SearchResult:
    """Find services by id, category, domain, URL, or words of the title; nothing found gives similar ids."""
    needle = " ".join(text.split()).casefold()
    if not needle:
        return SearchResult(())
    for found in (
        _by_id(catalogue, needle),
        _by_category(catalogue, needle.removeprefix("category:")),
        tuple(service for service in catalogue.services.values() if service.title.casefold() == needle),
        by_host(catalogue, _host(needle)),
        _by_word(catalogue, needle),
        _by_part(catalogue, needle),
    ):
        if found:
            return SearchResult(found)
    return SearchResult((), _near(catalogue, needle))


def by_host(catalogue: Catalogue, host: str | None) -> tuple[Service, ...]:
    """Return the services that a canonical host belongs to, the closest name first; shared names give several."""
    if host is None:
        return ()
    found: dict[str, Service] = {}
    for name in suffixes(host):
        for service in catalogue.services.values():
            if name in service.domains or name in service.frontends or name in service.shared_domains:
                found.setdefault(service.id, service)
    return tuple(found.values())


def _by_id(catalogue: Catalogue, needle: str) -> tuple[Service, ...]:
    service = catalogue.services.get(needle.replace(" ", "-"))
    return (service,) if service else ()


def _by_category(catalogue: Catalogue, needle: str) -> tuple[Service, ...]:
    if needle not in catalogue.categories:
        return ()
    family = {needle} | {
        category.id for category in catalogue.categories.values() if category.parent == needle
    }
    return tuple(service for service in catalogue.services.values() if service.category in family)


def _host(needle: str) -> str | None:
    if "." not in needle:
        return None
    try:
        host = urlsplit(needle if "://" in needle else f"//{needle}").hostname
        return canonical_host(host) if host else None
    except ValueError:
        return None


def _words(service: Service) -> set[str]:
    kept = "".join(letter if letter.isalnum() else " " for letter in service.title.casefold())
    return {*kept.split(), *service.id.split("-")}


def _by_word(catalogue: Catalogue, needle: str) -> tuple[Service, ...]:
    wanted = set(needle.replace("-", " ").split())
    return tuple(service for service in catalogue.services.values() if wanted <= _words(service))


def _by_part(catalogue: Catalogue, needle: str) -> tuple[Service, ...]:
    squeezed = needle.replace(" ", "").replace("-", "")
    return tuple(
        service
        for service in catalogue.services.values()
        if needle in service.title.casefold() or squeezed in service.id.replace("-", "")
    )


def _near(catalogue: Catalogue, needle: str) -> tuple[str, ...]:
    spellings = {service.title.casefold(): service.id for service in catalogue.services.values()}
    spellings |= {id_: id_ for id_ in (*catalogue.services, *catalogue.categories)}
    matches = get_close_matches(needle, spellings, n=6, cutoff=0.6)
    return tuple(dict.fromkeys(spellings[match] for match in matches))[:3]
