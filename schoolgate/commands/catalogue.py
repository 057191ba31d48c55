"""`schoolgate catalogue`: which data on sites and apps is in use, and how newer data is installed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import AsJson, SettingsFile, StateFolder, read_settings, refuse

if TYPE_CHECKING:
    from schoolgate_policy.catalogue_update import Proof
    from schoolgate_policy.model import Catalogue

app = typer.Typer(
    help="Show and update the data on sites and apps.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def show(
    *,
    settings: SettingsFile = None,
    state: StateFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say which version is in use; exit 1 if an installed one is not used."""
    from schoolgate_policy.catalogue_installed import load_installed

    catalogue, issues = load_installed(read_settings(settings, state).state)
    _print(catalogue, as_json=as_json)
    for issue in issues:
        typer.echo(issue, err=True)
    raise typer.Exit(int(bool(issues)))


@app.command()
def update(
    file: Annotated[Path, typer.Argument(help="The update file.", metavar="FILE")],
    *,
    sha256: Annotated[str, typer.Option(help="Its SHA-256, from a source you trust.", metavar="HEX")] = "",
    signature: Annotated[
        Path | None, typer.Option(help="Its Ed25519 signature, instead of a SHA-256.", metavar="FILE")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The public key that signed it (PEM).", metavar="FILE")
    ] = None,
    settings: SettingsFile = None,
    state: StateFolder = None,
    as_json: AsJson = False,
) -> None:
    """Put newer data in use, once it is proven where it comes from; running parts take it up by themselves."""
    from schoolgate_policy.catalogue_installed import install
    from schoolgate_policy.errors import PolicyError, SchoolgateError

    folder = read_settings(settings, state).state
    try:
        catalogue = install(folder, file.read_bytes(), _proof(sha256, signature, key), file.name)
    except PolicyError as error:
        refuse(error.issues, code=1)
    except SchoolgateError as error:
        refuse([f"{file}: {error}"], code=1)
    except OSError as error:
        refuse([f"{error.filename or file}: {(error.strerror or str(error)).lower()}"])
    _print(catalogue, as_json=as_json)


def _proof(sha256: str, signature: Path | None, key: Path | None) -> "Proof":
    from schoolgate_policy.catalogue_update import Checksum, Signature

    if sha256 and signature is None and key is None:
        return Checksum(sha256)
    if sha256 or signature is None or key is None:
        refuse(["say where the file comes from: --sha256 HEX, or --signature FILE with --key FILE"])
    return Signature(signature.read_bytes(), key.read_bytes())


def _print(catalogue: "Catalogue", *, as_json: bool) -> None:
    facts = {
        "version": catalogue.version,
        "services": len(catalogue.services),
        "categories": len(catalogue.categories),
        "domains": sum(len(service.domains) for service in catalogue.services.values()),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(
        f"catalogue {facts['version']}: {facts['services']} services in {facts['categories']} categories, "
        f"{facts['domains']} domains"
    )
