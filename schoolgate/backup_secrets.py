"""The keys in a backup: encrypted with a passphrase, or not there at all."""

import base64
import io
import os
import tarfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_SALT, _COST = 16, 2**15  # octets; scrypt's N, some 100 ms and 32 MiB
# In the state folder: whoever has these can speak for the school's certificate authority, or forge links and sessions.
SECRETS = (
    *("ca/root.key", "ca/intermediate.pem", "portal.key"),
    *("centre/signing.pem", "centre/tls.pem", "box/box.pem"),
)


def seal(state: Path, passphrase: bytes) -> bytes:
    """Return the keys of a state folder, encrypted (Fernet: AES-128-CBC with HMAC; the key by scrypt, RFC 7914)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in SECRETS:
            if (state / name).is_file():
                tar.add(state / name, name)
    salt = os.urandom(_SALT)
    return salt + _cipher(passphrase, salt).encrypt(packed.getvalue())


def unseal(sealed: bytes, passphrase: bytes) -> dict[str, bytes]:
    """Return the keys by their names in the state folder.

    Raises:
        ValueError: the passphrase is another, or the keys were changed.

    """
    try:
        packed = _cipher(passphrase, sealed[:_SALT]).decrypt(sealed[_SALT:])
    except InvalidToken as error:
        raise ValueError("the passphrase does not open the keys of this backup") from error
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar if member.name in SECRETS}
        return {name: file.read() for name, file in found.items() if file is not None}


def _cipher(passphrase: bytes, salt: bytes) -> Fernet:
    key = Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase)
    return Fernet(base64.urlsafe_b64encode(key))
