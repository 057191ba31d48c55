"""Zones and their past versions in a folder: what a secondary had is known, so that it can be told what changed."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schoolgate_dns.rpz.acts import Acts
from schoolgate_dns.rpz.zone import Version

_SERIALS = 1 << 32
_HALF = 1 << 31
_FORMAT = 1


def is_newer(serial: int, than: int) -> bool:
    """Whether a serial is behind another in the order of RFC 1982."""
    return serial != than and (serial - than) % _SERIALS < _HALF


class Archive:
    """Holds the versions of each zone, oldest first; not for several threads."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Read what an earlier process kept; what cannot be read is as if it were not there.

        Raises:
            OSError: the folder cannot be made.

        """
        self.folder = folder
        self._keep = keep
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._zones: dict[str, list[Version]] = _load(folder)

    @property
    def zones(self) -> tuple[str, ...]:
        """The first labels of all zones, in the order of the policy."""
        return tuple(self._zones)

    def current(self, zone: str) -> Version | None:
        """Return a zone as it is now."""
        versions = self._zones.get(zone)
        return versions[-1] if versions else None

    def at(self, zone: str, serial: int) -> Version | None:
        """Return a zone as it was, if that is still known."""
        return next((one for one in self._zones.get(zone, ()) if one.serial == serial), None)

    def versions(self, zone: str) -> int:
        """Return how many versions of a zone are known."""
        return len(self._zones.get(zone, ()))

    def next_serial(self, zone: str, seconds: int) -> int:
        """Return the serial of a zone's next version: the time, and always behind the last one."""
        last = self.current(zone)
        wanted = seconds % _SERIALS
        return wanted if last is None or is_newer(wanted, last.serial) else (last.serial + 1) % _SERIALS

    def replace(self, zones: Mapping[str, tuple[Version, bool]]) -> None:
        """Put each zone's present version in place, behind the others where it is new, else instead of the last.

        Zones that are not named are gone. Raises OSError where the folder cannot be written.
        """
        for zone, (version, new) in zones.items():
            before = self._zones.get(zone, [])
            self._zones[zone] = [*(before if new else before[:-1]), version][-self._keep :]
        self._zones = {zone: self._zones[zone] for zone in zones}
        self._save()
        self._sweep()

    def _save(self) -> None:
        words: dict[Acts, int] = {}
        kept = {
            zone: [
                {**asdict(one), "acts": [words.setdefault(a, len(words)) for a in one.acts]} for one in past
            ]
            for zone, past in self._zones.items()
        }
        about = {"format": _FORMAT, "acts": list(words), "zones": kept}
        beside = self.folder / f".zones.{os.getpid()}"
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(about))
        beside.replace(self.folder / "zones.json")

    def _sweep(self) -> None:
        """Remove the files of names that no version needs; a transfer that reads one goes on reading it."""
        needed = {one.names for past in self._zones.values() for one in past}
        for file in self.folder.glob("names-*"):
            if file.name not in needed:
                file.unlink(missing_ok=True)


def _load(folder: Path) -> dict[str, list[Version]]:
    try:
        about: dict[str, Any] = json.loads((folder / "zones.json").read_text())
        if about["format"] != _FORMAT:
            return {}
        acts = [Acts(*one) for one in about["acts"]]
        zones = {
            zone: [_version(one, acts) for one in past if (folder / one["names"]).is_file()]
            for zone, past in about["zones"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}
    return {zone: past for zone, past in zones.items() if past}


def _version(one: dict[str, Any], acts: list[Acts]) -> Version:
    used = tuple(acts[number] for number in one["acts"])
    return Version(one["serial"], one["names"], used, tuple(one["pages"]), one["ttl"])
