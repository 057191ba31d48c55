"""Takes what the centre signed: fetches what is missing, checks every octet, and puts it in place."""

import hashlib
import os
import time
from pathlib import Path
from typing import IO

from schoolgate.box.client import Client
from schoolgate.box.home import Centre, Home
from schoolgate.centre.manifest import MAIN, Entry, Held, Manifest, Refused, accept, content_of

_REMOVABLE = ("sanctions.json", "state.json")


class Taker:
    """Keeps the files of a box as its centre says."""

    def __init__(self, home: Home, centre: Centre, client: Client, policy: Path, state: Path) -> None:
        self._home = home
        self._centre = centre
        self._client = client
        self._policy = policy
        self._state = state

    def take(self, health: dict[str, str]) -> tuple[Manifest, bool]:
        """Ask once; return what the centre says, and whether anything is new.

        Raises:
            Away: the centre cannot be asked. Refused: what it says is not taken. OSError: a file cannot be written.

        """
        held = self._home.held()
        data, signature = self._client.policy(held.version, health)
        manifest = accept(self._centre.key, data, signature, self._centre.box, held, int(time.time()))
        changed = [one for one in manifest.files if not _is_there(self._place(one), one)]
        drafts = [(self._place(one), self._fetch(one)) for one in changed]
        # The policy last: it names the lists that it needs.
        for place, draft in sorted(drafts, key=lambda pair: pair[0] == self._policy):
            draft.replace(place)
        self._remove(manifest)
        self._home.keep_held(Held(manifest.version, manifest.time, content_of(manifest.files)))
        return manifest, bool(changed)

    def _place(self, one: Entry) -> Path:
        if one.place == "state":
            return self._state / one.path
        return self._policy if one.path == MAIN else self._policy.parent / one.path

    def _fetch(self, one: Entry) -> Path:
        """Fetch a file beside its place; raises Refused where it is not what was signed."""
        place = self._place(one)
        place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                sound = self._copy(one, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        if not sound:
            draft.unlink(missing_ok=True)
            raise Refused(
                f"{one.path or self._policy.name} is not what the centre signed: it was changed on its way"
            )
        draft.chmod(0o640)
        return draft

    def _copy(self, one: Entry, file: IO[bytes]) -> bool:
        """Write what the centre sends, and no more than was signed; return whether it is that."""
        digest, size = hashlib.sha256(), 0
        for block in self._client.file(one.sha256):
            size += len(block)
            if size > one.size:
                return False
            digest.update(block)
            file.write(block)
        return size == one.size and digest.hexdigest() == one.sha256

    def _remove(self, manifest: Manifest) -> None:
        """Remove what the centre has no more, of the files that something hangs on."""
        named = {one.path for one in manifest.files if one.place == "state"}
        for name in _REMOVABLE:
            if name not in named:
                (self._state / name).unlink(missing_ok=True)


def _is_there(place: Path, one: Entry) -> bool:
    try:
        if place.stat().st_size != one.size:
            return False
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == one.sha256
    except FileNotFoundError:
        return False
