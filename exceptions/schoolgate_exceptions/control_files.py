"""Files in the state folder by which the portal tells dns and proxy what is in force: whole, or as they were."""

import os
import secrets
from pathlib import Path

_MODE = 0o640


def write_whole(path: Path, data: bytes) -> bool:
    """Replace a file in one step; return False where it says so already.

    Raises:
        OSError: the folder cannot be written; the file is as it was.

    """
    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        if not data:
            return False
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return True
