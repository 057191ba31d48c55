"""The files of one box, from the centre's policy folder and state: its policy, the lists, what is switched on."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schoolgate.centre.cut import cut
from schoolgate.centre.manifest import MAIN, Entry, Place
from schoolgate_policy.clients import ClientDirectory
from schoolgate_policy.lists.shelf import Shelf
from schoolgate_policy.lists.unpack import files_of
from schoolgate_policy.model import Policy
from schoolgate_policy.store import PolicyStore

_SANCTIONS, _STATE = "sanctions.json", "state.json"


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a box is to have, and where the content of each file is."""

    files: tuple[Entry, ...]
    contents: dict[str, bytes | Path]


class Packer:
    """Packs what boxes are to have; the digests of large files are remembered."""

    def __init__(self, store: PolicyStore, state: Path) -> None:
        self._store = store
        self._state = state
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def pack(self, networks: tuple[str, ...]) -> Parcel:
        """Return what the box in front of some networks is to have now.

        Raises:
            OSError: a file cannot be read.

        """
        policy = self._store.engine.policy
        text = self._store.path.read_bytes()
        if hashlib.sha256(text).hexdigest()[:12] != policy.version:
            raise OSError("the policy is being changed")  # the next time is a moment away
        found: list[tuple[Entry, bytes | Path]] = [
            _entry("policy", MAIN, cut(text.decode(), policy, networks).encode())
        ]
        switched = self._state / _STATE
        if switched.is_file():
            found.append(_entry("state", _STATE, switched.read_bytes()))
        sanctions = self._sanctions(policy, networks)
        if sanctions:
            found.append(_entry("state", _SANCTIONS, sanctions))
        found += self._lists(policy)
        files = tuple(sorted((entry for entry, _ in found), key=lambda one: (one.place, one.path)))
        return Parcel(files, {entry.sha256: content for entry, content in found})

    def _sanctions(self, policy: Policy, networks: tuple[str, ...]) -> bytes:
        """Return the sanctions of devices behind the box."""
        try:
            entries = json.loads((self._state / _SANCTIONS).read_bytes())["sanctions"]
        except (FileNotFoundError, KeyError, ValueError):
            return b""
        who = ClientDirectory(policy.networks, policy.devices, "")
        kept = [one for one in entries if who.identify(one["address"]).network in networks]
        return json.dumps({"sanctions": kept}).encode()

    def _lists(self, policy: Policy) -> Iterator[tuple[Entry, bytes | Path]]:
        folder, shelf = self._store.path.parent, Shelf(self._state)
        for status in policy.list_status:
            spec = status.spec
            if spec.file is not None:
                place: Place = "policy"
                base, start = folder, folder / spec.file
            elif spec.url is not None:
                place, base, start = "state", self._state, shelf.download(spec)
            else:
                continue
            if start.exists():
                yield from (self._file(place, base, file) for file in files_of(start))
            about = start.with_name(f"{start.name}.json")
            if place == "state" and about.is_file():
                yield self._file(place, base, about)

    def _file(self, place: Place, base: Path, file: Path) -> tuple[Entry, Path]:
        mark = file.stat()
        key = mark.st_ino, mark.st_mtime_ns, mark.st_size
        known = self._digests.get(file)
        if known is None or known[0] != key:
            with file.open("rb") as stream:
                known = key, hashlib.file_digest(stream, "sha256").hexdigest()
            self._digests[file] = known
        name = file.relative_to(base).as_posix()
        return Entry(place, name, known[1], mark.st_size), file


def _entry(place: Place, path: str, data: bytes) -> tuple[Entry, bytes]:
    return Entry(place, path, hashlib.sha256(data).hexdigest(), len(data)), data
