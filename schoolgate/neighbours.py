"""The MAC addresses of the machines this box has spoken with lately, from the kernel's neighbour tables."""

import json
import shutil
import subprocess
from pathlib import Path

_ARP = Path("/proc/net/arp")
_NOBODY = "00:00:00:00:00:00"
_SECONDS = 2.0


def neighbours() -> dict[str, str]:
    """Return the MAC address (lower case, colons) of each IP address; empty where the kernel does not tell."""
    return {**_ipv6(), **_ipv4()}


def _ipv4(table: Path = _ARP) -> dict[str, str]:
    """Read `/proc/net/arp`: address, type, flags, MAC, mask, device."""
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return {}
    rows = [line.split() for line in lines]
    return {row[0]: row[3].lower() for row in rows if len(row) >= 6 and row[3] != _NOBODY}


def _ipv6() -> dict[str, str]:
    """Ask `ip` for the neighbours of IPv6, which stand in no file."""
    program = shutil.which("ip")
    if program is None:
        return {}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [program, "-6", "-json", "neighbour"], capture_output=True, timeout=_SECONDS, check=True
        )
        rows = json.loads(done.stdout or b"[]")
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return {
        row["dst"]: row["lladdr"].lower()
        for row in rows
        if "lladdr" in row and not row["dst"].startswith("fe80")
    }
