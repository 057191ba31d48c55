"""Ties a part's life to that of the `schoolgate run` that started it (Linux: prctl(2), PR_SET_PDEATHSIG)."""

import ctypes
import os
import signal
import sys

VARIABLE = "SCHOOLGATE_PARENT"
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends; does nothing when started otherwise."""
    parent = os.environ.pop(VARIABLE, "")
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if str(os.getppid()) != parent:  # it ended while we were starting
        sys.exit(1)
