"""What a box remembers of its centre, in `box/` of the state folder: who that is, its own key, what it has."""

import base64
import binascii
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schoolgate.box.enrolled import CENTRE, FOLDER
from schoolgate.centre.identity import load_key
from schoolgate.centre.manifest import Held

_KEY, _HELD, _TROUBLE = "box.pem", "held.json", "trouble.json"


@dataclass(frozen=True, slots=True)
class Centre:
    """A centre: where it is, by which certificate it is known, whose signature counts; and who we are there."""

    url: str
    fingerprint: str
    public_key: str
    box: int = 0
    name: str = ""

    @property
    def key(self) -> Ed25519PublicKey:
        """The key that policies are signed with."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))


def write_code(url: str, fingerprint: str, public_key: str, code: str) -> str:
    """Return what is typed at a box to enrol it: where the centre is, how it is known, and the one-time code."""
    return base64.urlsafe_b64encode(json.dumps([1, url, fingerprint, public_key, code]).encode()).decode()


def read_code(text: str) -> tuple[Centre, str]:
    """Return a centre and the one-time code; raises ValueError with one line."""
    try:
        version, url, fingerprint, public_key, code = json.loads(base64.urlsafe_b64decode(text.strip()))
        centre = Centre(str(url), str(fingerprint), str(public_key))
        assert version == 1  # noqa: S101 - caught below, with all else that is wrong
        assert centre.key is not None  # noqa: S101
    except (binascii.Error, ValueError, TypeError, AssertionError):
        raise ValueError("this is no code of `schoolgate box code`; copy it whole") from None
    return centre, str(code)


class Home:
    """The files of a box."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def key(self) -> Ed25519PrivateKey:
        """Return the box's own key, made on first use; raises OSError and ValueError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return load_key(self._folder / _KEY)

    def centre(self) -> Centre:
        """Return the centre; raises OSError and ValueError."""
        try:
            return Centre(**json.loads((self._folder / CENTRE).read_text()))
        except TypeError as error:
            raise ValueError(f"{self._folder / CENTRE}: damaged; enrol again") from error

    def keep_centre(self, centre: Centre) -> None:
        """Remember a centre; what was held from another one counts no more."""
        self._write(CENTRE, asdict(centre))
        (self._folder / _HELD).unlink(missing_ok=True)

    def held(self) -> Held:
        """Return what this box has; nothing where that is not known."""
        try:
            return Held(**json.loads((self._folder / _HELD).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return Held()

    def keep_held(self, held: Held) -> None:
        """Remember what this box has."""
        self._write(_HELD, asdict(held))

    def trouble(self) -> dict[str, str]:
        """Return what is wrong between box and centre, for `doctor`; empty: nothing."""
        try:
            found = json.loads((self._folder / _TROUBLE).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {str(key): str(text) for key, text in found.items() if text} if isinstance(found, dict) else {}

    def keep_trouble(self, trouble: dict[str, str]) -> None:
        """Remember what is wrong."""
        if trouble != self.trouble():
            self._write(_TROUBLE, trouble)

    def _write(self, name: str, value: object) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._folder / f".{name}.{os.getpid()}"
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(value))
        beside.replace(self._folder / name)
