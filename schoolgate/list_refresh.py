"""Keeps the lists that come from the web fresh: one process does it, the others notice the new files."""

import asyncio
import ssl
from typing import Protocol

import structlog

from schoolgate.settings import Settings
from schoolgate_policy.lists.fetch import Fetcher
from schoolgate_policy.ports import PolicySource

_LOOK_EVERY_SECONDS = 60.0
_log = structlog.get_logger()


class Faults(Protocol):
    """Takes note of failures of ours."""

    def fault(self, area: str, error: Exception) -> None:
        """Record one failure."""
        ...


def fetcher_of(settings: Settings) -> Fetcher:
    """Return a fetcher for this box, which trusts what its proxy trusts."""
    tls = ssl.create_default_context()
    if settings.proxy.upstream_ca is not None:
        tls.load_verify_locations(settings.proxy.upstream_ca)
    return Fetcher(settings.state, tls)


class ListRefresher:
    """Fetches lists when they are due, until it is stopped."""

    def __init__(self, fetcher: Fetcher, source: PolicySource, faults: Faults) -> None:
        self._fetcher = fetcher
        self._source = source
        self._faults = faults
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look every minute whether a list is due."""
        self._task = asyncio.create_task(self._run(), name="lists")

    async def stop(self) -> None:
        """Stop looking; a download that is under way ends by itself and is not waited for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._once()
            except Exception as error:  # noqa: BLE001 - the lists in use stay; the next minute tries again
                self._faults.fault("policy", error)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _once(self) -> None:
        specs = [status.spec for status in self._source.engine.policy.list_status]
        if not any(spec.url for spec in specs):
            return
        for fetched in await asyncio.to_thread(self._fetcher.refresh, specs):
            name = fetched.spec.name
            if fetched.error:
                _log.warning("list.not_fetched", list=name, reason=fetched.error)
            else:
                _log.info("list.fetched", list=name, changed=fetched.changed)
