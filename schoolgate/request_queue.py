"""Puts the request queue together from the settings, for the portal and for the command line."""

import os
from collections.abc import Callable
from pathlib import Path

from schoolgate.neighbours import neighbours
from schoolgate.settings import Endpoint, Settings
from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.keys import load_keys
from schoolgate_exceptions.links import ask_link
from schoolgate_exceptions.outbox import MailHost
from schoolgate_exceptions.references import References
from schoolgate_exceptions.service import Config, Service, build_service
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.ports import Clock, PolicySource

type AskUrl = Callable[[Attempt, Decision], str | None]
DATABASE = "portal.db"
FIRST_ACCOUNT = "first-account.txt"


def open_service(settings: Settings, policy: Path, source: PolicySource, clock: Clock) -> Service:
    """Return the request queue on its database, which is brought up to date first.

    Raises:
        Unavailable: the database cannot be used.
        OSError, ValueError: the key or a file of a secret cannot be.

    """
    settings.state.mkdir(mode=0o750, parents=True, exist_ok=True)
    keys = load_keys(settings.state)
    url = settings.database.url
    if not url:
        file = settings.state / DATABASE
        file.touch(mode=0o640)
        url = sqlite_url(file.absolute())
    database = Database(url)
    database.migrate()
    config = Config(policy, settings.state, portal_url(settings), _mail_host(settings))
    service = build_service(config, database, source, clock, keys)
    service.sanctioning.neighbours = neighbours
    return service


def portal_url(settings: Settings) -> str:
    """Return how people reach the portal; empty where its port is only known once it listens."""
    if settings.portal.url:
        return settings.portal.url.rstrip("/")
    listen: Endpoint = settings.portal.listen
    return f"http://{listen}" if listen.port else ""


def ask_url(settings: Settings) -> AskUrl | None:
    """Return what makes the links on block pages; None where nobody could follow them.

    Raises:
        OSError, ValueError: the portal's key cannot be read or made.

    """
    base = portal_url(settings)
    if not base:
        return None
    references = References(load_keys(settings.state))

    def link(attempt: Attempt, decision: Decision) -> str | None:
        reference = references.for_block(attempt, decision)
        return ask_link(base, reference) if reference else None

    return link


def announce_first_account(service: Service, settings: Settings, base: str) -> Path | None:
    """Write down how the first account is made, for whoever may read the state folder; None once there is one."""
    token = service.accounts.first_invitation()
    path = settings.state / FIRST_ACCOUNT
    if token is None:
        path.unlink(missing_ok=True)
        return None
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"Open this once, within seven days, to make the first account:\n{base}/set-up/{token}\n")
    beside.replace(path)
    return path


def _mail_host(settings: Settings) -> MailHost | None:
    mail = settings.mail
    if not mail.host:
        return None
    password = mail.password_file.read_text("utf-8").strip() if mail.password_file else ""
    return MailHost(mail.host, mail.port, mail.sender, mail.user, password, mail.tls)
