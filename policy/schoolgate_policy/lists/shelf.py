"""The state folder of the lists: compiled files, downloads, and which copy of each list was the last good one.

```
state/lists/KEY.json             the last good copy of a list (`lists-games`, `locked-iwf`)
state/lists/KEY.accept           the digest of a copy that is to be used although it shrank
state/lists/compiled/*.sgl       compiled lists, by the digest of their source
state/lists/downloads/KEY        what a URL brought, and KEY.json: when, and the publisher's marks
```
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schoolgate_policy.lists.spec import ListSpec

_WAIT_SECONDS = 120.0
_LOOK_AGAIN_SECONDS = 0.05
_KEEP_UNUSED_SECONDS = 3600.0  # another process may be about to open it


@dataclass(frozen=True, slots=True)
class Good:
    """The last good copy of a list."""

    source: str  # file or URL it came from
    compiled: str  # file name
    digest: str
    entries: int
    dated: float  # seconds since the epoch


class Shelf:
    """Where lists are kept between starts, and shared between processes."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "lists"
        self.downloads = self._folder / "downloads"
        self._compiled = self._folder / "compiled"

    def prepare(self) -> None:
        """Make the folders; OSError where that is impossible."""
        for folder in (self._compiled, self.downloads):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def compiled(self, name: str) -> Path:
        """Return where a compiled list stands."""
        return self._compiled / name

    def download(self, spec: ListSpec) -> Path:
        """Return where the content of a URL stands."""
        return self.downloads / spec.key

    def good(self, spec: ListSpec) -> Good | None:
        """Return the last good copy of a list, if it came from where the list comes from now."""
        about = read_json(self._folder / f"{spec.key}.json")
        try:
            good = Good(**about)
        except TypeError:
            return None
        return good if good.source == (spec.file or spec.url) else None

    def keep(self, spec: ListSpec, good: Good) -> None:
        """Note the last good copy of a list, and let go of compiled files that no list needs."""
        if self.good(spec) == good:
            return
        write_json(self._folder / f"{spec.key}.json", asdict(good))
        self._accept(spec).unlink(missing_ok=True)
        self._tidy()

    def accept(self, spec: ListSpec, digest: str) -> None:
        """Note that a copy is to be used although it shrank."""
        self.prepare()
        self._accept(spec).write_text(digest)

    def accepted(self, spec: ListSpec) -> str:
        """Return the digest of the copy that is to be used although it shrank; empty for none."""
        try:
            return self._accept(spec).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""

    def marks(self) -> list[Path]:
        """Return the files beside a list's own whose change may change what is made of it."""
        return [self._folder, self.downloads]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold off other processes, so that a list is compiled once; after two minutes, do it all the same."""
        with (self._compiled / ".lock").open("ab") as file:
            until = time.monotonic() + _WAIT_SECONDS
            while time.monotonic() < until:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(_LOOK_AGAIN_SECONDS)
            yield

    def _accept(self, spec: ListSpec) -> Path:
        return self._folder / f"{spec.key}.accept"

    def _tidy(self) -> None:
        needed = {str(read_json(file).get("compiled")) for file in self._folder.glob("*.json")}
        for file in self._compiled.glob("*.sgl"):
            if file.name not in needed and time.time() - file.stat().st_mtime > _KEEP_UNUSED_SECONDS:
                file.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; an empty one where the file is missing or broken."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Put an object into a file, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value))
    beside.replace(path)
