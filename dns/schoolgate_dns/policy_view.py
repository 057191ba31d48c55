"""What the sinkhole needs to know of a policy beside its verdicts: whom it answers, and what it denies altogether."""

from collections.abc import Mapping

from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Category
from schoolgate_policy.names import parse_address

_CIRCUMVENTION = "circumvention"
_MOST_ADDRESSES = 65_536


class PolicyView:
    """One engine, seen from the sinkhole; make a new one when the engine changes."""

    def __init__(self, engine: Engine, *, answer_unknown: bool) -> None:
        self.engine = engine
        self.denied = _below(_CIRCUMVENTION, engine.policy.catalogue.categories)
        self._answer_unknown = answer_unknown
        self._serves: dict[str, bool] = {}

    def serves(self, address: str) -> bool:
        """Whether an address is answered: one in a network of the policy, or of this machine."""
        known = self._serves.get(address)
        if known is None:
            if len(self._serves) >= _MOST_ADDRESSES:
                self._serves.clear()
            known = self._serves[address] = self._look(address)
        return known

    def _look(self, address: str) -> bool:
        if self._answer_unknown or parse_address(address).is_loopback:
            return True
        return self.engine.identify(address).known


def _below(top: str, categories: Mapping[str, Category]) -> frozenset[str]:
    """Return a category and all below it."""
    found = {top}
    while new := {one.id for one in categories.values() if one.parent in found} - found:
        found |= new
    return frozenset(found)
