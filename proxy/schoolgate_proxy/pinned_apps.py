"""Pinned apps, as the proxy deals with them: which names may be passed on, who is told, and what the portal reads."""

import fcntl
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from schoolgate_policy.decision import Decision
from schoolgate_policy.ech import outer_names
from schoolgate_policy.embedded_data import knowledge
from schoolgate_policy.names import as_ip
from schoolgate_proxy.handling import Arrival
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.pinning import Pinning
from schoolgate_proxy.ports import Counters

FILE = "pinned.json"
_log = structlog.get_logger("schoolgate.proxy")


class PinnedApps:
    """Passes on what pinned apps need, counts it, and keeps `STATE/pinned.json`.

    The file is `{"version": 1, "passed": [{network, host, since, until, devices}], "without_certificate":
    [{network, address, since, names}]}`, each entry with the `worker` that wrote it; instants in ISO 8601.
    """

    def __init__(self, judge: Judge, counters: Counters, state: Path | None) -> None:
        """Take the folder to write to, None where nobody reads it."""
        self._judge = judge
        self._counters = counters
        self._file = None if state is None else state / FILE
        self._pinning = Pinning(self._write)

    def passes(self, decision: Decision) -> bool:
        """Whether a connection that would be opened is passed on unread; it is counted then."""
        name = decision.network, decision.host
        if not self._pinning.passes(name, decision.at, self._judge.engine) or not _may_pass(
            self._judge, decision
        ):
            return False
        self._counters.connection_pinned(decision.network)
        return True

    def trusts(self, arrival: Arrival, network: str) -> None:
        """Note a request under our certificate."""
        self._pinning.trusts(arrival.address, network)

    def rejected(self, arrival: Arrival, decision: Decision) -> None:
        """Note a client that rejected our certificate for a judged name."""
        if decision.blocked:
            return
        name = decision.network, decision.host
        news = self._pinning.rejected(
            arrival.address,
            name,
            self._judge.now,
            self._judge.engine,
            may_pass=_may_pass(self._judge, decision),
        )
        if news.passed is not None:
            self._counters.name_pinned(decision.network)
            _log.warning(
                "proxy.pinned_name_passed",
                network=decision.network,
                host=decision.host,
                until=str(news.passed.until),
            )
        if news.lacking is not None:
            self._counters.certificate_missing(decision.network)
            _log.warning(
                "proxy.certificate_missing", network=decision.network, advice="install ca.pem on the device"
            )

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            _merge(self._file, self._entries(), self._judge.now)
        except (
            OSError
        ) as error:  # a full disk: the filter goes on, and the portal shows what was known before
            self._judge.fault("proxy", error)

    def _entries(self) -> dict[str, list[dict[str, Any]]]:
        return {
            "passed": [
                {
                    "network": one.network,
                    "host": one.host,
                    "since": one.since.isoformat(),
                    "until": one.until.isoformat(),
                    "devices": one.devices,
                }
                for one in self._pinning.passed
            ],
            "without_certificate": [
                {
                    "network": one.network,
                    "address": one.address,
                    "since": one.since.isoformat(),
                    "names": one.names,
                }
                for one in self._pinning.lacking(self._judge.now)
            ],
        }


def _may_pass(judge: Judge, decision: Decision) -> bool:
    """Whether nothing but the network's habit asks for a name to be read."""
    host = decision.host
    if decision.blocked or decision.path_decides or as_ip(host) is not None or host in outer_names():
        return False
    return judge.opens_by_habit(decision) and not knowledge().carriers_of(host)


def _merge(file: Path, entries: dict[str, list[dict[str, Any]]], now: datetime) -> None:
    """Replace what this process wrote before, and leave what other living workers wrote."""
    mine = os.getpid()
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found: dict[str, Any] = {"version": 1}
        before = _read(file)
        for kind, new in entries.items():
            others = [
                one for one in before.get(kind, []) if _lives(one.get("worker")) and one["worker"] != mine
            ]
            kept = [one for one in others if "until" not in one or datetime.fromisoformat(one["until"]) > now]
            found[kind] = [*kept, *({**one, "worker": mine} for one in new)]
        draft = file.with_name(f".{file.name}.{mine}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(found, indent=1), "utf-8")
        draft.replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(worker: object) -> bool:
    return isinstance(worker, int) and Path(f"/proc/{worker}").exists()
