"""What policy.yaml says about attempts to get round the filter, as the portal reads it."""

from collections.abc import Callable

from schoolgate_policy.model import Circumvention
from schoolgate_policy.schema import CircumventionSection


def circumvention_of(
    section: CircumventionSection, report: Callable[[tuple[str | int, ...], str], None]
) -> Circumvention:
    """Return the thresholds, and report where they contradict one another."""
    both = {"alert": section.alert, "supervise": section.supervise}  # None of these says `off`
    chosen = Circumvention(**{**section.given(), **both})
    alert, supervise = chosen.alert, chosen.supervise
    if alert and supervise and supervise.points < alert.points and supervise.within >= alert.within:
        report(
            ("circumvention", "supervise"),
            f"`{supervise}` is reached before `alert`, {alert}; supervision comes after an alert",
        )
    return chosen
