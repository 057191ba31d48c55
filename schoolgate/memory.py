"""What a process that has started gives back, and keeps out of the way of the collector."""

import ctypes
import gc


def settle() -> None:
    """Give freed memory back to the system, and let the collector leave alone what is there: it stays.

    Reading a policy takes some megabytes that are not needed afterwards; glibc keeps them unless it is told
    (malloc_trim(3)). Looking through what stays again and again would only cost time.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not every libc has it
    if trim is not None:
        trim(0)
    gc.freeze()
