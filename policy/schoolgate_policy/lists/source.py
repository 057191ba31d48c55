"""Where the bytes of a list are, what they are (a digest), and whether they may have changed (a signature)."""

import hashlib
from pathlib import Path

from schoolgate_policy.lists.spec import ListRefused
from schoolgate_policy.lists.unpack import files_of

type Signature = tuple[tuple[str, int, int, int], ...]

_BLOCK = 1 << 20


def locate(folder: Path, file: str) -> Path:
    """Return the file or folder that a policy names, which stands below the policy's own folder.

    Raises:
        ListRefused: it leads elsewhere; OSError where it is missing, or a symbolic link runs in a circle.

    """
    home = folder.resolve()
    try:
        path = (home / file).resolve()
    except RuntimeError:  # Python 3.12 says so here, later ones where the path is read
        raise ListRefused("its symbolic links run in a circle") from None
    if not path.is_relative_to(home) or path == home:
        raise ListRefused("it lies outside the folder of the policy")
    path.stat()
    return path


def signature(path: Path) -> Signature:
    """Return what changes when a list does: place, time and size of its files; empty where they cannot be read."""
    try:
        marks = [(file, file.stat()) for file in files_of(path)]
    except (OSError, ListRefused):
        return ()
    return tuple((file.name, mark.st_ino, mark.st_mtime_ns, mark.st_size) for file, mark in marks)


def digest(path: Path) -> str:
    """Return the SHA-256 of a list's content, in hexadecimal.

    Raises:
        ListRefused: it is no list; OSError where it cannot be read.

    """
    total = hashlib.sha256()
    for file in files_of(path):
        total.update(f"{file.relative_to(path)}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                total.update(block)
    return total.hexdigest()


def size(path: Path) -> int:
    """Return the bytes of a list on disk."""
    return sum(file.stat().st_size for file in files_of(path))


def changed(path: Path) -> float:
    """Return when a list was last changed, in seconds since the epoch."""
    return max((file.stat().st_mtime for file in files_of(path)), default=0.0)
