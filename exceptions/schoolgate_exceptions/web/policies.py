"""The policy in the portal: see it, edit it with a check, look back, compare, restore."""

import difflib

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit
from schoolgate_policy.errors import HistoryError, PolicyConflict, PolicyError, PolicyIssue, PolicyUnwritable

_CONTEXT = 3


def show(counter: Counter, visit: Visit) -> Page:
    """Show the file as it is, with what is wrong with it."""
    text = counter.service.policy.read()
    return counter.page(
        visit,
        "policy/show.html.j2",
        text=text,
        lines=text.text.splitlines(),
        issues=counter.service.policy.check(text.text),
        in_force=text.version.startswith(counter.policy.version),
        can_edit=visit.has(Role.OFFICER),
        done=visit.query.one("done"),
    )


def edit(counter: Counter, visit: Visit) -> Page:
    """Show the file in a form."""
    text = counter.service.policy.read()
    return _form(counter, visit, text.text, text.version)


def save(counter: Counter, visit: Visit) -> Page:
    """Check what was written; save it where that was asked for and nothing is wrong."""
    text, version = visit.form.one("text").replace("\r\n", "\n"), visit.form.one("version")
    why = visit.form.one("why")
    issues = counter.service.policy.check(text)
    changes = _difference(counter.service.policy.read().text, text)
    if visit.form.one("do") != "save":
        return _form(counter, visit, text, version, issues=issues, changes=changes, why=why, checked=True)
    try:
        counter.service.policy.save(visit.actor, text, version, why)
    except PolicyError as error:
        found = list(error.issues)
        return _form(counter, visit, text, version, issues=found, changes=changes, why=why, status=422)
    except PolicyConflict as error:
        current = counter.service.policy.read()
        return _form(
            counter,
            visit,
            text,
            current.version,
            changes=_difference(current.text, text),
            why=why,
            problem=str(error),
            conflict=True,
            status=409,
        )
    except PolicyUnwritable as error:
        return _form(counter, visit, text, version, changes=changes, why=why, problem=str(error), status=503)
    return counter.to("/policy", done="saved")


def history(counter: Counter, visit: Visit) -> Page:
    """Show every version that was kept, newest first."""
    try:
        listed, problem = counter.service.policy.history(), ""
    except (HistoryError, OSError) as error:
        listed, problem = [], str(error)
    return counter.page(visit, "policy/history.html.j2", listed=listed[:200], problem=problem)


def version(counter: Counter, visit: Visit) -> Page:
    """Show one version, and how the file differs from it."""
    name = visit.parts["version"]
    old, now = counter.service.policy.text_of(name), counter.service.policy.read()
    found = next(
        (one.version for one in counter.service.policy.history() if one.version.digest.startswith(name)), None
    )
    return counter.page(
        visit,
        "policy/version.html.j2",
        version=found,
        name=name,
        lines=old.splitlines(),
        changes=_difference(now.text, old),
        now=now.version,
        can_edit=visit.has(Role.OFFICER),
    )


def restore(counter: Counter, visit: Visit) -> Page:
    """Bring a version back."""
    counter.service.policy.restore(visit.actor, visit.parts["version"], visit.form.one("expect"))
    return counter.to("/policy", done="restored")


def _form(
    counter: Counter,
    visit: Visit,
    text: str,
    version: str,
    *,
    issues: list[PolicyIssue] | None = None,
    changes: tuple[str, ...] = (),
    why: str = "",
    problem: str = "",
    conflict: bool = False,
    checked: bool = False,
    status: int = 200,
) -> Page:
    return counter.page(
        visit,
        "policy/edit.html.j2",
        status,
        text=text,
        version=version,
        issues=issues or [],
        changes=changes,
        why=why,
        problem=problem,
        conflict=conflict,
        checked=checked,
    )


def _difference(old: str, new: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=_CONTEXT)
    return tuple(lines)[2:]
