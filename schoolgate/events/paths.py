"""Where the socket of the events is, also where the path to it is longer than a socket's address may be."""

import os
from pathlib import Path

_LONGEST = 100  # bytes; the kernel takes 107


def reachable(path: Path) -> tuple[str, int | None]:
    """Return what to hand the kernel as the address of a socket, and the descriptor to close afterwards.

    A path that is too long for the kernel is named by its folder's descriptor.
    """
    if len(os.fsencode(path)) <= _LONGEST:
        return str(path), None
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    return f"/proc/self/fd/{folder}/{path.name}", folder
