"""Makes the checks of all networks, some at a time, and puts together what came of them."""

import getpass
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from schoolgate.probe import packets
from schoolgate.probe.addresses import Source
from schoolgate.probe.asking import Device
from schoolgate.probe.promises import Asker, Check, checks
from schoolgate.settings import Endpoint
from schoolgate_exceptions.probe_record import Finding, Group, Kind, ProbeRun, Result, outcome_of
from schoolgate_policy.engine import Engine

_AT_ONCE = 8
_PAUSE_SECONDS = 0.005  # between two checks of one worker: no device asks so fast that limits should bite
_SETTLE_SECONDS = 3.0  # a policy that has just been saved is in force everywhere after this
BOX, INSIDE = "box", "inside"
type Points = tuple[Endpoint, Endpoint | None]  # sinkhole, proxy


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be probed: by which policy, from where, asking whom."""

    engine: Callable[[], Engine]
    sources: Sequence[Source]
    points: Callable[[str], Points]  # by the address that asks
    vantage: str = BOX
    who: str = ""
    settle: float = _SETTLE_SECONDS


def probe(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> ProbeRun:
    """Try everything from every network that can be spoken for; what is not as promised is tried twice."""
    started = datetime.now(UTC)
    groups: list[Group] = []
    for source in plan.sources:
        tell(f"{source.network}: {f'from {source.address}' if source.address else source.why}")
        groups += _network(plan, source)
    return ProbeRun(
        secrets.token_hex(16), started, datetime.now(UTC), plan.who or whoever_this_is(), socket.gethostname()[:64],
        plan.vantage, plan.engine().policy.version, tuple(groups), outcome_of(groups),
    )  # fmt: skip


def whoever_this_is() -> str:
    """Return the account that runs this, and the one that it was before sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    return f"{before} as {name}"[:64] if before and before != name else name[:64]


def _network(plan: Plan, source: Source) -> list[Group]:
    if not source.address:
        found = Finding("everything", Result.UNREACHED, "", source.why)
        return [Group(source.network, Kind.CANARY, point, (), (found,)) for point in ("dns", "proxy")]
    dns, proxy = plan.points(source.address)
    silent = []
    device = Device(source.address, dns, proxy, transparent=plan.vantage == INSIDE)
    if device.query("use-application-dns.net") is None:
        silent.append(_silent(source.network, "dns", f"nothing answers at {dns}"))
    if proxy is not None and not _listens(device):
        silent.append(_silent(source.network, "proxy", f"nothing answers at {proxy}"))
        device = Device(device.source, dns, None)
    network = plan.engine().policy.networks[source.network]
    who = Asker(network, source.address, device, plan.engine, lambda: datetime.now(UTC))
    wanted = [
        one for one in checks(who) if not (one.point == "dns" and any(g.point == "dns" for g in silent))
    ]
    if plan.vantage == INSIDE and wanted:
        wanted += packets.checks()
    groups = [*_sorted(source.network, wanted, _look_at(wanted, plan.settle)), *silent]
    return groups if plan.vantage == INSIDE else [*groups, packets.away(source.network)]


def _silent(network: str, point: str, why: str) -> Group:
    return Group(network, Kind.CANARY, point, (), (Finding("everything", Result.UNREACHED, "", why),))


def _listens(device: Device) -> bool:
    try:
        device.connect(80).close()
    except OSError:
        return False
    return True


def _look_at(wanted: Sequence[Check], settle: float) -> list[tuple[Result, str]]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="probe") as pool:
        found = list(pool.map(_look, wanted))
        again = [
            number for number, (result, _) in enumerate(found) if result in {Result.BROKEN, Result.UNKNOWN}
        ]
        if any(found[number][0] is Result.BROKEN for number in again):
            time.sleep(settle)
        for number, result in zip(again, pool.map(_look, [wanted[number] for number in again]), strict=True):
            found[number] = result
    return found


def _look(check: Check) -> tuple[Result, str]:
    time.sleep(_PAUSE_SECONDS)
    try:
        return check.look()
    except Exception as error:  # noqa: BLE001 - a check that fails itself proves nothing, and keeps no other from it
        return Result.UNKNOWN, f"the check itself failed: {type(error).__name__}"


def _sorted(network: str, wanted: Iterable[Check], found: Iterable[tuple[Result, str]]) -> list[Group]:
    kept: dict[tuple[Kind, str], list[str]] = {}
    others: dict[tuple[Kind, str], list[Finding]] = {}
    for check, (result, seen) in zip(wanted, found, strict=True):
        key = check.kind, check.point
        kept.setdefault(key, [])
        if result is Result.KEPT:
            kept[key].append(check.what)
        else:
            others.setdefault(key, []).append(Finding(check.what, result, check.expected, seen))
    return [Group(network, *key, tuple(names), tuple(others.get(key, ()))) for key, names in kept.items()]
