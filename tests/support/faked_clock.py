"""Runs one part of the product with a clock that is ahead of this machine's: `python faked_clock.py FILE dns …`.

FILE holds the seconds that it is ahead, as a double; whoever writes another number there moves the clock of all parts
at once. Everything else is as it is installed.
"""

import mmap
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FORMAT = "d"


def set_ahead(file: Path, instant: datetime) -> None:
    """Let the clock say an instant now."""
    ahead = struct.pack(_FORMAT, (instant - datetime.now(UTC)).total_seconds())
    with file.open("r+b" if file.exists() else "w+b") as stream:
        stream.write(ahead)


def main() -> None:
    """Replace the clock that parts are handed, then do what the command line says."""
    from schoolgate import part

    with Path(sys.argv[1]).open("rb") as stream:
        view = mmap.mmap(stream.fileno(), struct.calcsize(_FORMAT), access=mmap.ACCESS_READ)

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=struct.unpack_from(_FORMAT, view)[0])

    part.utc_now = now
    sys.argv = ["schoolgate", *sys.argv[2:]]
    from schoolgate.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
