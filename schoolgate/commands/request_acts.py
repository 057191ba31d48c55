"""`schoolgate requests take`, `reconsider`, `block-now`, `settle`, `hold`, `release`: the rarer moves, from the terminal."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import AsJson
from schoolgate.commands.queue_access import by_somebody
from schoolgate.commands.requests import Answer, Name, Note, changed, done

if TYPE_CHECKING:
    from schoolgate_exceptions.roles import Actor
    from schoolgate_exceptions.service import Service

_HELD = "it is kept until it is released"


@by_somebody
def take(service: "Service", actor: "Actor", name: Name, *, as_json: AsJson = False) -> None:
    """Say that you are looking at a request."""
    done(service.reviewing.take(actor, name), as_json=as_json)


@by_somebody
def reconsider(
    service: "Service", actor: "Actor", name: Name, note: Note = "", *, as_json: AsJson = False
) -> None:
    """Take a recommendation back, or as head send it back to the officer."""
    done(service.reviewing.reconsider(actor, name, note), as_json=as_json)


@by_somebody
def block_now(
    service: "Service",
    actor: "Actor",
    name: Name,
    note: Note = "",
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What is blocked; default: the narrowest.")
    ] = None,
    whom: Annotated[
        list[str] | None, typer.Option("--for", help="Networks or devices; default: as suggested.")
    ] = None,
    until: Annotated[str, typer.Option("--until", help="Last day or instant, such as 2026-12-18.")] = "",
    rule: Annotated[
        int | None, typer.Option("--rule", help="Add it to this rule for good, counted from 0.", min=0)
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="As it will stand in policy.yaml.", metavar="TEXT")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Block what was reported, at once; exit 1 where policy.yaml could not be written."""
    case = service.queue.case(actor, name)
    grant = changed(case.grant, service.office.zone, target, whom, until, None, reason)
    if rule is not None:
        grant = replace(grant, rule=rule, until=None)
    moved = service.reviewing.block_now(actor, name, grant, note, case.request.version)
    done(moved, as_json=as_json)


@by_somebody
def settle(
    service: "Service",
    actor: "Actor",
    name: Name,
    answer: Answer = "",
    note: Note = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Close a report that was dealt with, without a change of the policy."""
    done(service.reviewing.settle(actor, name, answer, note), as_json=as_json)


@by_somebody
def hold(
    service: "Service",
    actor: "Actor",
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why it must not be purged.", metavar="TEXT")],
    *,
    as_json: AsJson = False,
) -> None:
    """Keep a case from being purged, as head, DSL or data protection officer."""
    _hold(service, actor, name, reason, as_json=as_json)


@by_somebody
def release(service: "Service", actor: "Actor", name: Name, *, as_json: AsJson = False) -> None:
    """Let a case that was held be purged like any other."""
    _hold(service, actor, name, "", as_json=as_json)


def _hold(service: "Service", actor: "Actor", name: str, reason: str, *, as_json: bool) -> None:
    from schoolgate.commands import as_json as json_out

    held = service.queue.hold(actor, name, reason)
    if as_json:
        json_out.echo({"id": held.id, "state": held.state, "hold": held.hold})
    else:
        typer.echo(f"{held.id} is {held.state}, {_HELD if held.hold else 'and not held any more'}")
