"""All lists of a policy: finds each, has it compiled, and never lets go of a good copy for a bad one."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from schoolgate_policy.lists import source
from schoolgate_policy.lists.hostset import NameSet
from schoolgate_policy.lists.shelf import Good, Shelf, read_json
from schoolgate_policy.lists.source import Signature
from schoolgate_policy.lists.spec import (
    Counts,
    HostSet,
    ListContent,
    ListRefused,
    ListSpec,
    ListStatus,
    PageSet,
    Standing,
)
from schoolgate_policy.lists.workshop import Workshop

_VERSION = 1  # of what the compiler makes of the same source
_FEW = 10  # entries; below them a list may shrink as it likes: people write such lists by hand


@dataclass(frozen=True, slots=True)
class _Loaded:
    hosts: HostSet
    pages: PageSet
    counts: Counts
    digest: str


class ListLibrary:
    """Reads the lists of the policy in one folder; `state` keeps the last good copies. Not for several threads.

    Without `keeps`, the state folder is read and never changed: for whoever only looks.
    """

    def __init__(self, folder: Path, state: Path | None = None, *, keeps: bool = True) -> None:
        self._folder = folder
        self._shelf = Shelf(state) if state else None
        self._keeps = keeps
        if self._shelf is not None and keeps:
            try:
                self._shelf.prepare()
            except OSError:  # nothing is kept then; the store says so, as it cannot keep the policy either
                self._shelf = None
        self._workshop = Workshop(self._shelf, writes=keeps)
        self._loaded: dict[str, _Loaded] = {}
        self._refused: dict[str, str] = {}
        self._digests: dict[tuple[Path, Signature], str] = {}
        self._noted: dict[str, tuple[ListSpec, Signature]] = {}
        self._good: dict[str, tuple[Good, _Loaded]] = {}

    def start_over(self) -> None:
        """Forget which lists were read; call before a policy is read."""
        self._noted = {}

    def noted(self) -> tuple[tuple[str, Signature], ...]:
        """Return the signatures of the lists as they were when they were read."""
        return tuple((key, signature) for key, (_, signature) in self._noted.items())

    def current(self) -> tuple[tuple[str, Signature], ...]:
        """Return the signatures of the same lists as they are."""
        return tuple((key, self._signature(spec)) for key, (spec, _) in self._noted.items())

    def folders(self) -> set[Path]:
        """Return the folders in which a change may change a list."""
        found = set(self._shelf.marks()) if self._shelf else set()
        for spec, _ in self._noted.values():
            if spec.file:
                path = self._folder / spec.file
                found |= {path.parent, path}
        return found

    def read(self, spec: ListSpec) -> ListContent:
        """Return a list, or the last good copy of it, saying why.

        Raises:
            ListRefused: it is no usable list, and there is no good copy; OSError where it cannot be read.

        """
        self._noted[spec.key] = spec, self._signature(spec)
        if spec.file is None and spec.url is None:
            return self._nothing(spec, "it names neither `file` nor `url`")
        try:
            return self._present(spec)
        except FileNotFoundError as error:
            return self._absent(spec, error)
        except (ListRefused, OSError) as error:
            kept = self._kept(spec, _reason(error))
            if kept is None:
                raise
            return kept

    def digest(self, spec: ListSpec) -> str:
        """Return the digest of what a list brings now.

        Raises:
            ListRefused: it is no usable list; OSError where it cannot be read.

        """
        path = self._path(spec)
        key = path, source.signature(path)
        if key not in self._digests:
            self._digests = {known: value for known, value in self._digests.items() if known[0] != path}
            self._digests[key] = source.digest(path)
        return self._digests[key]

    def _path(self, spec: ListSpec) -> Path:
        if spec.file is not None:
            return source.locate(self._folder, spec.file)
        if self._shelf is None:
            raise FileNotFoundError(2, "No such file or directory")
        return self._shelf.download(spec)

    def _signature(self, spec: ListSpec) -> Signature:
        """Return what changes with a list: its files, when it was confirmed, whether it is accepted."""
        try:
            own = source.signature(self._path(spec))
        except (ListRefused, OSError):
            own = ()
        if self._shelf is None:
            return own
        confirmed = source.signature(self._confirmed(spec)) if spec.url else ()
        return *own, *confirmed, (self._shelf.accepted(spec), 0, 0, 0)

    def _confirmed(self, spec: ListSpec) -> Path:
        assert self._shelf is not None  # noqa: S101 - asked for only where there is one
        path = self._shelf.download(spec)
        return path.with_name(f"{path.name}.json")

    def _present(self, spec: ListSpec) -> ListContent:
        path = self._path(spec)
        digest = self.digest(spec)
        name = f"{digest[:32]}-{spec.format or 'auto'}-{'locked' if spec.locked else 'open'}-{_VERSION}.sgl"
        if name in self._refused:
            raise ListRefused(self._refused[name])
        try:
            loaded = self._loaded.get(name) or self._made(spec, path, digest, name)
        except ListRefused as error:
            self._refused[name] = str(error)
            raise
        entries = len(loaded.hosts) + len(loaded.pages)
        if spec.locked and not entries:
            return self._kept(spec, "it is empty") or self._nothing(spec, "the list is empty")
        self._check_size(spec, entries, digest)
        good = Good(spec.file or spec.url or "", name, digest, entries, self._dated(spec, path))
        self._loaded[name] = loaded
        self._good[spec.key] = good, loaded
        self._loaded = {known.compiled: value for known, value in self._good.values()}
        content = _content(spec, loaded, good, Standing.IN_USE)
        try:
            if self._shelf is not None and self._keeps:
                self._shelf.keep(spec, good)
        except OSError as error:  # a full disk costs the copy, not the list
            told = f"no copy kept: {error.strerror or type(error).__name__}"
            return replace(content, warnings=(*content.warnings, told))
        return content

    def _made(self, spec: ListSpec, path: Path, digest: str, name: str) -> _Loaded:
        compiled, small = self._workshop.make(spec, path, digest, name)
        hosts: HostSet = compiled.hosts if small is None else small
        return _Loaded(hosts, compiled.pages, compiled.counts, digest)

    def _check_size(self, spec: ListSpec, entries: int, digest: str) -> None:
        before = self._before(spec)
        if before is None or before.digest == digest or (before.entries < _FEW and not spec.locked):
            return
        accepted = self._shelf is not None and self._shelf.accepted(spec) == digest
        if entries * 2 <= before.entries and not accepted:
            raise ListRefused(
                f"it shrank from {before.entries:,} entries to {entries:,}; "
                f"`schoolgate policy lists --accept {spec.name}` takes it all the same"
            )

    def _before(self, spec: ListSpec) -> Good | None:
        if self._shelf is not None:
            return self._shelf.good(spec)
        known = self._good.get(spec.key)
        return known[0] if known and known[0].source == (spec.file or spec.url) else None

    def _dated(self, spec: ListSpec, path: Path) -> float:
        if spec.url and self._shelf is not None:
            return float(read_json(self._confirmed(spec)).get("confirmed") or source.changed(path))
        return source.changed(path)

    def _absent(self, spec: ListSpec, error: FileNotFoundError) -> ListContent:
        kept = self._kept(spec, _reason(error))
        if kept is not None:
            return kept
        if spec.url is not None:
            return self._nothing(
                spec, "it was not fetched yet: `schoolgate policy lists --refresh` fetches it"
            )
        if spec.locked:
            return self._nothing(spec, "the file is missing")
        raise error

    def _kept(self, spec: ListSpec, why: str) -> ListContent | None:
        """Return the last good copy of a list whose present one is not used."""
        good = self._before(spec)
        if good is None:
            return None
        known = self._good.get(spec.key)
        loaded = known[1] if known and known[0].digest == good.digest else self._from_shelf(good)
        if loaded is None:
            return None
        content = _content(spec, loaded, good, Standing.KEPT)
        day = datetime.fromtimestamp(good.dated, UTC).date()
        told = f"refused: {why}; the copy of {day} stays in use"
        return replace(
            content, status=replace(content.status, refused=why), warnings=(told, *content.warnings)
        )

    def _from_shelf(self, good: Good) -> _Loaded | None:
        compiled = self._workshop.again(good.compiled)
        if compiled is None:
            return None
        return _Loaded(compiled.hosts, compiled.pages, compiled.counts, compiled.digest)

    def _nothing(self, spec: ListSpec, why: str) -> ListContent:
        standing = Standing.NOT_SUPPLIED if spec.locked else Standing.NOT_FETCHED
        return ListContent(NameSet(()), ListStatus(spec, standing), warnings=(f"{standing}: {why}",))


def _content(spec: ListSpec, loaded: _Loaded, good: Good, standing: Standing) -> ListContent:
    dated = datetime.fromtimestamp(good.dated, UTC)
    status = ListStatus(spec, standing, loaded.counts, loaded.digest[:12], dated)
    pages = loaded.pages if len(loaded.pages) else None
    return ListContent(loaded.hosts, status, pages, tuple(_warnings(loaded.counts)))


def _warnings(counts: Counts) -> list[str]:
    told = []
    if counts.unreadable:
        lines = "1 line cannot" if counts.unreadable == 1 else f"{counts.unreadable} lines cannot"
        told.append(f"{lines} be read; the first is line {counts.first_unreadable}")
    if counts.too_wide:
        told.append(f"{counts.too_wide} entries are left out, as each covers half a country (such as co.uk)")
    if not counts.names and not counts.pages:
        told.append("the list is empty")
    return told


def _reason(error: OSError | ListRefused) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or type(error).__name__}"
    return str(error)
