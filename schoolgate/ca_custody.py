"""Takes the root's key away from the box and brings it back: a file encrypted with a passphrase, to be kept in a safe."""

import os
from pathlib import Path

from schoolgate_proxy import authority

_SHORTEST = 12  # characters of a passphrase


def read_passphrase(file: Path) -> bytes:
    """Return the first line of a file.

    Raises:
        OSError, ValueError: it cannot be read, or is too short to protect a key.

    """
    first, *_ = [*file.read_text("utf-8").splitlines(), ""]
    if len(first) < _SHORTEST:
        raise ValueError(f"{file}: a passphrase has {_SHORTEST} characters or more, on the first line")
    return first.encode()


def take_away(state: Path, file: Path, passphrase: bytes) -> None:
    """Write the root's key to `file`, encrypted, read it back, and only then remove it from the box.

    Raises:
        OSError, ValueError: there is no key, the file exists, or it cannot be written.

    """
    with authority.locked(state) as folder:
        root = authority.root_with_key(folder)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(authority.key_pem(root.key, passphrase))
            target.flush()
            os.fsync(target.fileno())
        kept = authority.parse_key(file.read_bytes(), file, passphrase)
        if kept.public_key() != root.certificate.public_key():
            raise ValueError(f"{file}: what was written is not what was read; the key stays where it is")
        (folder / authority.ROOT_KEY).unlink()


def bring_back(state: Path, file: Path, passphrase: bytes) -> None:
    """Put the root's key back.

    Raises:
        OSError, ValueError: it is not the key of the root in force, or cannot be read.

    """
    with authority.locked(state) as folder:
        path = folder / authority.ROOT_KEY
        key = authority.parse_key(file.read_bytes(), file, passphrase)
        roots = authority.published(state)
        if not roots or roots[0].public_key() != key.public_key():
            raise ValueError(f"{file}: this is not the key of {folder / authority.ROOT}")
        authority.replace(path, authority.key_pem(key), 0o600)
