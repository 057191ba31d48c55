"""From the settings to a server of zones."""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from schoolgate.rpz.keyfile import read_key
from schoolgate.settings import Settings
from schoolgate_dns.rpz.config import RpzConfig, Secondary
from schoolgate_policy.lists.clear import tell_names
from schoolgate_policy.lists.spec import ListRefused, ListStatus
from schoolgate_policy.names import as_ip

if TYPE_CHECKING:
    from schoolgate_dns.rpz.names_file import Source, Tell
    from schoolgate_policy.engine import Engine
    from schoolgate_policy.model import Policy

FOLDER = "rpz"
_log = structlog.get_logger()


def rpz_config(settings: Settings, *, keys: bool = True) -> RpzConfig:
    """Return the settings of the zones; without `keys` no key is read, for who only prints zones.

    Raises:
        BadKeyFile: a secondary's key cannot be used.

    """
    rpz, host = settings.rpz, settings.portal_host or ""
    secondaries = tuple(
        Secondary(name, one.address, read_key(one.key) if one.key else None)
        for name, one in (rpz.secondaries if keys else {}).items()
    )
    pages = {name: tuple(map(ip_address, addresses)) for name, addresses in rpz.block_page.items()}
    return RpzConfig(
        folder=settings.state / FOLDER,
        listen=rpz.listen,
        origin=rpz.zone,
        secondaries=secondaries,
        pages=pages,
        page=tuple(map(ip_address, settings.dns.block_page_address)),
        portal_host="" if as_ip(host) is not None else host,
        own_zones=frozenset(settings.dns.local_zones) | settings.dns.zones.keys(),
        locked_lists=rpz.locked_lists,
        ttl=rpz.ttl,
    )


class ListNames:
    """Where the names on the lists of a policy come from, in clear; says which names are missing and why."""

    def __init__(self, policy_folder: Path, settings: Settings) -> None:
        self._folder = policy_folder
        self._settings = settings

    def __call__(self, engine: "Engine") -> "Iterator[Source]":
        """Yield a source for each list that may be published."""
        for status in engine.policy.list_status:
            if status.spec.locked and not self._settings.rpz.locked_lists:
                continue
            yield partial(self._tell, status)

    def _tell(self, status: ListStatus, tell: "Tell") -> None:
        try:
            tell_names(status.spec, self._folder, self._settings.state, tell)
        except (OSError, ListRefused) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            _log.error(
                "rpz.list_missing", list=status.spec.key, reason=reason, effect="its names are in no zone"
            )


def missing(policy: "Policy", settings: Settings) -> Iterator[str]:
    """Yield a line for each list whose names are not, or not all, in the zones."""
    for status in policy.list_status:
        name = f"{'locked list' if status.spec.locked else 'list'} {status.spec.name}"
        if status.spec.locked and not settings.rpz.locked_lists and status.names:
            yield f"{name}: not published, since rpz.locked_lists is not set: the resolvers do not block it"
        elif status.refused:
            yield f"{name}: its new copy is refused; what only the old copy names is in no zone"
