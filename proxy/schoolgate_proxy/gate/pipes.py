"""Pipes through which the kernel moves what a relay carries, kept for the next use while they are empty."""

import contextlib
import fcntl
import os

CAPACITY = 256 * 1024  # octets; what one turn of a relay moves at most
_KEPT = 64


class Pipe(tuple[int, int]):
    """The reading and the writing end."""

    __slots__ = ()


class PipePool:
    """Hands out empty pipes; a relay has one only while it moves something."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []

    def take(self) -> Pipe:
        """Return an empty pipe.

        Raises:
            OSError: this process may not open more files.

        """
        if self._free:
            return self._free.pop()
        pipe = Pipe(os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        with contextlib.suppress(OSError):  # the system lends large pipes to so many only
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, CAPACITY)
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take an empty pipe back."""
        if len(self._free) < _KEPT:
            self._free.append(pipe)
        else:
            self.discard(pipe)

    @staticmethod
    def discard(pipe: Pipe) -> None:
        """Close a pipe together with what is in it."""
        os.close(pipe[0])
        os.close(pipe[1])

    def close(self) -> None:
        """Close the pipes that are free."""
        while self._free:
            self.discard(self._free.pop())
