"""Runs every check; one that fails itself is a finding, and keeps no other from running."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from schoolgate.doctor import machine, network, ports, running, school
from schoolgate.doctor.finding import Finding, Subject, Weight
from schoolgate.settings import Settings
from schoolgate_policy.load import check_policy

type Check = Callable[[Subject], Iterable[Finding]]

CHECKS: dict[str, Check] = {
    "versions": machine.versions,
    "clock": machine.clock,
    "disk": machine.disk,
    "rights": machine.rights,
    "policy": school.policy,
    "review": school.review,
    "lists": school.lists,
    "certificate": school.certificate,
    "services": running.services,
    "ports": ports.ports,
    "upstreams": running.upstreams,
    "centre": running.centre,
    "interfaces": network.interfaces,
    "forwarding": network.forwarding,
    "firewall": network.firewall,
}


def subject(policy_file: Path, settings_file: Path | None, settings: Settings) -> Subject:
    """Gather what the checks look at."""
    now = datetime.now(UTC)
    policy, issues = check_policy(policy_file, state=settings.state, today=now.date())
    return Subject(policy_file, settings_file, settings, policy, tuple(issues), now)


def look(at: Subject, checks: Iterable[str] = CHECKS) -> Iterator[Finding]:
    """Yield what is wrong, in the order of the checks."""
    for name in checks:
        try:
            yield from CHECKS[name](at)
        except Exception as error:  # noqa: BLE001 - what cannot be looked at is no reason to look at nothing
            what = f"cannot be looked at: {type(error).__name__}: {error}"
            yield Finding(name, Weight.WARNING, what, "run it as root; if that does not help, report it")
