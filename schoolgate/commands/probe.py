"""`schoolgate probe`: does the running filter do what it promises? Tried from each network, and kept as evidence."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import (
    CANNOT_RUN,
    DEFAULT_POLICY,
    AsJson,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from schoolgate.probe.addresses import Source
    from schoolgate.probe.rounds import Plan, Points
    from schoolgate.settings import Endpoint, Settings
    from schoolgate_exceptions.probe_record import ProbeRun
    from schoolgate_policy.model import Policy

_WORLD = "1.1.1.1"  # an address beyond every filter, which answers web requests


def probe(
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    *,
    network: Annotated[
        list[str] | None, typer.Option("--network", help="Only this network; may be given again.")
    ] = None,
    inside: Annotated[
        bool, typer.Option("--inside", help="This machine is within a network, in front of the box.")
    ] = False,
    dns: Annotated[
        str, typer.Option("--dns", help="Where the sinkhole listens, if not as set.", metavar="ADDRESS:PORT")
    ] = "",
    proxy: Annotated[
        str, typer.Option("--proxy", help="Where the proxy listens, if not as set.", metavar="ADDRESS:PORT")
    ] = "",
    by: Annotated[str, typer.Option("--by", help="Who probes; default: the account that runs this.")] = "",
    record: Annotated[bool, typer.Option(help="Have the portal keep what was found.")] = True,
    as_json: AsJson = False,
) -> None:
    """Try what the filter promises, from each network; exit 1 if something is not so, 2 if it cannot be tried."""
    from schoolgate.commands import as_json as json_out
    from schoolgate.probe.expecting import Expecting
    from schoolgate.probe.rounds import BOX, INSIDE, Plan
    from schoolgate.probe.rounds import probe as run_probe
    from schoolgate.probe.words import lines_of
    from schoolgate_policy.errors import PolicyError

    box = read_settings(settings, state)
    points = _points(box, dns, proxy, inside=inside)
    try:
        expecting = Expecting(policy, box.state, box.portal_host)
    except PolicyError as error:
        refuse(error.issues)
    here = _sources(expecting().policy, box, network or [], inside=inside)
    plan = Plan(expecting, here, points, INSIDE if inside else BOX, by)
    run = run_probe(plan, lambda line: typer.echo(line, err=True))
    problem = _keep(run, box) if record else ""
    if as_json:
        json_out.echo({**json_out.plain(run), "reached": run.reached, "kept": record and not problem})
    else:
        typer.echo("\n".join(lines_of(run)))
    if problem:
        typer.echo(problem, err=True)
    raise typer.Exit(_code(plan, run, problem))


def _code(plan: "Plan", run: "ProbeRun", problem: str) -> int:
    from schoolgate_exceptions.probe_record import Outcome

    if run.outcome is Outcome.FAILED:
        return 1
    return CANNOT_RUN if problem or not run.reached or not plan.sources else 0


def _points(box: "Settings", dns: str, proxy: str, *, inside: bool) -> "Callable[[str], Points]":
    """Return what tells where to ask, by the address that asks."""
    from schoolgate.settings import Endpoint, system_resolvers

    asked, through = _endpoint("--dns", dns), _endpoint("--proxy", proxy)
    if inside:
        resolver = asked or next(iter(system_resolvers()), None)
        if resolver is None:
            refuse(["probe: this machine has no resolver; name the box's with --dns ADDRESS:53"])
        return lambda _: (resolver, Endpoint(_WORLD, 80))

    def points(source: str) -> "Points":
        same = [at for at in box.dns.listen if (":" in at.host) == (":" in source)]
        return _reach(asked or (same or list(box.dns.listen))[0], source), _reach(
            through or box.proxy.explicit, source
        )

    return points


def _reach(at: "Endpoint", source: str) -> "Endpoint":
    """Return how an address of this machine reaches what listens here, be that on every address."""
    from schoolgate.settings import Endpoint

    return Endpoint(source, at.port) if at.host in {"0.0.0.0", "::"} else at  # noqa: S104 - compared, not bound


def _endpoint(option: str, text: str) -> "Endpoint | None":
    from schoolgate.settings import Endpoint, parse_endpoint

    if not text:
        return None
    try:
        found = parse_endpoint(text)
    except ValueError as error:
        refuse([f"{option}: {error}"])
    return found if isinstance(found, Endpoint) else None


def _sources(policy: "Policy", box: "Settings", wanted: list[str], *, inside: bool) -> "tuple[Source, ...]":
    from schoolgate.probe.addresses import sources

    unknown = [name for name in wanted if name not in policy.networks]
    if unknown:
        refuse(
            [
                f"--network: `{unknown[0]}` is no network of the policy; available: {', '.join(policy.networks)}"
            ]
        )
    found = sources(policy, is_box=inside or bool(box.interfaces))
    chosen = tuple(one for one in found if not wanted or one.network in wanted)
    if inside:
        chosen = tuple(one for one in chosen if one.address)
        if not chosen:
            refuse(["probe: this machine has no address in a network of the policy"])
    return chosen


def _keep(run: "ProbeRun", box: "Settings") -> str:
    """Have a run kept; return what went wrong, or nothing."""
    from schoolgate.probe.keeping import NotKept, keep
    from schoolgate.request_queue import database_url
    from schoolgate_exceptions.database import Database
    from schoolgate_exceptions.watch.probes import is_kept

    database = Database(database_url(box))
    try:
        keep(run, box.state, lambda: is_kept(database, run.id))
    except NotKept as error:
        return str(error)
    finally:
        database.close()
    return ""
