"""Keeps the zones as the policy has them: after each reload, and at each moment at which a verdict changes."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from schoolgate_dns.rpz.acts import Acts, Looks, clients_of
from schoolgate_dns.rpz.archive import Archive
from schoolgate_dns.rpz.compare import NamesDiff, diff_names
from schoolgate_dns.rpz.config import RpzConfig
from schoolgate_dns.rpz.names_file import Source, write_names
from schoolgate_dns.rpz.ports import RpzCounters
from schoolgate_dns.rpz.profiles import Profile, profiles_of
from schoolgate_dns.rpz.zone import Version
from schoolgate_policy.engine import Engine
from schoolgate_policy.ports import Clock, PolicySource, Recorder

_LOOK_SECONDS = 0.25  # how often the clock and the policy are looked at
_AFTER_FAULT = 5.0

type ListSources = Callable[[Engine], Iterable[Source]]


@dataclass(frozen=True, slots=True)
class _Built:
    """What was worked out of an engine: the file of names, and an example of each look."""

    engine: Engine
    looks: Looks
    names: str
    examples: tuple[str, ...]


class Publisher:
    """Follows a policy and puts its zones into an archive; `changed` is told the zones that are new."""

    def __init__(
        self,
        config: RpzConfig,
        source: PolicySource,
        lists: ListSources,
        archive: Archive,
        counters: RpzCounters,
        recorder: Recorder,
        clock: Clock,
        changed: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._source = source
        self._lists = lists
        self._archive = archive
        self._counters = counters
        self._recorder = recorder
        self._clock = clock
        self._changed = changed
        self._built: _Built | None = None
        self._until: datetime | None = None
        self.profiles: tuple[Profile, ...] = ()

    async def run(self) -> None:
        """Keep the zones up to date until cancelled."""
        while True:
            pause = _LOOK_SECONDS
            if self.is_due():
                try:
                    await self.refresh()
                except Exception as error:  # noqa: BLE001 - the zones stay as they are, and it is tried again
                    self._recorder.fault("rpz", error)
                    pause = _AFTER_FAULT
            await asyncio.sleep(pause)

    def is_due(self) -> bool:
        """Whether the zones may have to change."""
        built = self._built
        if built is None or built.engine is not self._source.engine:
            return True
        return self._until is not None and self._clock() >= self._until

    async def refresh(self) -> None:
        """Work out all zones, and put those that changed in place; what takes long runs in a thread."""
        started = time.monotonic()
        engine, now = self._source.engine, self._clock()
        built = self._built
        if built is None or built.engine is not engine:
            built = await asyncio.to_thread(self._build, engine)
        profiles, found, until = await asyncio.to_thread(self._project, built, now)
        fresh = await asyncio.to_thread(self._compare, found)
        self._archive.replace({zone: (version, zone in fresh) for zone, version in found.items()})
        self._built, self._until, self.profiles = built, until, profiles
        self._counters.published(len(fresh), time.monotonic() - started)
        if fresh:
            self._changed(fresh)

    def _build(self, engine: Engine) -> _Built:
        looks = Looks(engine, self._config)
        names, examples = write_names(self._archive.folder, looks, self._lists(engine))
        return _Built(engine, looks, names, examples)

    def _project(
        self, built: _Built, now: datetime
    ) -> tuple[tuple[Profile, ...], dict[str, Version], datetime | None]:
        """Ask the engine for each zone; return also when what is in force now ends."""
        engine = built.looks.engine
        profiles = profiles_of(engine, clients_of(engine), now)
        ends: list[datetime] = []
        found = {}
        for profile in profiles:
            network = engine.policy.networks[profile.network]
            acts: list[Acts] = []
            for host in built.examples:
                ruled = built.looks.rule(network, profile.address, host, profile.at)
                acts.append(ruled.acts)
                if profile.schedules is None and ruled.until is not None:
                    ends.append(ruled.until)
            found[profile.label] = self._version(profile, built.names, tuple(acts), now)
        return profiles, found, min(ends, default=None)

    def _version(self, profile: Profile, names: str, acts: tuple[Acts, ...], now: datetime) -> Version:
        serial = self._archive.next_serial(profile.label, int(now.timestamp()))
        pages = tuple(str(address) for address in self._config.page_of(profile.network))
        return Version(serial, names, acts, pages, self._config.ttl)

    def _compare(self, found: dict[str, Version]) -> list[str]:
        """Return the zones that say something new; the others keep the serial of their last version."""
        fresh = []
        diffs: dict[tuple[str, str], NamesDiff] = {}
        for zone, version in found.items():
            before = self._archive.current(zone)
            if before is None:
                fresh.append(zone)
                continue
            files = before.names, version.names
            if files not in diffs:
                diffs[files] = diff_names(self._archive.folder, *files)
            if diffs[files].leaves_as_it_is(before, version):
                found[zone] = replace(version, serial=before.serial)
            else:
                fresh.append(zone)
        return fresh
