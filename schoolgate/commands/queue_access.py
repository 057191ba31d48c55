"""What the commands about requests, accounts and the audit share: the queue itself, and who gives the command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import read_settings, refuse

if TYPE_CHECKING:
    from schoolgate_exceptions.roles import Actor
    from schoolgate_exceptions.service import Service

By = Annotated[
    str,
    typer.Option(
        "--by",
        envvar="SCHOOLGATE_BY",
        help="The account that acts; its password is asked for.",
        metavar="EMAIL",
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="Reads the password instead of asking for it.", metavar="FILE"),
]
Code = Annotated[str, typer.Option("--code", help="The code of the authenticator app.", metavar="DIGITS")]
_TERMINAL = "terminal"  # stands for the address in the counts of failed sign-ins


@contextmanager
def opened(policy: Path, state: Path | None, settings_file: Path | None) -> "Iterator[Service]":
    """Open the request queue; whatever cannot be done ends in one line and exit code 1 or 2."""
    from schoolgate.part import utc_now
    from schoolgate.request_queue import open_service
    from schoolgate_exceptions.errors import Unavailable
    from schoolgate_policy.errors import PolicyError, SchoolgateError
    from schoolgate_policy.store import PolicyStore

    settings = read_settings(settings_file, state)
    try:
        store = PolicyStore(policy, settings.state, _Quiet(), settings.portal_host)
        service = open_service(settings, policy, store, utc_now)
    except PolicyError as error:
        refuse(error.issues)
    except (Unavailable, OSError, ValueError) as error:
        refuse([error])
    try:
        yield service
    except Unavailable as error:
        refuse([error])
    except SchoolgateError as error:
        refuse(str(error).splitlines(), code=1)
    finally:
        service.close()


def acting(service: "Service", by: str, password_file: Path | None, code: str) -> "Actor":
    """Return who gives the command, after a look at the password, and the code where the role needs one."""
    if not by:
        refuse(["say who acts: --by EMAIL"])
    if password_file is not None:
        try:
            password = password_file.read_text("utf-8").strip()
        except OSError as error:
            refuse([f"{password_file}: cannot be read: {error.strerror}"])
    else:
        password = typer.prompt("Password", hide_input=True, err=True)
    return service.signing_in.actor(by, password, code, _TERMINAL)


class _Quiet:
    """Hears of the policy and says nothing: a command tells what it was asked for."""

    def policy_loaded(self, *_: object) -> None:
        """Do nothing."""

    def policy_rejected(self, *_: object, kept: str | None) -> None:
        """Do nothing."""
