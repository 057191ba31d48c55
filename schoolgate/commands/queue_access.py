"""What the commands about requests, accounts and the audit share: the queue itself, and who gives the command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
    refuse,
)

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
_QUEUE = {
    "policy": (PolicyFile, DEFAULT_POLICY),
    "folder": (StateFolder, None),
    "settings": (SettingsFile, None),
}
_SOMEBODY = {"by": (By, ""), "password_file": (PasswordFile, None), "code": (Code, "")}


def on_queue[**P](command: "Callable[Concatenate[Service, P], None]") -> Callable[..., None]:
    """Give a command the opened queue as its first argument, and the options that say where the queue is."""

    @wraps(command)
    def run(*, policy: Path, folder: Path | None, settings: Path | None, **own: Any) -> None:
        with opened(policy, folder, settings) as service:
            command(service, **own)  # type: ignore[call-arg]  # what its own signature says

    return _with_options(run, command, 1, _QUEUE)


def by_somebody[**P](command: "Callable[Concatenate[Service, Actor, P], None]") -> Callable[..., None]:
    """Give a command the opened queue and who acts, and the options that say where it is and prove who that is."""

    @wraps(command)
    def run(
        *,
        policy: Path,
        folder: Path | None,
        settings: Path | None,
        by: str,
        password_file: Path | None,
        code: str,
        **own: Any,
    ) -> None:
        with opened(policy, folder, settings) as service:
            command(service, acting(service, by, password_file, code), **own)  # type: ignore[call-arg]  # as above

    return _with_options(run, command, 2, _SOMEBODY | _QUEUE)


def _with_options(
    run: Callable[..., None], command: Callable[..., None], given: int, options: dict[str, tuple[Any, Any]]
) -> Callable[..., None]:
    """Let typer read a wrapper as its command: without the arguments `given` to it, with `options` before its flags."""
    own = list(signature(command).parameters.values())[given:]
    more = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
        for name, (kind, default) in options.items()
    ]
    flags = [one for one in own if one.kind is Parameter.KEYWORD_ONLY]
    values = [one for one in own if one.kind is not Parameter.KEYWORD_ONLY]
    run.__signature__ = Signature([*values, *more, *flags])  # type: ignore[attr-defined]
    run.__annotations__ = {}  # those of the command name what only a type checker knows
    return run


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
    password = (
        read_password(password_file) if password_file else typer.prompt("Password", hide_input=True, err=True)
    )
    return service.signing_in.actor(by, password, code, _TERMINAL)


def read_password(file: Path) -> str:
    """Read a password from a file, or leave."""
    try:
        return file.read_text("utf-8").strip()
    except OSError as error:
        refuse([f"{file}: cannot be read: {error.strerror}"])


class _Quiet:
    """Hears of the policy and says nothing: a command tells what it was asked for."""

    def policy_loaded(self, *_: object) -> None:
        """Do nothing."""

    def policy_rejected(self, *_: object, kept: str | None) -> None:
        """Do nothing."""
