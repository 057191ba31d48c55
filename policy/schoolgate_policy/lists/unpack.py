"""The bytes of a list, from a file, a folder or a tar, packed or not; never more than the limits allow."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from schoolgate_policy.lists.spec import ListRefused

MOST_SOURCE = 512 << 20  # bytes on disk; five million names are about 100 MiB
MOST_UNPACKED = 1 << 30
MOST_RATIO = 100  # of packed to unpacked, beyond the first bytes; lists of names reach 10
_FREE = 16 << 20
MOST_FILES = 1_000
_UT1_NAMES = frozenset({"domains", "urls"})
_UT1_DEPTH = 3
_GZIP, _TAR_MAGIC, _TAR_AT = b"\x1f\x8b", b"ustar", 257


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a list."""

    stream: IO[bytes]
    ut1: bool  # one of the files named `domains` and `urls`


class _Bounded(io.RawIOBase):
    """Reads a stream up to the limits, and refuses what goes beyond them."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, packed: int) -> None:
        super().__init__()
        self._stream = stream
        self._packed = packed
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # narrower than Buffer, as io calls it
        try:
            data = self._stream.read(len(buffer))
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise ListRefused("it is a broken or cut-off gzip file") from None
        self._given += len(data)
        if self._given > MOST_UNPACKED:
            raise ListRefused(f"it unpacks to more than {MOST_UNPACKED >> 20} MiB")
        if self._given > _FREE and self._given > self._packed * MOST_RATIO:
            raise ListRefused(f"it unpacks to more than {MOST_RATIO} times its size")
        buffer[: len(data)] = data
        return len(data)


def files_of(path: Path) -> list[Path]:
    """Return the files that make up a list, in a fixed order; symbolic links inside a folder are not followed.

    Raises:
        ListRefused: it is neither file nor folder, or too large; OSError where it cannot be read.

    """
    if path.is_dir():
        files = sorted(_below(path, 0))
        if len(files) > MOST_FILES:
            raise ListRefused(f"the folder holds more than {MOST_FILES} files")
        named = [file for file in files if file.name in _UT1_NAMES]
        files = named or [file for file in files if file.parent == path]
    elif path.is_file():
        files = [path]
    else:
        path.stat()  # says what is wrong where it is not there
        raise ListRefused("it is neither a file nor a folder")
    size = sum(file.stat().st_size for file in files)
    if size > MOST_SOURCE:
        raise ListRefused(f"it has {size >> 20} MiB, more than {MOST_SOURCE >> 20}")
    return files


def _below(folder: Path, depth: int) -> Iterator[Path]:
    seen = 0
    for entry in folder.iterdir():
        seen += 1
        if seen > 10 * MOST_FILES:
            raise ListRefused(f"the folder holds more than {MOST_FILES} files")
        if entry.is_symlink() or entry.name.startswith("."):
            continue
        if entry.is_dir() and depth < _UT1_DEPTH:
            yield from _below(entry, depth + 1)
        elif entry.is_file():
            yield entry


def parts(path: Path) -> Iterator[Part]:
    """Open the files of a list one after the other.

    Raises:
        ListRefused: something in it is not to be trusted, or too large.

    """
    for file in files_of(path):
        with _opened(file) as stream:
            if _is_tar(stream):
                yield from _members(stream)
            else:
                yield Part(stream, file.name in _UT1_NAMES and file != path)


@contextmanager
def _opened(file: Path) -> Iterator[io.BufferedReader]:
    with file.open("rb") as raw:
        packed = raw.peek(2)[:2] == _GZIP
        size = file.stat().st_size
        inner: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
        yield io.BufferedReader(_Bounded(inner, size if packed else MOST_UNPACKED), 1 << 20)


def _is_tar(stream: io.BufferedReader) -> bool:
    head = stream.peek(512)
    return head[_TAR_AT : _TAR_AT + len(_TAR_MAGIC)] == _TAR_MAGIC


def _members(stream: IO[bytes]) -> Iterator[Part]:
    count = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                count += 1
                if count > 10 * MOST_FILES:
                    raise ListRefused(f"the archive holds more than {10 * MOST_FILES} entries")
                _check(member)
                if member.isreg() and PurePosixPath(member.name).name in _UT1_NAMES:
                    inside = archive.extractfile(member)
                    if inside is not None:
                        yield Part(inside, ut1=True)
    except tarfile.TarError:
        raise ListRefused("it is a broken tar archive") from None


def _check(member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise ListRefused("the archive holds a path that leads out of it")
    if member.isdev():
        raise ListRefused("the archive holds a device or a pipe")
