"""What became of policy.yaml, as log lines and metrics (`schoolgate_policy.store.StoreListener`)."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from schoolgate.metrics import Metrics
from schoolgate_policy.errors import HistoryError, PolicyIssue
from schoolgate_policy.history import digest_of
from schoolgate_policy.model import Policy
from schoolgate_policy.write import history_of

_log = structlog.get_logger()
_SHOWN = 20  # issues in one log line


class PolicyEvents:
    """Notes every policy that came into force, and every one that was refused."""

    def __init__(self, metrics: Metrics, *keep: Callable[[str], None]) -> None:
        """Each `keep` is told the version of each policy that came into force."""
        self._metrics = metrics
        self._keep = keep

    def policy_loaded(self, policy: Policy, issues: tuple[PolicyIssue, ...]) -> None:
        """Note that a policy is in force from now on."""
        self._metrics.policy_accepted(policy.version, policy.networks)
        _log.info("policy.loaded", version=policy.version, warnings=[str(issue) for issue in issues[:_SHOWN]])
        for keep in self._keep:
            keep(policy.version)

    def policy_rejected(self, issues: tuple[PolicyIssue, ...], *, kept: str | None) -> None:
        """Note that a file was refused, with the line and column of each mistake."""
        self._metrics.policy_rejected()
        _log.error(
            "policy.rejected", kept=kept, count=len(issues), issues=[str(issue) for issue in issues[:_SHOWN]]
        )


def history_keeper(path: Path, state: Path) -> Callable[[str], None]:
    """Return what keeps a version of the policy that was not written by us: somebody edited the file."""

    def keep(version: str) -> None:
        try:
            data = path.read_bytes()
            if digest_of(data).startswith(version):
                history_of(state).note(data, datetime.now(UTC), "an editor", "found in the file")
        except (OSError, HistoryError) as error:
            _log.warning("policy.version_not_kept", version=version, reason=str(error))

    return keep
