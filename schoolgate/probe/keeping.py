"""Hands the record of a probe to the portal, which alone writes, and waits until it is kept."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from schoolgate.events.paths import reachable
from schoolgate.events.sender import SOCKET
from schoolgate.events.wire import encode
from schoolgate_exceptions.probe_record import ProbeRun, pieces
from schoolgate_policy.errors import SchoolgateError

_SECONDS = 20.0
_LOOK_EVERY_SECONDS = 0.3


class NotKept(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """The portal did not take a record; says why in one line."""


def keep(run: ProbeRun, state: Path, is_kept: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Send a record to the portal of a state folder, and wait until it is kept.

    Raises:
        NotKept: there is no portal, or the record did not arrive in time.

    """
    path = state / SOCKET
    try:
        address, folder = reachable(path)
        try:
            _send(run, address)
        finally:
            if folder is not None:
                os.close(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotKept(f"{path}: the portal does not take the record: {reason}") from error
    until = time.monotonic() + seconds
    while not is_kept():
        if time.monotonic() > until:
            raise NotKept(
                f"{path}: the record was sent, but the portal has not kept it within {seconds:.0f} s"
            )
        time.sleep(_LOOK_EVERY_SECONDS)


def _send(run: ProbeRun, address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)  # a portal that is busy is waited for: this is nobody's packet
        for datagram in encode(pieces(run)):
            sock.sendto(datagram, address)
