"""`schoolgate ca …`: the school's certificate authority."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

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

app = typer.Typer(help="The school's certificate authority.", no_args_is_help=True, rich_markup_mode=None)

Days = Annotated[int, typer.Option("--days", min=30, max=3650, help="How long the root lasts.")]
NeverFor = Annotated[
    list[str] | None,
    typer.Option(
        "--never-for",
        help="A name that, with all below it, this authority can never sign for. May be given several times.",
        metavar="NAME",
    ),
]
PassphraseFile = Annotated[
    Path, typer.Option("--passphrase-file", help="Its first line protects the key.", metavar="FILE")
]
_LIFE = 730
_RESTART = "restart the proxy, so that it signs with it: systemctl restart schoolgate-proxy"


@app.command()
def init(
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    days: Days = _LIFE,
    never_for: NeverFor = None,
) -> None:
    """Make the certificate authority: a root, and an intermediate for the proxy. Refuses where there is one."""
    from schoolgate_proxy import authority

    state = read_settings(settings, folder).state
    school = read_policy(policy, state).school.name
    with _told():
        authority.create(state, school, days, _names(never_for))
    _print(state)


@app.command()
def show(
    folder: StateFolder = None,
    settings: SettingsFile = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the files to hand out there.", metavar="DIR")
    ] = None,
    policy: PolicyFile = DEFAULT_POLICY,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what devices are to trust, until when, and where it goes in GPO, Google Admin, Intune and Jamf."""
    from schoolgate.ca_report import describe
    from schoolgate.ca_report import export as write

    state = read_settings(settings, folder).state
    with _told():
        if not describe(state).roots:
            refuse(
                [f"{state}: there is no certificate authority yet; `schoolgate ca init` makes one"], code=1
            )
        written = write(state, export, read_policy(policy, state).school.name) if export else []
    _print(state, as_json=as_json)
    for path in written if not as_json else ():
        typer.echo(f"written: {path}")


@app.command()
def rotate(
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    days: Days = _LIFE,
    never_for: NeverFor = None,
    *,
    intermediate: Annotated[
        bool, typer.Option("--intermediate", help="Only the proxy's intermediate; devices notice nothing.")
    ] = False,
) -> None:
    """Put a new root in force. Until the old one ends, devices that know either of them trust the proxy."""
    from schoolgate_proxy import authority

    state = read_settings(settings, folder).state
    school = read_policy(policy, state).school.name
    with _told():
        if intermediate:
            authority.renew(state, school)
        else:
            authority.rotate(state, school, days, _names(never_for) if never_for else None)
    _print(state)
    typer.echo(f"next: {_RESTART}")


@app.command()
def offline(
    file: Annotated[Path, typer.Argument(help="Where the encrypted key goes.", metavar="FILE")],
    passphrase_file: PassphraseFile,
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
) -> None:
    """Take the root's key away from this box, encrypted; the proxy goes on with its intermediate."""
    from schoolgate.ca_custody import read_passphrase, take_away
    from schoolgate_proxy import authority

    state = read_settings(settings, folder).state
    school = read_policy(policy, state).school.name
    with _told():
        authority.intermediate(state / authority.FOLDER, school)  # what the proxy goes on with
        take_away(state, file, read_passphrase(passphrase_file))
    typer.echo(f"the root's key is in {file} and no longer on this box; keep it and its passphrase apart")


@app.command()
def online(
    file: Annotated[Path, typer.Argument(help="The encrypted key.", metavar="FILE")],
    passphrase_file: PassphraseFile,
    folder: StateFolder = None,
    settings: SettingsFile = None,
) -> None:
    """Bring the root's key back, to make a new intermediate or a new root."""
    from schoolgate.ca_custody import bring_back, read_passphrase

    with _told():
        bring_back(read_settings(settings, folder).state, file, read_passphrase(passphrase_file))
    typer.echo("the root's key is back; take it away again when you are done")


def _names(given: list[str] | None) -> list[str]:
    from schoolgate_policy.errors import InvalidHost
    from schoolgate_policy.names import canonical_host

    try:
        return [canonical_host(name) for name in given or ()]
    except InvalidHost as error:
        refuse([f"--never-for: {error}"])


def _print(state: Path, *, as_json: bool = False) -> None:
    from schoolgate.ca_report import PLACES, describe
    from schoolgate.commands import as_json as json_out

    found = describe(state)
    if as_json:
        json_out.echo(found)
        return
    for root in found.roots:
        typer.echo(f"{root.name}{'' if root.in_force else ' (former, still trusted)'}")
        typer.echo(f"  SHA-256   {root.fingerprint}")
        typer.echo(f"  lasts     {root.begins:%Y-%m-%d} to {root.ends:%Y-%m-%d}")
        if root.never_for:
            typer.echo(f"  never for {', '.join(root.never_for)}")
    ends = f"{found.intermediate_ends:%Y-%m-%d}" if found.intermediate_ends else "made at the next start"
    typer.echo(f"root's key  {found.root_key}\nintermediate ends {ends}\ncertificates {found.file}\n")
    typer.echo(
        "Where it goes (`ca show --export DIR` writes the files; the portal offers them at /certificate):"
    )
    for place, form, way in PLACES:
        typer.echo(f"  {place:24} .{form:13} {way}")


@contextmanager
def _told() -> Iterator[None]:
    """Say what cannot be done in one line."""
    try:
        yield
    except OSError as error:
        refuse([f"{error.filename}: {(error.strerror or '').lower()}" if error.filename else error])
    except ValueError as error:
        refuse([error])
