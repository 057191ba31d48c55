"""`schoolgate users …`: the portal's accounts. Whoever may run this on the box may look after them."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import AsJson, refuse
from schoolgate.commands.queue_access import on_queue, read_password

if TYPE_CHECKING:
    from schoolgate_exceptions.accounts import Account, Holding
    from schoolgate_exceptions.service import Service

app = typer.Typer(help="Look after the portal's accounts.", no_args_is_help=True, rich_markup_mode=None)
Email = Annotated[str, typer.Argument(help="The account.", metavar="EMAIL")]
Roles = Annotated[
    list[str],
    typer.Option(
        "--role", help="A role; a deputy with its dates: deputy:2026-12-01..2026-12-18.", metavar="ROLE"
    ),
]


@app.command()
@on_queue
def add(
    service: "Service",
    email: Email,
    role: Roles,
    name: Annotated[str, typer.Option("--name", help="As colleagues know them.")] = "",
    language: Annotated[str, typer.Option("--language", help="en or cy.")] = "en",
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", help="Reads a password; without it, prints an invitation."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make an account; prints the link with which its owner sets a password."""
    from schoolgate_exceptions.links import link
    from schoolgate_exceptions.roles import SYSTEM

    holdings = [_holding(text) for text in role]
    password = read_password(password_file) if password_file else None
    account = service.accounts.add(
        SYSTEM, email, name or email.partition("@")[0], holdings, password=password, language=language
    )
    invitation = ""
    if password is None:
        token = service.accounts.invite(SYSTEM, account.email)
        invitation = link(service.office.url, "invitation", token=token)
    _tell(account, invitation, as_json=as_json)


@app.command("list")
@on_queue
def list_(service: "Service", *, as_json: AsJson = False) -> None:
    """List every account with its roles."""
    from schoolgate.commands import as_json as json_out

    found = service.accounts.listed()
    if as_json:
        json_out.echo(found)
        return
    for account in found:
        typer.echo(_line(account))


@app.command()
@on_queue
def roles(service: "Service", email: Email, role: Roles, *, as_json: AsJson = False) -> None:
    """Give an account these roles and no others."""
    from schoolgate_exceptions.roles import SYSTEM

    holdings = [_holding(text) for text in role]
    _tell(service.accounts.set_roles(SYSTEM, email, holdings), "", as_json=as_json)


@app.command()
@on_queue
def language(
    service: "Service",
    email: Email,
    code: Annotated[str, typer.Argument(help="en or cy.", metavar="LANGUAGE")],
    *,
    as_json: AsJson = False,
) -> None:
    """Write letters to an account in another language."""
    from schoolgate_exceptions.roles import SYSTEM

    _tell(service.accounts.set_language(SYSTEM, email, code), "", as_json=as_json)


@app.command()
@on_queue
def invite(
    service: "Service",
    email: Email,
    *,
    forget_app: Annotated[
        bool, typer.Option("--forget-app", help="Forget a lost authenticator app as well.")
    ] = False,
) -> None:
    """Print a link with which the owner of an account sets a new password."""
    from schoolgate_exceptions.links import link
    from schoolgate_exceptions.roles import SYSTEM

    if forget_app:
        service.accounts.remove_second_factor(SYSTEM, email)
    token = service.accounts.invite(SYSTEM, email)
    typer.echo(link(service.office.url, "invitation", token=token))


@app.command()
@on_queue
def close(service: "Service", email: Email) -> None:
    """Close an account: its sessions end, what it did stays."""
    from schoolgate_exceptions.roles import SYSTEM

    service.accounts.close(SYSTEM, email)
    typer.echo(f"{email} is closed")


@app.command()
@on_queue
def token(
    service: "Service",
    email: Email,
    name: Annotated[str, typer.Option("--name", help="What it is for, such as dashboard.", metavar="NAME")],
    days: Annotated[int, typer.Option("--days", help="For how many days it works.", min=1, max=400)] = 365,
    *,
    end: Annotated[bool, typer.Option("--end", help="End it instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a token with which a program acts as an account in the JSON interface; it is shown this once."""
    from schoolgate.commands import as_json as json_out
    from schoolgate_exceptions.roles import SYSTEM

    if end:
        service.api_tokens.revoke(SYSTEM, email, name)
        typer.echo(f"the token {name} of {email} has ended")
        return
    made, secret = service.api_tokens.make(SYSTEM, email, name, days)
    if as_json:
        json_out.echo({**json_out.plain(made), "token": secret})
    else:
        typer.echo(secret)


@app.command()
@on_queue
def tokens(service: "Service", *, as_json: AsJson = False) -> None:
    """List the tokens of programs, never their secrets."""
    from schoolgate.commands import as_json as json_out

    found = service.api_tokens.listed()
    if as_json:
        json_out.echo(found)
        return
    for one in found:
        state = "ended" if one.revoked_at else f"until {one.ends:%Y-%m-%d}"
        used = f"used {one.used_at:%Y-%m-%d}" if one.used_at else "never used"
        typer.echo(f"{one.email}  {one.name}  {state}  {used}")


def _holding(text: str) -> "Holding":
    """Read `teacher`, `officer`, `deputy:2026-12-01..2026-12-18`."""
    from schoolgate_exceptions.accounts import Holding
    from schoolgate_exceptions.roles import Role

    name, _, dates = text.partition(":")
    known = {role.name.lower(): role for role in Role if role.is_assignable}
    known |= {str(role): role for role in known.values()}
    role = known.get(name.strip().lower())
    if role is None:
        refuse(
            [f"--role: `{name}` is no role; available: {', '.join(one for one in known if ' ' not in one)}"]
        )
    first, _, last = dates.partition("..")
    try:
        return Holding(
            role, date.fromisoformat(first) if first else None, date.fromisoformat(last) if last else None
        )
    except ValueError:
        refuse([f"--role: `{dates}` is no pair of dates such as 2026-12-01..2026-12-18"])


def _tell(account: "Account", invitation: str, *, as_json: bool) -> None:
    from schoolgate.commands import as_json as json_out

    if as_json:
        json_out.echo({**json_out.plain(account), "invitation": invitation or None})
    else:
        typer.echo(_line(account))
        if invitation:
            typer.echo(f"to set a password, within seven days: {invitation}")


def _line(account: "Account") -> str:
    held = [f"{one.role} until {one.last}" if one.last else str(one.role) for one in account.holdings]
    state = "closed" if account.closed_at else "" if account.has_password else "no password yet"
    letters = "" if account.language == "en" else f"letters in {account.language}"
    return "  ".join(part for part in (account.email, account.name, ", ".join(held), letters, state) if part)
