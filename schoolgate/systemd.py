"""Tell whoever started us how we are: systemd's notification protocol, which `schoolgate run` speaks as well.

See sd_notify(3). Without `NOTIFY_SOCKET` in the environment every call does nothing.
"""

import asyncio
import os
import socket
from collections.abc import Callable


def notify(**fields: str) -> bool:
    """Send fields such as `READY="1"`; return whether somebody was told. Never blocks and never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    message = "\n".join(f"{key}={value}" for key, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(0)
        try:
            channel.sendto(message.encode(), address)
        except OSError:  # a service manager that is gone or busy is no reason to stop filtering
            return False
    return True


def watchdog_seconds() -> float | None:
    """Return how often the service manager wants to hear from this process (half its limit), if it does."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000


async def keep_alive(status: Callable[[], str]) -> None:
    """Ping the watchdog from this event loop until cancelled, so that a stuck loop is noticed."""
    interval = watchdog_seconds()
    if interval is None:
        return
    while True:
        notify(WATCHDOG="1", STATUS=status())
        await asyncio.sleep(interval)
