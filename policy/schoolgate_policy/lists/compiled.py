"""The file of a compiled list: a header, what was counted, and two sets of hashes. It holds no entry in clear.

Layout: magic (8), xxh3-128 of all that follows (16), length of the description (4), zeros (4), the description (JSON),
then at multiples of 8 the index and hashes of the names, and those of the pages.
"""

import json
import mmap
import os
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from schoolgate_policy.lists.hostset import HashedSet, Pages
from schoolgate_policy.lists.spec import Counts
from schoolgate_policy.lists.table import Table, bytes_of, index_bytes, table_of

MAGIC = b"SGLIST\x00\x01"  # ends in the version of the layout
_HEAD = struct.Struct("<8s16sI4x")


class Corrupt(ValueError):  # noqa: N818
    """A file that is not what was written."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A list ready for look-ups."""

    hosts: HashedSet
    pages: Pages
    counts: Counts
    digest: str  # of the source


def write(path: Path, names: Table, pages: Table, counts: Counts, digest: str) -> None:
    """Write a compiled list; whoever opens the path finds the old file or the whole new one.

    Raises:
        OSError: the folder cannot be written.

    """
    about = {
        "order": sys.byteorder,
        "digest": digest,
        "counts": asdict(counts),
        "names": [names.shift, len(names)],
        "pages": [pages.shift, len(pages)],
    }
    text = json.dumps(about).encode()
    text += b" " * (-len(text) % 8)
    blocks = (text, *bytes_of(names), *bytes_of(pages))
    check = xxh3_128()
    for block in blocks:
        check.update(block)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), 0o640)
            file.write(_HEAD.pack(MAGIC, check.digest(), len(text)))
            for block in blocks:
                file.write(block)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def open_compiled(path: Path) -> Compiled:
    """Map a compiled list into memory, where all processes that open it share it.

    Raises:
        Corrupt: the file is not what was written; OSError where it cannot be read.

    """
    with path.open("rb") as file:
        try:
            buffer = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:
            raise Corrupt("an empty file") from None
    try:
        magic, check, length = _HEAD.unpack_from(buffer)
        body = buffer[_HEAD.size :]
        if magic != MAGIC or xxh3_128(body).digest() != check:
            raise Corrupt("the check sum is wrong")
        return _read(body, length)
    except (struct.error, KeyError, TypeError, json.JSONDecodeError) as error:
        raise Corrupt(str(error)) from None


def _read(body: memoryview, length: int) -> Compiled:
    about: dict[str, Any] = json.loads(bytes(body[:length]))
    if about["order"] != sys.byteorder:
        raise Corrupt("written on another kind of machine")
    counts = Counts(**about["counts"])
    shift, count = about["names"]
    names = table_of(body[length:], shift, count)
    after = length + index_bytes(shift) + 8 * count
    shift, count = about["pages"]
    pages = table_of(body[after:], shift, count)
    return Compiled(
        HashedSet(names, single_labels=counts.single_labels),
        Pages(pages, counts.pages),
        counts,
        about["digest"],
    )
