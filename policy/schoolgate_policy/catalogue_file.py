"""Read the catalogue of services: a folder with one YAML file per category, or one file with them all.

Reading (`load_catalogue`) and understanding (`parse_catalogue`) are apart, so that an update which came as bytes
goes through the very same checks as the shipped files. Every scalar is text here (a service may be called `no`
or `12:30`), every problem of every file is reported in one pass, and data with a problem is never used.
"""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml
from pydantic import ValidationError

from schoolgate_policy.catalogue_schema import FORMAT, CategoryDocument, HeaderDocument
from schoolgate_policy.catalogue_tree import Document, TreeError, read_documents
from schoolgate_policy.errors import PolicyError, PolicyIssue
from schoolgate_policy.model import Catalogue, Category, MinimumAge, Service

HEADER = "catalogue.yaml"
SUFFIX = ".yaml"


def shipped() -> Traversable:
    """Return the folder of the catalogue that this release carries."""
    return files("schoolgate_policy") / "catalogue"


def load_catalogue(source: Path | None = None) -> Catalogue:
    """Read the shipped catalogue, or another folder of category files, or one file that holds them all.

    Raises:
        PolicyError: the data cannot be used; every problem with its file, line and column.

    """
    return parse_catalogue(read_texts(source or shipped()))


def read_texts(source: Path | Traversable) -> list[tuple[str, str]]:
    """Return name and text of every file of a catalogue, the header first, then by name.

    Raises:
        PolicyError: a file cannot be read, or is not UTF-8.

    """
    try:
        if source.is_file():
            return [(source.name, source.read_text(encoding="utf-8"))]
        paths = [path for path in source.iterdir() if path.name.endswith(SUFFIX)]
        paths.sort(key=lambda path: (path.name != HEADER, path.name))
        return [(f"{source.name}/{path.name}", path.read_text(encoding="utf-8")) for path in paths]
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError((_whole(source.name, f"cannot be read: {error}"),)) from error


def parse_catalogue(texts: Iterable[tuple[str, str]]) -> Catalogue:
    """Build the catalogue from the texts of its files, each with the name that messages shall use.

    Raises:
        PolicyError: the data cannot be used; every problem with its file, line and column.

    """
    collected = _Collected()
    for name, text in texts:
        collected.add_text(name, text)
    return collected.finish()


def _whole(name: str, message: str) -> PolicyIssue:
    return PolicyIssue(name, 0, 0, "", message)


class _Collected:
    """What has been read so far, and everything that is wrong with it."""

    def __init__(self) -> None:
        self._issues: list[PolicyIssue] = []
        self._headers: list[HeaderDocument] = []
        self._categories: dict[str, tuple[Category, Document]] = {}
        self._services: dict[str, tuple[Service, Document]] = {}
        self._empty = True

    def add_text(self, name: str, text: str) -> None:
        self._empty = False
        try:
            for document in read_documents(name, text):
                self._add(document)
        except TreeError as error:
            self._issues.append(error.issue)
        except yaml.YAMLError as error:
            self._issues.append(_yaml_issue(name, error))

    def _add(self, document: Document) -> None:
        try:
            if "version" in document.keys:
                self._add_header(document)
            else:
                self._add_category(document)
        except ValidationError as error:
            self._issues += document.issues(error)

    def _add_header(self, document: Document) -> None:
        header = HeaderDocument.model_validate(document.data)
        if header.format > FORMAT:
            message = f"format {header.format} needs a newer Schoolgate; this one reads up to {FORMAT}"
            self._issues.append(document.issue(("format",), message))
        if self._headers:
            self._issues.append(document.issue(("version",), "the catalogue has two headers"))
        self._headers.append(header)

    def _add_category(self, document: Document) -> None:
        entry = CategoryDocument.model_validate(document.data)
        if entry.category in self._categories:
            first = self._categories[entry.category][1].where(("category",))
            self._issues.append(document.issue(("category",), f"{entry.category!r} is already in {first}"))
        category = Category(entry.category, entry.title, entry.about, entry.parent)
        self._categories[entry.category] = (category, document)
        for service in _services(entry):
            if service.id in self._services:
                first = self._services[service.id][1].where(("services", service.id))
                self._issues.append(
                    document.issue(("services", service.id), f"this service is already in {first}")
                )
            self._services[service.id] = (service, document)

    def finish(self) -> Catalogue:
        if not self._headers and not self._issues:
            self._issues.append(_whole(HEADER, "missing, and with it the version of the data"))
        self._issues += self._wrong_parents()
        self._issues += self._claimed_twice()
        if self._issues:
            raise PolicyError(tuple(self._issues))
        return Catalogue(
            version=self._headers[0].version,
            categories={id_: category for id_, (category, _) in sorted(self._categories.items())},
            services={id_: service for id_, (service, _) in sorted(self._services.items())},
        )

    def _wrong_parents(self) -> Iterator[PolicyIssue]:
        for category, document in self._categories.values():
            if category.parent is None:
                continue
            if category.parent not in self._categories:
                available = ", ".join(sorted(self._categories))
                yield document.issue(("parent",), f"no category {category.parent!r}; available: {available}")
            elif self._categories[category.parent][0].parent is not None:
                yield document.issue(
                    ("parent",), f"{category.parent!r} has a parent itself; two levels are all"
                )

    def _claimed_twice(self) -> Iterator[PolicyIssue]:
        """Find names that two services claim: a name has one owner, or is marked as shared by each that uses it."""
        owners: dict[str, str] = {}
        for service, document in self._services.values():
            for field, domains in (("domains", service.domains), ("frontends", service.frontends)):
                for position, domain in enumerate(domains):
                    owner = owners.setdefault(domain, service.id)
                    if owner != service.id:
                        where = ("services", service.id, field, position)
                        yield document.issue(where, f"{domain!r} already belongs to {owner!r}")
        for service, document in self._services.values():
            for position, domain in enumerate(service.shared_domains):
                if domain in owners:
                    where = ("services", service.id, "shared_domains", position)
                    yield document.issue(where, f"{domain!r} is shared here but owned by {owners[domain]!r}")


def _services(entry: CategoryDocument) -> Iterator[Service]:
    for id_, service in entry.services.items():
        age = service.min_age
        yield Service(
            id=id_,
            title=service.title,
            category=entry.category,
            domains=service.domains,
            shared_domains=service.shared_domains,
            min_age=MinimumAge(age.years, age.source, age.checked) if age else None,
            frontends=service.frontends,
            notes=" ".join(service.notes.split()),
        )


def _yaml_issue(name: str, error: yaml.YAMLError) -> PolicyIssue:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    if mark is None:
        return _whole(name, problem)
    return PolicyIssue(name, mark.line + 1, mark.column + 1, "", problem)
