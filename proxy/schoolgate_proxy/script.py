"""The addon as `mitmdump -s proxy/main.py` loads it: options of its own, a policy it watches, notes in the log."""

import asyncio
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import PolicyError, PolicyIssue
from schoolgate_policy.model import Policy
from schoolgate_policy.store import PolicyStore
from schoolgate_proxy.addon import SchoolgateProxy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.ports import Uncounted

log = logging.getLogger("schoolgate.proxy")

# Each of these opens a way round the filter when it is set otherwise (enforcement B-T1, B-T3, A2.3, A3.14, A4.8).
REQUIRED: dict[str, object] = {
    "connection_strategy": "lazy",
    "rawtcp": False,
    "ssl_insecure": False,
    "validate_inbound_headers": True,
    "upstream_cert": False,
    "onboarding": False,
    "block_global": False,
    "ignore_hosts": [],
    "allow_hosts": [],
    "tcp_hosts": [],
}


class LoggedNotes:
    """A recorder that writes blocks and faults to the log, without saying who."""

    def decision(self, _attempt: Attempt, decision: Decision) -> None:
        """Log a block."""
        if decision.blocked:
            log.info(
                "blocked %s on %s (%s)", decision.host, decision.network, decision.source or decision.reason
            )

    def technique(self, technique: str, network: str, _address: str, host: str) -> None:
        """Log a way round the filter."""
        log.warning("%s on %s: %s", technique, network, host)

    def fault(self, area: str, error: Exception) -> None:
        """Log a failure of ours."""
        log.error("%s failed, blocked: %s", area, error, exc_info=error)


class LoggedPolicy:
    """Writes to the log what became of the policy file."""

    def policy_loaded(self, policy: Policy, issues: tuple[PolicyIssue, ...]) -> None:
        """Log that a policy is in force."""
        log.info("policy %s is in force", policy.version)
        for issue in issues:
            log.warning("%s", issue)

    def policy_rejected(self, issues: tuple[PolicyIssue, ...], *, kept: str | None) -> None:
        """Log why a file was refused."""
        for issue in issues:
            log.error("%s", issue)
        if kept is not None:
            log.warning("policy %s stays in force", kept)


class FileSource:
    """The policy in a file; before it is read, every question fails, which blocks."""

    def __init__(self) -> None:
        self.store: PolicyStore | None = None

    @property
    def engine(self) -> Engine:
        """The engine of the policy in force.

        Raises:
            RuntimeError: the policy has not been read yet.

        """
        if self.store is None:
            raise RuntimeError("the policy has not been read yet")
        return self.store.engine


class Script:
    """Reads the options, makes mitmproxy safe to use, and brings in the addon that does the work."""

    name = "schoolgate-script"

    def __init__(self) -> None:
        self._source = FileSource()
        self._stop = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self.addons: list[SchoolgateProxy] = []

    def load(self, loader: Loader) -> None:
        """Add our options and set those of mitmproxy that must not be otherwise."""
        policy = os.environ.get("SCHOOLGATE_POLICY", "policy.yaml")
        loader.add_option("schoolgate_policy", str, policy, "The policy file.")
        loader.add_option(
            "schoolgate_allowed_upstream",
            Sequence[str],
            [],
            "Private ranges that may be reached all the same, such as the school's own servers.",
        )
        known = {name: value for name, value in REQUIRED.items() if name in ctx.options}
        ctx.options.update(**known)  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped

    def configure(self, updated: set[str]) -> None:
        """Refuse options under which the filter would leak, and take ours in.

        Raises:
            OptionsError: an option is set to what the filter cannot work with.

        """
        for name in updated & REQUIRED.keys():
            if getattr(ctx.options, name) != REQUIRED[name]:
                raise _wrong(f"schoolgate needs {name}={REQUIRED[name]!r}")
        if "schoolgate_allowed_upstream" in updated or not self.addons:
            self._make(ctx.options.schoolgate_allowed_upstream)

    def _make(self, allowed: Sequence[str]) -> None:
        try:
            networks = tuple(ip_network(text) for text in allowed)
        except ValueError as error:
            raise _wrong(f"schoolgate_allowed_upstream: {error}") from error
        config = ProxyConfig(state=Path(), allowed_upstream=networks)
        judge = Judge(self._source, LoggedNotes(), lambda: datetime.now(UTC))
        self.addons[:] = [SchoolgateProxy(config, judge, Uncounted(), {})]

    def running(self) -> None:
        """Read the policy and follow it; mitmdump ends where it cannot be used."""
        try:
            self._source.store = PolicyStore(Path(ctx.options.schoolgate_policy), None, LoggedPolicy())
        except PolicyError:
            return  # logged as errors, at which mitmdump ends
        self._watcher = asyncio.get_running_loop().create_task(self._source.store.watch(self._stop))

    def done(self) -> None:
        """Stop following the policy."""
        self._stop.set()


def _wrong(message: str) -> exceptions.OptionsError:
    return exceptions.OptionsError(message)  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
