"""Ports: what is listened on is what the settings say, and by us."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from schoolgate import preflight
from schoolgate.doctor.finding import Finding, Subject, Weight
from schoolgate.doctor.running import health, not_ready
from schoolgate.settings import Endpoint

_SECONDS = 5.0
_NTP = 123
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_PROC = Path("/proc/net")


def ports(at: Subject) -> Iterator[Finding]:
    """Find ports that another program has, that a part of ours does not serve, and a clock that nobody offers."""
    running = {part for part, endpoint in health(at.settings) if not not_ready(endpoint)}
    for setting, endpoint in preflight.endpoints(at.settings):
        part = setting.partition(".")[0]
        served = not endpoint.port or _answers(endpoint)
        if part == "metrics" or not endpoint.port:
            continue
        if part in running and not served:
            do = (
                f"systemctl restart schoolgate-{part}; journalctl --namespace=schoolgate -u schoolgate-{part}"
            )
            yield Finding(
                "ports", Weight.ERROR, f"{setting}: {part} runs, and nothing listens on {endpoint}", do
            )
        elif part not in running and served:
            do = f"ss -lntup 'sport = :{endpoint.port}' names it; stop it, or set another port in schoolgate.toml"
            yield Finding("ports", Weight.ERROR, f"{setting}: another program listens on {endpoint}", do)
    if at.settings.interfaces and at.settings.firewall.ntp == "box" and not _listens_on_udp(_NTP):
        do = 'apt-get install chrony, and `allow` the networks in chrony.conf; or set firewall.ntp = "allow"'
        what = "devices are led to this box for the time (firewall.ntp), and nothing answers on UDP 123"
        yield Finding("ports", Weight.WARNING, what, do)


def _answers(at: Endpoint) -> bool:
    """Whether something takes TCP connections there."""
    host = ip_address(at.host)
    target = _LOOPBACK[host.version] if host.is_unspecified else at.host
    try:
        with socket.create_connection((target, at.port), _SECONDS):
            return True
    except OSError:
        return False


def _listens_on_udp(port: int) -> bool:
    """Whether a socket of this machine is bound to a UDP port (proc(5), /proc/net/udp)."""
    wanted = f":{port:04X}"
    for name in ("udp", "udp6"):
        try:
            lines = (_PROC / name).read_text().splitlines()[1:]
        except OSError:
            continue
        if any(line.split()[1].endswith(wanted) for line in lines):
            return True
    return False
