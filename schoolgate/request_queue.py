"""Puts the request queue together from the settings, for the portal and for the command line."""

import os
from pathlib import Path

from schoolgate.ask_links import portal_url
from schoolgate.box_facts import SettingsBox
from schoolgate.credentials import secret_file
from schoolgate.neighbours import neighbours
from schoolgate.settings import Settings
from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.keys import load_keys
from schoolgate_exceptions.outbox import MailHost
from schoolgate_exceptions.service import Config, Service, build_service
from schoolgate_policy.ports import Clock, PolicySource

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
    if not settings.database.url:
        (settings.state / DATABASE).touch(mode=0o640)
    database = Database(database_url(settings))
    database.migrate()
    config = Config(policy, settings.state, portal_url(settings), _mail_host(settings))
    service = build_service(config, database, source, clock, keys)
    service.sanctioning.neighbours = neighbours
    if (
        settings.centre.listen is None
    ):  # else events are of other schools, whose machines are no neighbours of ours
        service.devices.neighbours = neighbours
    service.papers.box = SettingsBox(settings)
    return service


def database_url(settings: Settings) -> str:
    """Return where the records are kept."""
    return settings.database.url or sqlite_url((settings.state / DATABASE).absolute())


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
    password = secret_file(mail.password_file).read_text("utf-8").strip() if mail.password_file else ""
    return MailHost(mail.host, mail.port, mail.sender, mail.user, password, mail.tls)
