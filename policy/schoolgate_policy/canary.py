"""A name that nobody can reach, on no network, whatever the policy says: by it one sees that the filter is in the way.

It is judged with the locked lists, before everything else, so it also shows that these come first. Nothing is ever
forwarded for it: `.internal` is reserved for names like it.
"""

from schoolgate_policy.model import LockedList

HOST = "filter-check.schoolgate.internal"


class _OneHost:
    """The host and all below it (`HostSet`)."""

    def covers(self, host: str) -> bool:
        """Whether a canonical host is the one, or below it."""
        return host.endswith(HOST) and (len(host) == len(HOST) or host[-len(HOST) - 1] == ".")

    def __len__(self) -> int:
        return 1


CANARY = LockedList("canary", _OneHost(), "")
