"""The names of a list in clear, read again from its source: a compiled list holds hashes only."""

from collections.abc import Callable
from pathlib import Path

from schoolgate_policy.lists import source
from schoolgate_policy.lists.gather import Gathered
from schoolgate_policy.lists.shelf import Shelf
from schoolgate_policy.lists.spec import Format, ListSpec
from schoolgate_policy.lists.unpack import parts

type Tell = Callable[[list[bytes]], None]


class _Telling(Gathered):
    """Reads a list as the compiler does, and hands the names on instead of keeping them."""

    def __init__(self, kind: Format | None, tell: Tell) -> None:
        super().__init__(kind, quiet=True, with_pages=False)
        self._tell = tell

    def _take(self, names: list[bytes]) -> None:
        self._tell(names)


def tell_names(spec: ListSpec, folder: Path, state: Path | None, tell: Tell) -> None:
    """Hand the canonical names of a list to `tell`, some at a time; `folder` is the policy's.

    They are those of the source as it is now, which is not what is in force while the list is refused.

    Raises:
        ListRefused: it is no usable list; OSError where it cannot be read.

    """
    if spec.file is not None:
        path = source.locate(folder, spec.file)
    elif spec.url is not None and state is not None:
        path = Shelf(state).download(spec)
    else:
        return
    reader = _Telling(spec.format, tell)
    for part in parts(path):
        reader.read(part.stream, ut1=part.ut1)
