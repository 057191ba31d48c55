"""Secrets that systemd hands to a service (`LoadCredential=secrets:FOLDER`), so that no other service can read them."""

import os
from pathlib import Path


def secret_file(path: Path) -> Path:
    """Return where to read a secret: systemd's copy of it where this service was given one, else the file itself.

    systemd names what it loads from a folder `secrets_NAME` (systemd.exec(5), LoadCredential).
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    given = Path(folder) / f"secrets_{path.name}"
    return given if folder and given.is_file() else path
