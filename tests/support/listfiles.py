"""Lists on disk, read as a policy reads them."""

from pathlib import Path

from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.lists.spec import Format, ListContent, ListSpec


def read(
    folder: Path,
    data: bytes | None,
    *,
    file: str = "list.txt",
    format: str | None = None,  # noqa: A002 - as it is called in policy.yaml
    locked: bool = False,
    state: Path | None = None,
) -> ListContent:
    """Write a list, if data is given, and read it with a new library."""
    if data is not None:
        (folder / file).write_bytes(data)
    kind = Format(format) if format else None
    return ListLibrary(folder, state).read(ListSpec("test", locked=locked, file=file, format=kind))
