"""Which targets reach into which: whether opening one would open something another names."""

from schoolgate_policy.model import Catalogue, Target, TargetKind
from schoolgate_policy.names import suffixes


def reaches(whole: Target, part: Target, catalogue: Catalogue) -> bool:
    """Whether `part` opens anything that `whole` names. Lists are compared by name only."""
    if whole.kind is TargetKind.EVERYTHING or part.kind is TargetKind.EVERYTHING:
        return True
    if TargetKind.LIST in {whole.kind, part.kind}:
        return whole == part
    ours, theirs = names_of(whole, catalogue), names_of(part, catalogue)
    return any(name in ours for host in theirs for name in suffixes(host)) or any(
        name in theirs for host in ours for name in suffixes(host)
    )


def names_of(target: Target, catalogue: Catalogue) -> frozenset[str]:
    """Return the names a target covers (each with all below it); nothing for lists and `everything`."""
    match target.kind:
        case TargetKind.SERVICE:
            return frozenset(catalogue.services[target.value].domains)
        case TargetKind.CATEGORY:
            return frozenset(
                domain
                for service in catalogue.services.values()
                if is_within(service.category, target.value, catalogue)
                for domain in service.domains
            )
        case TargetKind.DOMAIN | TargetKind.URL:
            return frozenset({target.value})
        case _:
            return frozenset()


def is_within(category: str, other: str, catalogue: Catalogue) -> bool:
    """Whether a category is another one or lies below it."""
    current: str | None = category
    while current is not None:
        if current == other:
            return True
        current = catalogue.categories[current].parent
    return False
