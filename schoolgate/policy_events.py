"""What became of policy.yaml, as log lines and metrics (`schoolgate_policy.store.StoreListener`)."""

import structlog

from schoolgate.metrics import Metrics
from schoolgate_policy.errors import PolicyIssue
from schoolgate_policy.model import Policy

_log = structlog.get_logger()
_SHOWN = 20  # issues in one log line


class PolicyEvents:
    """Notes every policy that came into force, and every one that was refused."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def policy_loaded(self, policy: Policy, issues: tuple[PolicyIssue, ...]) -> None:
        """Note that a policy is in force from now on."""
        self._metrics.policy_accepted(policy.version)
        self._metrics.lists_read(policy.list_status)
        _log.info("policy.loaded", version=policy.version, warnings=[str(issue) for issue in issues[:_SHOWN]])

    def policy_rejected(self, issues: tuple[PolicyIssue, ...], *, kept: str | None) -> None:
        """Note that a file was refused, with the line and column of each mistake."""
        self._metrics.policy_rejected()
        _log.error(
            "policy.rejected", kept=kept, count=len(issues), issues=[str(issue) for issue in issues[:_SHOWN]]
        )
