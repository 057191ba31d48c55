"""`schoolgate box …`: boxes of many schools under one centre."""

from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    AsJson,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
    refuse,
)
from schoolgate.commands.queue_access import on_queue, opened

if TYPE_CHECKING:
    from schoolgate.settings import Settings
    from schoolgate_exceptions.service import Service

app = typer.Typer(help="Boxes of many schools under one centre.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="What the box is called, such as northfield.", metavar="NAME")]


@app.command()
def code(
    name: Name,
    networks: Annotated[
        str, typer.Option("--networks", help="Those behind it, with commas.", metavar="NAMES")
    ],
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
) -> None:
    """On the centre: make a box known and print the code that enrols it, once within a day."""
    from schoolgate.box.home import write_code
    from schoolgate.centre.identity import load_identity
    from schoolgate_exceptions.errors import InvalidInput
    from schoolgate_exceptions.roles import SYSTEM

    read = read_settings(settings, state)
    url = _url(read)
    with opened(policy, state, settings) as service:
        try:
            wanted = tuple(one.strip() for one in networks.split(",") if one.strip())
            made = service.boxes.invite(SYSTEM, name, wanted)
        except InvalidInput as error:
            refuse([f"{key}: {text}" for key, text in error.fields.items()])
    identity = load_identity(read.state)
    typer.echo(write_code(url, identity.fingerprint, identity.public_key, made))


def _url(settings: "Settings") -> str:
    at = settings.centre.listen
    if at is None:
        refuse(["centre.listen: this is no centre; set where boxes reach it"])
    return settings.centre.url or f"https://{at}"


@app.command(name="list")
@on_queue
def list_boxes(service: "Service", *, as_json: AsJson = False) -> None:
    """On the centre: list the boxes, when each was last seen, and how it is."""
    from schoolgate.commands import as_json as json_out
    from schoolgate.part import utc_now

    found = service.boxes.listed()
    now = utc_now()
    if as_json:
        json_out.echo([{**json_out.plain(one), "state": one.state(now)} for one in found])
        return
    for one in found:
        seen = f"{one.seen_at:%Y-%m-%d %H:%M} UTC" if one.seen_at else "never"
        line = f"{one.name:20} {one.state(now):22} seen {seen:22} policy {one.applied} of {one.version}"
        typer.echo(f"{line}  {', '.join(one.networks)}")


@app.command()
@on_queue
def revoke(service: "Service", name: Name) -> None:
    """On the centre: let a box have nothing more. It goes on filtering by what it has."""
    from schoolgate_exceptions.errors import NotFound
    from schoolgate_exceptions.roles import SYSTEM

    try:
        service.boxes.revoke(SYSTEM, name)
    except NotFound as error:
        refuse([f"{name}: {error}"])
    typer.echo(f"{name} gets nothing more from this centre")


@app.command()
def enrol(
    code: Annotated[str, typer.Argument(help="The line that `schoolgate box code` printed.", metavar="CODE")],
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
) -> None:
    """On a box: put it under a centre, and take its policy; what policy.yaml said before is kept beside it."""
    from dataclasses import replace

    from schoolgate.box.client import Client
    from schoolgate.box.home import Home, read_code
    from schoolgate.box.take import Taker
    from schoolgate.centre.manifest import Refused

    read = read_settings(settings, state)
    home = Home(read.state)
    try:
        centre, once = read_code(code)
        key = home.key()
        said = Client(centre, key).enrol(once)
        known = replace(centre, box=int(said["box"]), name=str(said["name"]))
        home.keep_centre(known)
        if policy.is_file():
            policy.replace(policy.with_name(f"{policy.name}.before-centre"))
        manifest, _ = Taker(home, known, Client(known, key), policy, read.state).take({})
    except (OSError, Refused, ValueError, KeyError) as error:
        refuse([f"box: {error}"])
    typer.echo(f"this box is {known.name}, with version {manifest.version} of the policy of {known.url}")


@app.command()
def serve(
    policy: PolicyFile = DEFAULT_POLICY, state: StateFolder = None, settings: SettingsFile = None
) -> None:
    """On a box: follow the centre's policy and send it the events, until stopped."""
    from schoolgate.commands.parts import serve_part

    serve_part("box", policy, state, settings)
