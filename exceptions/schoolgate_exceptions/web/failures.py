"""Pages for what did not work: what happened, that nothing was lost, and what to do."""

import json as json_text
from http import HTTPStatus

from schoolgate_exceptions.errors import (
    InvalidInput,
    InvalidReference,
    InvalidToken,
    NotAllowed,
    NotFound,
    NotGranted,
    SignInFailed,
    TooMany,
    Unavailable,
    WorkflowError,
)
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.frame import raw, with_headers
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.web.wording import worded
from schoolgate_exceptions.web.words import Words
from schoolgate_policy.errors import (
    EditError,
    HistoryError,
    PolicyConflict,
    PolicyError,
    PolicyUnwritable,
)

_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (InvalidInput, 422, "problem"),
    (InvalidReference, 410, "forged-title"),
    (InvalidToken, 410, "dead-title"),
    (TooMany, 429, "too-many-title"),
    (WorkflowError, 409, "conflict-title"),
    (PolicyConflict, 409, "conflict-title"),
    (NotAllowed, 403, "forbidden-title"),
    (NotGranted, 422, "problem"),
    (NotFound, 404, "missing-title"),
    (SignInFailed, 403, "forbidden-title"),
    (Unavailable, 503, "busy-title"),
    (PolicyError, 422, "problem"),
    (EditError, 422, "problem"),
    (PolicyUnwritable, 503, "busy-title"),
    (HistoryError, 503, "busy-title"),
)
_TITLES = {
    "problem": "common.problem",
    "forged-title": "ask.forged-title",
    "dead-title": "approval.dead-title",
}


def explain(counter: Counter, visit: Visit, error: Exception, *, json: bool) -> Page | None:
    """Return the page for an error that is somebody's business; None for a fault of ours."""
    known = next(((status, key) for kind, status, key in _STATUS if isinstance(error, kind)), None)
    if known is None:
        return None
    status, key = known
    title = visit.t(_TITLES.get(key, f"errors.{key}"))
    more = [("Retry-After", str(error.seconds))] if isinstance(error, TooMany) else []
    if status == 503:
        more = [("Retry-After", "5")]
    if json:
        return with_headers(problem(status, str(error), errors=_fields(error)), *more)
    lines = [visit.t("errors.busy")] if isinstance(error, Unavailable) else lines_of(error, visit.t)
    return with_headers(counter.message(visit, status, title, *lines), *more)


def missing(counter: Counter, visit: Visit) -> Page:
    """Return the page for a path that the portal does not have."""
    if visit.path.startswith("/api/"):
        return problem(404, "there is no such resource")
    return counter.message(visit, 404, visit.t("errors.missing-title"), visit.t("errors.missing"))


def method(counter: Counter, visit: Visit, allowed: str, *, json: bool) -> Page:
    """Return the page for a method that a page does not know (RFC 9110 15.5.6)."""
    page = (
        problem(405, f"this can be asked with {allowed}")
        if json
        else counter.message(visit, 405, visit.t("errors.method-title"))
    )
    return with_headers(page, ("Allow", allowed))


def too_long(counter: Counter, visit: Visit, *, json: bool) -> Page:
    """Return the page for a form that nobody types."""
    if json:
        return problem(413, "the body is too long")
    return counter.message(visit, 413, visit.t("errors.too-long-title"), visit.t("errors.too-long"))


def foreign(counter: Counter, visit: Visit, *, json: bool) -> Page:
    """Return the page for a form that is not ours, or was left open until its session was over."""
    if json:
        return problem(403, "send application/json from the portal's own pages or from no page at all")
    return counter.message(visit, 403, visit.t("errors.stale-form-title"), visit.t("errors.stale-form"))


def unknown(counter: Counter, visit: Visit) -> Page:  # noqa: ARG001 - the same shape as its neighbours
    """Return the problem for a program that is not signed in."""
    page = problem(401, "sign in first, with the second factor that the role needs, or send a token")
    return with_headers(page, ("WWW-Authenticate", 'Bearer realm="schoolgate"'))


def problem(status: int, detail: str, *, errors: dict[str, str] | None = None) -> Page:
    """Return a problem document (RFC 9457)."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [{"pointer": f"#/{name}", "detail": text} for name, text in errors.items()]
    return raw(status, "application/problem+json", json_text.dumps(body, ensure_ascii=False).encode())


def lines_of(error: Exception, t: Words) -> list[str]:
    """Return what an error says, a line each, as sentences in the language of the page."""
    found: list[str]
    if isinstance(error, InvalidInput):
        found = list(error.fields.values())
    elif isinstance(error, NotGranted):
        found = list(error.reasons)
    else:
        found = str(error).splitlines()[:20]
    return [f"{line[:1].upper()}{line[1:]}" for line in (worded(one, t) for one in found)]


def _fields(error: Exception) -> dict[str, str] | None:
    return dict(error.fields) if isinstance(error, InvalidInput) else None
