"""The keys and passwords in a backup: encrypted with a passphrase, or not there at all."""

import base64
import io
import os
import tarfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from schoolgate.settings import Settings

_SALT, _COST = 16, 2**15  # octets; scrypt's N, some 100 ms and 32 MiB
# In the state folder: whoever has these can speak for the school's certificate authority, or forge links and sessions.
SECRETS = (
    *("ca/root.key", "ca/intermediate.pem", "portal.key"),
    *("centre/signing.pem", "centre/tls.pem", "box/box.pem"),
)
NAMED = "settings/"  # before the key of a setting that names a file with a secret in it


def named_secrets(settings: Settings) -> dict[str, Path]:
    """Return the files with passwords and keys that settings name, by `settings/` and the setting's key."""
    files = {
        "mail.password_file": settings.mail.password_file,
        "sso.secret_file": settings.sso.secret_file,
        "dns.cookie_secret": settings.dns.cookie_secret,
        "portal.key": settings.portal.key,
        **{f"rpz.secondaries.{name}.key": one.key for name, one in settings.rpz.secondaries.items()},
    }
    return {f"{NAMED}{key}": path for key, path in files.items() if path is not None}


def seal(settings: Settings, passphrase: bytes) -> bytes:
    """Return the keys of the state folder and the secrets that settings name, encrypted.

    Fernet is AES-128-CBC with HMAC; the key comes from the passphrase by scrypt (RFC 7914).

    Raises:
        OSError: a file that a setting names cannot be read.

    """
    state = settings.state
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in SECRETS:
            if (state / name).is_file():
                tar.add(state / name, name)
        for name, path in named_secrets(settings).items():
            tar.add(path, name, recursive=False)
    salt = os.urandom(_SALT)
    return salt + _cipher(passphrase, salt).encrypt(packed.getvalue())


def unseal(sealed: bytes, passphrase: bytes) -> dict[str, bytes]:
    """Return the keys by their names in the state folder, and other secrets by those of `named_secrets`.

    Raises:
        ValueError: the passphrase is another, or the keys were changed.

    """
    try:
        packed = _cipher(passphrase, sealed[:_SALT]).decrypt(sealed[_SALT:])
    except InvalidToken as error:
        raise ValueError("the passphrase does not open the keys of this backup") from error
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar if _is_ours(member)}
        return {name: file.read() for name, file in found.items() if file is not None}


def _is_ours(member: tarfile.TarInfo) -> bool:
    return member.name in SECRETS or member.name.startswith(NAMED)


def _cipher(passphrase: bytes, salt: bytes) -> Fernet:
    key = Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase)
    return Fernet(base64.urlsafe_b64encode(key))
