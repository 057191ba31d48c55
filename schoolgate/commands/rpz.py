"""`schoolgate rpz …`: the policy as response policy zones for other resolvers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    AsJson,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_policy,
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from schoolgate.settings import Settings
    from schoolgate_dns.rpz.publisher import Publisher

app = typer.Typer(
    help="The policy as response policy zones for other resolvers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_LIMITS = (
    "a zone knows names, not clients: devices, sanctions and limits of single clients are this box's alone",
    "a name of which some page is open or blocked is open in the zone: the page is judged by the proxy",
    "the zone judges no record types: a blocked name is blocked for all of them, others pass unedited (ECH, HTTP/3)",
    "names such as wpad.* and 2.dnscrypt-cert.* have no fixed end and are in no zone",
    "nothing that a zone blocks is recorded here: the resolver's own log has it",
    "who opens a name opens what it leads to only on resolvers that pass the whole chain (Unbound)",
)


@app.command()
def serve(
    policy: PolicyFile = DEFAULT_POLICY, state: StateFolder = None, settings: SettingsFile = None
) -> None:
    """Give the zones to the resolvers that [rpz.secondaries] names, until stopped."""
    from schoolgate.commands.parts import serve_part

    serve_part("rpz", policy, state, settings)


@app.command(name="list")
def list_zones(
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the zones of this policy: when each is in force, and what no zone can say."""
    from schoolgate.commands import as_json as json_out
    from schoolgate.rpz.build import missing

    read = read_settings(settings, state)
    parsed = read_policy(policy, read.state)
    found = [
        {
            "zone": f"{profile.label}.{read.rpz.zone}",
            "network": profile.network,
            "schedules": None if profile.schedules is None else list(profile.schedules),
            "as_of": profile.at.isoformat(timespec="minutes"),
        }
        for profile in _profiles(parsed)
    ]
    lacking = list(missing(parsed, read))
    if as_json:
        json_out.echo({"zones": found, "missing": lacking, "limits": list(_LIMITS)})
        return
    width = max(len(str(one["zone"])) for one in found)
    for one in found:
        typer.echo(f"{one['zone']:{width}}  {_when(one)}")
    for line in lacking:
        typer.echo(f"missing: {line}")
    for line in _LIMITS:
        typer.echo(f"limit: {line}")


def _when(one: dict[str, Any]) -> str:
    if one["schedules"] is None:
        return "what is in force now; changes at every edge of a schedule"
    names = " and ".join(one["schedules"]) or "no schedule"
    return f"while {names} {'are' if len(one['schedules']) > 1 else 'is'} in force (as of {one['as_of']})"


def _profiles(policy: Any) -> Any:
    from datetime import UTC, datetime

    from schoolgate_dns.rpz.acts import clients_of
    from schoolgate_dns.rpz.profiles import profiles_of
    from schoolgate_policy.engine import Engine

    engine = Engine(policy)
    return profiles_of(engine, clients_of(engine), datetime.now(UTC))


@app.command()
def show(
    zone: Annotated[
        str, typer.Argument(help="A zone of `schoolgate rpz list`, or its first part.", metavar="ZONE")
    ],
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
) -> None:
    """Print a zone as a zone file."""
    import sys
    import tempfile

    from schoolgate_dns.rpz.records import head_lines, lines

    read = read_settings(settings, state)
    label = zone.removesuffix(".").removesuffix(f".{read.rpz.zone}")
    with tempfile.TemporaryDirectory(prefix="schoolgate-") as folder:
        publisher, archive = _publisher(policy, read, Path(folder))
        _refresh(publisher)
        version = archive.current(label)
        if version is None:
            refuse([f"{zone}: no such zone; available: {', '.join(archive.zones)}"])
        sys.stdout.writelines(f"{line}\n" for line in head_lines(f"{label}.{read.rpz.zone}", version))
        for node in version.nodes(Path(folder)):
            sys.stdout.writelines(f"{line}\n" for line in lines(node, version))


def _publisher(policy: Path, settings: "Settings", folder: Path) -> "tuple[Publisher, Any]":
    from dataclasses import dataclass, replace

    from prometheus_client import CollectorRegistry

    from schoolgate.metrics import Metrics
    from schoolgate.metrics_rpz import RpzMetrics
    from schoolgate.part import utc_now
    from schoolgate.record import MetricsRecorder
    from schoolgate.rpz.build import ListNames, rpz_config
    from schoolgate_dns.rpz.archive import Archive
    from schoolgate_dns.rpz.publisher import Publisher
    from schoolgate_policy.engine import Engine

    @dataclass(frozen=True)
    class Source:
        engine: Engine

    config = replace(rpz_config(settings, keys=False), folder=folder)
    archive = Archive(folder, 1)
    names = ListNames(policy.parent, settings)
    source = Source(Engine(read_policy(policy, settings.state)))
    recorder = MetricsRecorder(Metrics("rpz"))
    counters = RpzMetrics(CollectorRegistry())
    return Publisher(config, source, names, archive, counters, recorder, utc_now), archive


def _refresh(publisher: "Publisher") -> None:
    import asyncio

    asyncio.run(publisher.refresh())


@app.command()
def config(
    resolver: Annotated[str, typer.Argument(help="bind, unbound, knot or powerdns.", metavar="RESOLVER")],
    zone: Annotated[str, typer.Argument(help="A zone of `schoolgate rpz list`.", metavar="ZONE")],
    secondary: Annotated[
        str | None, typer.Option("--for", help="Which of [rpz.secondaries] this is.", metavar="NAME")
    ] = None,
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
) -> None:
    """Print what a resolver needs in its configuration to take a zone; it never holds the key itself."""
    from schoolgate.rpz.keyfile import BadKeyFile, read_key
    from schoolgate.rpz.snippets import SNIPPETS, Wanted

    read = read_settings(settings, state)
    if resolver not in SNIPPETS:
        refuse([f"{resolver}: no such resolver; available: {', '.join(SNIPPETS)}"])
    label = zone.removesuffix(".").removesuffix(f".{read.rpz.zone}")
    labels = [profile.label for profile in _profiles(read_policy(policy, read.state))]
    if label not in labels:
        refuse([f"{zone}: no such zone; available: {', '.join(labels)}"])
    known = read.rpz.secondaries
    name = secondary or next(iter(known), "")
    if name not in known:
        refuse([f"rpz.secondaries.{name}: no such secondary; available: {', '.join(known) or 'none yet'}"])
    file, at = known[name].key, read.rpz.listen[0]
    try:
        key = read_key(file) if file else None
    except BadKeyFile as error:
        refuse([error])
    wanted = Wanted(
        f"{label}.{read.rpz.zone}",
        at.host,
        at.port,
        key.name if key else "",
        str(file or ""),
        key.algorithm if key else "",
    )
    typer.echo(SNIPPETS[resolver](wanted), nl=False)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="The name of the key.", metavar="NAME")],
    file: Annotated[Path, typer.Argument(help="Where to write it; BIND reads it as it is.", metavar="FILE")],
) -> None:
    """Make a TSIG key up (hmac-sha256) and write it to a file that only its owner (and root's group) can read."""
    from schoolgate.rpz.keyfile import write_key
    from schoolgate_policy.errors import InvalidHost

    try:
        write_key(file, name)
    except OSError as error:
        refuse([f"{file}: {(error.strerror or str(error)).lower()}"])
    except InvalidHost as error:
        refuse([f"{name}: {error}"])
    typer.echo(
        f"{file}: name it as `key` of a resolver in [rpz.secondaries], and copy it there by a safe way"
    )
