"""Where the block page's button leads. Apart from the queue itself: the proxy needs no database."""

from collections.abc import Callable

from schoolgate.settings import Endpoint, Settings
from schoolgate_exceptions.keys import load_keys
from schoolgate_exceptions.links import ask_link
from schoolgate_exceptions.references import References
from schoolgate_policy.decision import Attempt, Decision

type AskUrl = Callable[[Attempt, Decision], str | None]


def portal_url(settings: Settings) -> str:
    """Return how people reach the portal; empty where its port is only known once it listens."""
    if settings.portal.url:
        return settings.portal.url.rstrip("/")
    listen: Endpoint = settings.portal.listen
    return f"http://{listen}" if listen.port else ""


def ask_url(settings: Settings) -> AskUrl | None:
    """Return what makes the links on block pages; None where nobody could follow them.

    Raises:
        OSError, ValueError: the portal's key cannot be read or made.

    """
    base = portal_url(settings)
    if not base:
        return None
    references = References(load_keys(settings.state))

    def link(attempt: Attempt, decision: Decision) -> str | None:
        reference = references.for_block(attempt, decision)
        return ask_link(base, reference) if reference else None

    return link
