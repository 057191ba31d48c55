"""What is done with a TLS connection once its name is judged; knows no proxy framework.

A gate in front of mitmproxy and mitmproxy's own hooks ask the same function, so that a connection is treated
alike whichever way it arrived.
"""

from dataclasses import dataclass
from enum import StrEnum

from schoolgate_policy.decision import Decision, Reason
from schoolgate_policy.names import as_ip


class Handling(StrEnum):
    """The three things that can be done with a TLS connection; a closed set, safe as a metric label."""

    PASS = "pass"  # noqa: S105 - relayed unread, to the address that we look up for the judged name
    INSPECT = "inspect"  # decrypted: every request in it is judged
    REFUSE = "refuse"  # closed with a TLS alert: no page can be shown


@dataclass(frozen=True, slots=True)
class Arrival:
    """Whose connection this is.

    `address` is the client's IP address as text. `network` is the network of the listener that took the
    connection in, None where the listener serves all; the policy identifies clients by address.
    """

    address: str
    network: str | None = None


def handling_of(decision: Decision) -> Handling:
    """Return what to do with a TLS connection to the judged host.

    An IP literal is relayed unread only where the policy speaks of it: it says nothing about what is behind it,
    so that `otherwise: allow` must not become a tunnel to anywhere.
    """
    if decision.open_tls:
        return Handling.INSPECT
    if decision.blocked:
        return Handling.REFUSE
    if decision.reason is Reason.OTHERWISE and as_ip(decision.host) is not None:
        return Handling.REFUSE
    return Handling.PASS
