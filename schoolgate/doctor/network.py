"""The networks: VLAN interfaces, forwarding, and a firewall that is what the policy says."""

import socket
from collections.abc import Iterator
from pathlib import Path

from schoolgate.doctor.finding import Finding, Subject, Weight
from schoolgate.firewall import nft
from schoolgate.firewall.plan import CannotPlan, make_plan
from schoolgate.firewall.ruleset import render

_SYS, _PROC = Path("/sys/class/net"), Path("/proc/sys/net")


def interfaces(at: Subject) -> Iterator[Finding]:
    """Find interfaces that are not there or not up, and networks that have none."""
    named = at.settings.interfaces
    if not named:
        what = "[interfaces] names none, so nothing is redirected here: only devices told to use this box are filtered"
        yield Finding(
            "interfaces", Weight.WARNING, what, "name the interface of each network in schoolgate.toml"
        )
        return
    known = {name for _, name in socket.if_nameindex()}
    for network, interface in named.items():
        if interface not in known:
            do = f"ip link add link TRUNK name {interface} type vlan id NUMBER, and make it permanent"
            yield Finding("interfaces", Weight.ERROR, f"{network}: there is no {interface}", do)
        elif _state(interface) in {"down", "lowerlayerdown"}:
            do = f"ip link set {interface} up; look at the cable and the switch"
            yield Finding("interfaces", Weight.ERROR, f"{network}: {interface} is down", do)
    for network in at.policy.networks if at.policy else ():
        if network not in named:
            what = f"{network}: no interface, so nothing of it is forwarded"
            yield Finding("interfaces", Weight.WARNING, what, "name it in [interfaces] of schoolgate.toml")


def forwarding(at: Subject) -> Iterator[Finding]:
    """Find a kernel that does not forward what the box is between."""
    if not at.settings.interfaces:
        return
    for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        path = _PROC / key
        if path.exists() and path.read_text().strip() == "0":
            what = f"net.{key.replace('/', '.')} is 0, so nothing is forwarded"
            yield Finding("forwarding", Weight.ERROR, what, "sysctl --load /etc/sysctl.d/60-schoolgate.conf")


def firewall(at: Subject) -> Iterator[Finding]:
    """Find a firewall that is not loaded, or is another than policy and settings say."""
    if not at.settings.interfaces or at.policy is None:
        return
    try:
        lines = nft.difference(render(make_plan(at.policy, at.settings)))
    except CannotPlan as error:
        for line in error.lines:
            yield Finding(
                "firewall", Weight.ERROR, line, "mend schoolgate.toml, then schoolgate firewall --apply"
            )
        return
    except nft.FirewallError as error:
        yield Finding(
            "firewall", Weight.ERROR, f"cannot be looked at: {error}", "run schoolgate doctor as root"
        )
        return
    if lines:
        changed = sum(line[:1] in "+-" and line[:3] not in {"+++", "---"} for line in lines)
        what = f"what is loaded is not what policy and settings say ({changed} lines)"
        do = "schoolgate firewall --diff shows it, schoolgate firewall --apply mends it"
        yield Finding("firewall", Weight.ERROR, what, do)


def _state(interface: str) -> str:
    try:
        return (_SYS / interface / "operstate").read_text().strip()
    except OSError:
        return "unknown"
