"""From the sections `lists` and `locked` of a policy to lists that can be judged by."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from schoolgate_policy.errors import Severity
from schoolgate_policy.lists.spec import ListContent, ListRefused, ListSpec
from schoolgate_policy.model import Catalogue, Inspection, LockedList, Target, TargetKind
from schoolgate_policy.reach import is_within, names_of
from schoolgate_policy.schema import ListSection, LockedSection, PolicyFile

type ListReader = Callable[[ListSpec], ListContent]
type Report = Callable[[tuple[str, ...], str, Severity], None]

_EVERY_DAY = timedelta(days=1)


def specs_of(file: PolicyFile) -> list[ListSpec]:
    """Return all lists that a policy names, in the order of the file."""
    return [
        *(_spec(name, section, locked=True) for name, section in file.locked.items()),
        *(_spec(name, section, locked=False) for name, section in file.lists.items()),
    ]


def _spec(name: str, section: ListSection | LockedSection, *, locked: bool) -> ListSpec:
    return ListSpec(
        name=name,
        locked=locked,
        file=section.file,
        url=section.url,
        format=section.format,
        category=section.category if isinstance(section, ListSection) else None,
        reason=section.reason if isinstance(section, ListSection) else None,
        licence=section.licence,
        refresh=section.refresh or _EVERY_DAY,
    )


def read_lists(specs: Iterable[ListSpec], read: ListReader, report: Report) -> list[ListContent]:
    """Read every list; what cannot be had is an error, what is had with a flaw a warning."""
    contents = []
    for spec in specs:
        home = ("locked" if spec.locked else "lists", spec.name)
        place = (*home, "file") if spec.file else (*home, "url") if spec.url else home
        try:
            content = read(spec)
        except ListRefused as error:
            report(place, f"`{spec.file or spec.url}`: {error}", Severity.ERROR)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            report(place, f"`{spec.file or spec.url}` cannot be read: {reason}", Severity.ERROR)
        else:
            contents.append(content)
            for message in content.warnings:
                report(place, message, Severity.WARNING)
    return contents


def locked_lists(
    contents: Iterable[ListContent], file: PolicyFile, source: Callable[..., str], report: Report
) -> Iterable[LockedList]:
    """Return the locked lists; warn where their pages cannot be told from their sites."""
    blind = [name for name, network in file.networks.items() if network.inspection is Inspection.NAMES]
    for content in contents:
        name = content.status.spec.name
        if not content.status.spec.locked:
            continue
        if content.pages is not None and blind:
            message = f"its pages pass on {', '.join(blind)}, where only names are seen (`inspection: names`)"
            report(("locked", name), message, Severity.WARNING)
        yield LockedList(name, content.hosts, source("locked", name), content.pages)


def opens_through_list(
    never: Target, target: Target, contents: Iterable[ListContent], catalogue: Catalogue
) -> bool:
    """Whether a target opens a host of some list that `never` names, itself or by its category."""
    for content in contents:
        spec = content.status.spec
        by_category = never.kind is TargetKind.CATEGORY and spec.category is not None
        named = never.kind is TargetKind.LIST and never.value == spec.name
        if spec.locked or not (
            named or (by_category and is_within(spec.category or "", never.value, catalogue))
        ):
            continue
        if target.kind is TargetKind.LIST and target.value == spec.name:
            return True
        whole = target.kind is TargetKind.CATEGORY and spec.category is not None
        if whole and is_within(spec.category or "", target.value, catalogue):
            return True
        if any(content.hosts.covers(name) for name in names_of(target, catalogue)):
            return True
    return False
