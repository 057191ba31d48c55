"""Files of TSIG keys, as `tsig-keygen` writes them and BIND reads them."""

import base64
import binascii
import os
import re
import secrets
from pathlib import Path

from schoolgate.backup_place import share_with_folder
from schoolgate.credentials import secret_file
from schoolgate_dns.rpz.tsig import TsigKey
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import canonical_host

_KEY = re.compile(
    r'\s*key\s+"?(?P<name>[^"\s{]+)"?\s*\{\s*algorithm\s+"?(?P<algorithm>[\w-]+)\.?"?\s*;'
    r'\s*secret\s+"(?P<secret>[A-Za-z0-9+/=]+)"\s*;\s*\}\s*;?\s*'
)
_SHORTEST = 16  # octets; half of what HMAC-SHA256 gives
_OTHERS = 0o077
_NOT_EVEN_OF_ROOTS = 0o037  # the group of root's file may read it, and that is all


class BadKeyFile(ValueError):  # noqa: N818 - reads as what it is
    """A file that holds no usable key; the text is one line and shows nothing of the file."""


def read_key(file: Path) -> TsigKey:
    """Return the key in a file that nobody but its owner may read; of root's files, its group as well.

    Raises:
        BadKeyFile: it holds none, or others can read it.

    """
    path = secret_file(file)
    try:
        text = path.read_text("ascii")
        known = path.stat()
    except OSError as error:
        raise BadKeyFile(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise BadKeyFile(f"{file}: holds no key as `schoolgate rpz key` and `tsig-keygen` write it") from None
    closed = _OTHERS if known.st_uid else _NOT_EVEN_OF_ROOTS
    if path == file and known.st_mode & closed:  # systemd guards its copies by itself
        raise BadKeyFile(f"{file}: others can read it; chmod 600")
    found = _KEY.fullmatch(text)
    if found is None:
        raise BadKeyFile(f"{file}: holds no key as `schoolgate rpz key` and `tsig-keygen` write it")
    try:
        secret = base64.b64decode(found["secret"], validate=True)
        key = TsigKey(canonical_host(found["name"]), found["algorithm"].lower(), secret)
    except (binascii.Error, InvalidHost):
        raise BadKeyFile(f"{file}: the key's name or secret is malformed") from None
    except ValueError as error:
        raise BadKeyFile(f"{file}: {error}") from None
    if len(secret) < _SHORTEST:
        raise BadKeyFile(f"{file}: the secret has {len(secret)} octets; at least {_SHORTEST} are needed")
    return key


def write_key(file: Path, name: str) -> None:
    """Make a key up and write it for its owner alone; root's, for the group of its folder as well.

    Raises:
        OSError: the file is there already, or cannot be written.

    """
    secret = base64.b64encode(secrets.token_bytes(32)).decode("ascii")
    text = f'key "{canonical_host(name)}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n'
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    share_with_folder(file)
