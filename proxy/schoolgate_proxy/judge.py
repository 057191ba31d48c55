"""Asks the policy: one place where the proxy makes attempts and notes what was acted upon."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from schoolgate_policy.additions import Additions, additions
from schoolgate_policy.decision import Attempt, Decision, Page, Point, Reason
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Inspection, Policy
from schoolgate_policy.paths import is_canonical
from schoolgate_policy.ports import Clock, PolicySource, Recorder
from schoolgate_policy.safe_search import enforcement
from schoolgate_policy.technique import BY_CATEGORY, Technique
from schoolgate_proxy.checkpage import as_own, is_check
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

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self._clock()

    def opens_by_habit(self, decision: Decision) -> bool:
        """Whether a name is opened because everything on its network is, and not because something asks for it."""
        network = self.policy.networks.get(decision.network)
        return network is not None and network.inspection is Inspection.ALL and self.added(decision) is None

    def attempt(
        self,
        arrival: Arrival,
        host: str,
        path: str | None = None,
        within: Page | None = None,
        method: str | None = None,
    ) -> Attempt:
        """Return the attempt of a client to reach a host now.

        `path` is the raw URL path where it is known, `within` the page that wants this as a part, `method` how it is
        asked for.
        """
        return Attempt(arrival.address, host, self._clock(), path, Point.PROXY, within=within, method=method)

    def decide(self, attempt: Attempt) -> Decision:
        """Return the verdict of the policy in force; one name is answered by the proxy itself."""
        decision = self._source.engine.decide(attempt)
        return as_own(decision) if is_check(decision) else decision

    def again(self, attempt: Attempt) -> Decision:
        """Return the verdict on the same attempt at this instant."""
        return self._source.engine.decide(replace(attempt, at=self._clock()))

    def websocket_bounds(self, decision: Decision) -> Mapping[str, int]:
        """Return how long and how much a websocket may be, where no rule speaks of its site; none: as it likes."""
        network = self.policy.networks.get(decision.network)
        return network.websockets if network and decision.reason is Reason.OTHERWISE else {}

    def added(self, decision: Decision) -> Additions | None:
        """Return what is added to requests that the decision allows."""
        return additions(self.policy.networks[decision.network], decision.host)

    def stand_in(self, decision: Decision) -> str | None:
        """Return the name whose address serves filtered search results in the place of the host; None: its own."""
        wanted = self.policy.networks[decision.network].safe_search
        found = enforcement(wanted, decision.host) if wanted else None
        return found.alias if found else None

    def is_path_trick(self, attempt: Attempt) -> bool:
        """Whether a blocked attempt spells its path so as to look like a page that is allowed."""
        if attempt.path is None or is_canonical(attempt.path):
            return False
        return self.decide(replace(attempt, path=None, method=None)).path_decides

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
