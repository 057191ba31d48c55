"""Asks the policy: one place where the proxy makes attempts and notes what was acted upon."""

from dataclasses import replace

from schoolgate_policy.decision import Attempt, Decision, Point
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Policy
from schoolgate_policy.paths import is_canonical
from schoolgate_policy.ports import Clock, PolicySource, Recorder
from schoolgate_policy.technique import BY_CATEGORY, Technique
from schoolgate_proxy.handling import Arrival


class Judge:
    """Puts names and requests before the policy in force; knows no proxy framework."""

    def __init__(self, source: PolicySource, recorder: Recorder, clock: Clock) -> None:
        self._source = source
        self._recorder = recorder
        self._clock = clock

    @property
    def engine(self) -> Engine:
        """The engine of the policy in force."""
        return self._source.engine

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._source.engine.policy

    def attempt(self, arrival: Arrival, host: str, path: str | None = None) -> Attempt:
        """Return the attempt of a client to reach a host now; `path` is the raw URL path where it is known."""
        return Attempt(arrival.address, host, self._clock(), path, Point.PROXY)

    def decide(self, attempt: Attempt) -> Decision:
        """Return the verdict of the policy in force."""
        return self._source.engine.decide(attempt)

    def again(self, attempt: Attempt) -> Decision:
        """Return the verdict on the same attempt at this instant."""
        return self._source.engine.decide(replace(attempt, at=self._clock()))

    def is_path_trick(self, attempt: Attempt) -> bool:
        """Whether a blocked attempt spells its path so as to look like a page that is allowed."""
        if attempt.path is None or is_canonical(attempt.path):
            return False
        return self.decide(replace(attempt, path=None)).path_decides

    def expired(self, decision: Decision) -> bool:
        """Whether the instant has come at which the decision may no longer be acted upon."""
        return decision.valid_until is not None and self._clock() >= decision.valid_until

    def acted(self, attempt: Attempt, decision: Decision) -> None:
        """Note a verdict that was acted upon, and a way round the filter where that is what was blocked."""
        self._recorder.decision(attempt, decision)
        technique = BY_CATEGORY.get(decision.category or "") if decision.blocked else None
        if technique is not None:
            self._recorder.technique(technique, decision.network, attempt.address, decision.host)

    def saw(self, technique: Technique, arrival: Arrival, host: str, network: str = "") -> None:
        """Note a way round the filter; without `network`, the one that the client's address belongs to is found."""
        if not network:
            network = self.decide(self.attempt(arrival, host)).network
        self._recorder.technique(technique, network, arrival.address, host)

    def fault(self, area: str, error: Exception) -> None:
        """Note a failure of ours that ended in a block."""
        self._recorder.fault(area, error)
