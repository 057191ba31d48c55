"""The portal's secret: one file in the state folder, readable by its owner, from which every key is derived.

The proxy signs the references on its block pages with it too, so whichever process starts first makes it.
"""

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

FILE = "portal.key"
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """A secret, and the keys derived from it: one for each use, so that none serves for another."""

    secret: bytes

    def derive(self, use: str) -> bytes:
        """Return the key for one use."""
        return hmac.digest(self.secret, f"schoolgate/{use}".encode(), "sha256")

    def pseudonym(self, use: str, text: str) -> str:
        """Return what stands for some text and cannot be turned back without the secret: 32 hexadecimal digits."""
        return hmac.digest(self.derive(use), text.encode(), "sha256").hex()[:32]

    def fernet(self, use: str) -> bytes:
        """Return the key for one use as Fernet takes it."""
        return base64.urlsafe_b64encode(self.derive(use))


def load_keys(state: Path) -> Keys:
    """Return the keys of a state folder; the file is made on first use, also when several processes start at once.

    Raises:
        OSError: the file cannot be read or made.
        ValueError: the file is not what was written.

    """
    path = state / FILE
    if not path.exists():
        _make(path)
    secret = path.read_bytes()
    if len(secret) != _BYTES:
        raise ValueError(f"{path}: damaged; {_BYTES} bytes are expected, there are {len(secret)}")
    return Keys(secret)


def _make(path: Path) -> None:
    """Write the file whole under another name and link it to its own, unless somebody was first."""
    beside = path.with_name(f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            try:
                os.link(beside, path)
            except FileExistsError:
                return  # another process was first; its file is the one
    finally:
        beside.unlink(missing_ok=True)


def digest(text: str) -> str:
    """Return the SHA-256 of a secret with 128 bits or more, which is how such a secret is kept."""
    return hashlib.sha256(text.encode()).hexdigest()
