"""The machine itself, as metrics: room in the state folder, the clock, certificates."""

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from prometheus_client import CollectorRegistry

from schoolgate.metrics_live import Live, LiveMetrics, Values, one

_TIMEX_LONGS = 26  # `struct timex` of Linux (adjtimex(2)) is 208 octets on 64-bit machines
_MAXERROR = 3  # the fourth of its longs, after modes (padded), offset and freq: microseconds
_TIME_ERROR = 5  # what adjtimex returns for a clock that nothing sets


def box_metrics(registry: CollectorRegistry, state: Path) -> None:
    """Show how the machine does; one process is enough for that."""
    LiveMetrics(
        registry,
        (
            Live("schoolgate_state_free_bytes", "Room left where the state folder is.", lambda: _room(state, "f_bavail")),
            Live("schoolgate_state_size_bytes", "Size of the file system of the state folder.",
                 lambda: _room(state, "f_blocks")),
            Live("schoolgate_time_seconds", "What this machine takes the time to be.", lambda: one(time.time())),
            Live("schoolgate_clock_synchronised", "1 where the kernel says that something sets the clock (NTP).",
                 _synchronised),
            Live("schoolgate_clock_error_seconds", "By how much the clock may be wrong at most, as the kernel reckons.",
                 _error),
        ),
    )  # fmt: skip


def certificate_metrics(registry: CollectorRegistry, files: Mapping[str, Path]) -> None:
    """Show until when certificates are valid, by what each is for; a file that is not there is missing."""
    known = _Certificates(files)
    about = "When a certificate of the school's authority expires."
    LiveMetrics(
        registry,
        [Live("schoolgate_certificate_expiry_timestamp_seconds", about, known.expiries, ("certificate",))],
    )


class _Certificates:
    """Reads a certificate again only when its file is another one."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._known: dict[str, tuple[int, float]] = {}

    def expiries(self) -> Values:
        for name, path in self._files.items():
            try:
                changed = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if self._known.get(name, (0, 0.0))[0] != changed:
                certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
                self._known[name] = changed, certificate.not_valid_after_utc.timestamp()
            yield (name,), self._known[name][1]


def _room(folder: Path, field: str) -> Values:
    found = os.statvfs(folder)
    return one(getattr(found, field) * found.f_frsize)


def read_clock() -> tuple[int, float] | None:
    """Ask the kernel how the clock does: its state, and the largest error in seconds; None where it does not say."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = (ctypes.c_long * _TIMEX_LONGS)()  # `modes` is 0: nothing is set
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    return (state, timex[_MAXERROR] / 1_000_000) if state >= 0 else None


def unset_clock(state: int) -> bool:
    """Whether a state of the clock says that nothing sets it."""
    return state == _TIME_ERROR


def _synchronised() -> Values:
    found = read_clock()
    return one(not unset_clock(found[0])) if found else ()


def _error() -> Values:
    found = read_clock()
    return one(found[1]) if found else ()
