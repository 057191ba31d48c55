"""The boxes of a centre, for who keeps or oversees them."""

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit

_WEIGHT = {"well": "good", "not well": "bad", "silent": "bad", "behind": "warn", "revoked": ""}


def listed(counter: Counter, visit: Visit) -> Page:
    """Show each box: when it was last seen, which policy it has, and how it is."""
    now = counter.service.office.now()
    shown = [
        (box, box.state(now), _WEIGHT.get(box.state(now), "warn")) for box in counter.service.boxes.listed()
    ]
    return counter.page(visit, "office/boxes.html.j2", shown=shown)
