"""What is kept from being purged, and why: for who may decide that without seeing what was asked."""

from schoolgate_exceptions.errors import InvalidInput, NotFound
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit


def holds(counter: Counter, visit: Visit) -> Page:
    """Show what is held."""
    return _page(counter, visit, {})


def change(counter: Counter, visit: Visit) -> Page:
    """Hold a case, or let it go."""
    name, reason = visit.form.one("id").strip()[:40], visit.form.one("reason").strip()
    lets_go = visit.form.one("do") == "release"
    if not lets_go and not reason:
        return _page(counter, visit, {"reason": "say why it must not be purged"})
    try:
        counter.service.queue.hold(visit.actor, name, "" if lets_go else reason)
    except NotFound as error:
        return _page(counter, visit, {"id": str(error)})
    except InvalidInput as error:
        return _page(counter, visit, {"reason": error.fields.get("hold", str(error))})
    return counter.to("/holds", done="1")


def _page(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    return counter.page(
        visit,
        "office/holds.html.j2",
        422 if errors else 200,
        held=counter.service.queue.holds(visit.actor),
        said=visit.form,
        errors=errors,
        done=visit.query.one("done"),
    )
