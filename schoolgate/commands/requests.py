"""`schoolgate requests …`: what the portal does with requests, from the terminal."""

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from schoolgate.commands.options import AsJson, refuse
from schoolgate.commands.queue_access import by_somebody, on_queue

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from schoolgate_exceptions.model import AccessRequest, Grant
    from schoolgate_exceptions.queue import Case
    from schoolgate_exceptions.roles import Actor
    from schoolgate_exceptions.service import Service

app = typer.Typer(
    help="Look at requests for access, and decide on them.", no_args_is_help=True, rich_markup_mode=None
)
Name = Annotated[str, typer.Argument(help="The request, such as REQ-2026-0012 or K7-4QX.", metavar="ID")]
Answer = Annotated[str, typer.Option("--answer", help="What who asked is told.", metavar="TEXT")]
Note = Annotated[
    str, typer.Option("--note", help="For those who decide; who asked does not see it.", metavar="TEXT")
]


@app.command("list")
@on_queue
def list_(
    service: "Service",
    state: Annotated[
        list[str] | None, typer.Option("--state-is", help="Only these states; default: what waits.")
    ] = None,
    network: Annotated[str, typer.Option("--network", help="Only of this network.")] = "",
    host: Annotated[str, typer.Option("--host", help="Only hosts with this in their name.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only of this kind, such as unblock or report.")] = "",
    most: Annotated[int, typer.Option("--most", help="How many at most.", min=1)] = 500,
    *,
    safeguarding: Annotated[
        bool, typer.Option("--safeguarding", help="Only those with words that worry.")
    ] = False,
    with_dsl: Annotated[bool, typer.Option("--with-dsl", help="Only those sent on to the DSL.")] = False,
    as_json: AsJson = False,
) -> None:
    """List requests, oldest first; default those that wait for a decision."""
    from schoolgate.commands import as_json as json_out
    from schoolgate_exceptions.kinds import Kind
    from schoolgate_exceptions.queue import Filter
    from schoolgate_exceptions.workflow import OPEN, State

    try:
        states = frozenset(State(name.replace("-", " ")) for name in state or ()) or OPEN
    except ValueError as error:
        refuse([f"--state-is: {error}; available: {', '.join(one.replace(' ', '-') for one in State)}"])
    if kind and kind not in set(Kind):
        refuse([f"--kind: `{kind}` is not known; available: {', '.join(Kind)}"])
    wanted = Filter(
        states,
        network,
        Kind(kind) if kind else None,
        host,
        safeguarding=safeguarding or None,
        with_dsl=with_dsl or None,
        most=most,
    )
    found = service.queue.listed(_reader(), wanted)
    count = service.queue.count(_reader(), wanted)
    if count > len(found):
        typer.echo(f"the oldest {len(found)} of {count}; --most shows more", err=True)
    if as_json:
        json_out.echo(found)
        return
    for one in found:
        typer.echo(
            f"{one.id}  {one.reference}  {one.state:12}  {one.host}  "
            f"{one.requester.network}, {one.askers} asked, {one.purpose}"
        )
    if not found:
        typer.echo("nothing waits" if states == OPEN else "none")


@app.command()
@on_queue
def show(service: "Service", name: Name, *, as_json: AsJson = False) -> None:
    """Show one request: what would open, for whom, what speaks against it, and what was done so far."""
    from schoolgate.commands import as_json as json_out

    case = service.queue.case(_reader(), name)
    if as_json:
        json_out.echo(case)
    else:
        typer.echo(_in_words(case, service.office.zone))


@app.command()
@by_somebody
def review(
    service: "Service",
    actor: "Actor",
    name: Name,
    advice: Annotated[
        str, typer.Option("--advice", help="What the headteacher should know.", metavar="TEXT")
    ] = "",
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What would open; default: the narrowest.")
    ] = None,
    whom: Annotated[
        list[str] | None, typer.Option("--for", help="Networks or devices; default: who asked.")
    ] = None,
    until: Annotated[str, typer.Option("--until", help="Last day or instant, such as 2026-12-18.")] = "",
    during: Annotated[list[str] | None, typer.Option("--during", help="Schedules; default: always.")] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="As it will stand in policy.yaml.", metavar="TEXT")
    ] = "",
    question: Annotated[
        str, typer.Option("--ask-back", help="A question to who asked.", metavar="TEXT")
    ] = "",
    *,
    refer: Annotated[bool, typer.Option("--to-dsl", help="Send it on to the safeguarding lead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Recommend a request to the headteacher, ask back, or send it on to the DSL."""
    if question:
        moved = service.reviewing.ask_back(actor, name, question)
    elif refer:
        moved = service.reviewing.refer(actor, name, advice)
    else:
        case = service.queue.case(actor, name)
        grant = changed(case.grant, service.office.zone, target, whom, until, during, reason)
        moved = service.reviewing.recommend(actor, name, grant, advice, case.request.version)
    done(moved, as_json=as_json)


@app.command()
@by_somebody
def approve(
    service: "Service", actor: "Actor", name: Name, note: Note = "", *, as_json: AsJson = False
) -> None:
    """Approve what was recommended, and write it into policy.yaml; exit 1 where the file could not be written."""
    moved = service.approving.approve(actor, name, note)
    done(moved, as_json=as_json)


@app.command("refuse")
@by_somebody
def refuse_(
    service: "Service",
    actor: "Actor",
    names: Annotated[list[str], typer.Argument(help="One request or several.", metavar="ID...")],
    answer: Answer = "",
    note: Note = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Refuse a request, as officer before and as head after it was recommended; several all or, after an error, none."""
    from schoolgate.commands import as_json as json_out

    if len(names) == 1:
        done(service.reviewing.refuse(actor, names[0], answer, note), as_json=as_json)
    if note:
        refuse(["--note: goes with one request; several get one answer"])
    moved = service.reviewing.refuse_all(actor, tuple(names), answer)
    if as_json:
        json_out.echo(moved)
        return
    for one in moved:
        typer.echo(f"{one.id} is {one.state}")


@app.command()
@by_somebody
def withdraw(
    service: "Service",
    actor: "Actor",
    name: Name,
    note: Note = "",
    until: Annotated[str, typer.Option("--until", help="End it then instead of now.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """End what was granted, now or with --until earlier than planned."""
    if until:
        moved = service.ending.shorten(actor, name, _end(until, service.office.zone), note)
    else:
        moved = service.ending.revoke(actor, name, note or "withdrawn from the terminal")
    done(moved, as_json=as_json)


def _reader() -> Any:
    """Return who may look: whoever may read the database's file reads it here too, and the audit says so."""
    from schoolgate_exceptions.roles import Actor, Role

    return Actor(frozenset({Role.OFFICER}), name="terminal")


def changed(
    grant: "Grant",
    zone: "ZoneInfo",
    target: list[str] | None,
    whom: list[str] | None,
    until: str,
    during: list[str] | None,
    reason: str,
) -> "Grant":
    """Return a grant with what the options say otherwise."""
    changes: dict[str, Any] = {}
    for key, values in (("targets", target), ("whom", whom), ("during", during)):
        if values:
            changes[key] = tuple(values)
    if until:
        changes["until"] = _end(until, zone)
    if reason:
        changes["reason"] = reason
    return replace(grant, **changes)


def _end(text: str, zone: "ZoneInfo") -> datetime:
    """Read an end as policy.yaml does: a day means its last instant."""
    from datetime import timedelta

    from schoolgate_policy.fields import parse_moment

    try:
        moment = parse_moment(text)
    except ValueError as error:
        refuse([f"--until: {error}"])
    value = moment.value
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    return datetime.combine(value + timedelta(days=1), time(), zone).astimezone(UTC)


def done(request: "AccessRequest", *, as_json: bool) -> NoReturn:
    """Say what became of a request and leave; exit 1 where policy.yaml could not be written."""
    from schoolgate.commands import as_json as json_out

    problem = request.publication.problem
    if as_json:
        json_out.echo(request)
    else:
        typer.echo(f"{request.id} is {request.state}")
        if problem:
            typer.echo(f"policy.yaml could not be changed: {problem}", err=True)
            typer.echo(f"paste this:\n{request.publication.paste}", err=True)
    raise typer.Exit(1 if problem else 0)


def _in_words(case: "Case", zone: "ZoneInfo") -> str:
    request, grant = case.request, case.grant
    rows = [
        ("request", f"{request.id} ({request.reference}), {request.state}"),
        ("asked", f"{_at(request.created_at, zone)}, {request.kind}, {request.purpose}"),
        ("host", request.host + request.path),
        ("from", f"{request.requester.network}, {request.askers} asked"),
        ("reason", request.reason),
        ("rule", f"{request.rule_reason} ({request.rule_source})" if request.rule_source else ""),
        ("safeguarding", "look at it" if request.safeguarding else ""),
        ("grants", f"{grant.verdict} {', '.join(grant.targets)} for {', '.join(grant.whom) or 'everybody'}"),
        ("until", _at(grant.until, zone) if grant.until else "for good"),
        ("during", ", ".join(grant.during)),
        ("problem", request.publication.problem),
    ]
    lines = [f"{label:13} {text}" for label, text in rows if text]
    against = case.preview.objections
    lines += [f"{'forbidden' if one.blocks else 'warning':13} {one.message}" for one in against]
    lines += ["", *case.preview.diff] if case.preview.diff and not request.state.is_over else []
    lines += ["", *(_step(step, zone) for step in case.story)]
    return "\n".join(lines)


def _at(at: datetime, zone: "ZoneInfo") -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _step(step: Any, zone: "ZoneInfo") -> str:
    said = "; ".join(text for text in (step.note, step.answer) if text)
    what = step.action or "submitted"
    return f"{_at(step.at, zone)}  {step.role}: {what}" + (f" ({said})" if said else "")
