"""The catalogue in use: what somebody installed into the state folder, where it is newer than what ships.

Only `install` writes the file, after its origin is proven; it is checked in full each time it is read.
"""

import os
from pathlib import Path

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.catalogue_update import Proof, read_update
from schoolgate_policy.errors import PolicyError, PolicyIssue, Severity
from schoolgate_policy.model import Catalogue

_FILE = Path("catalogue") / "installed.yaml"


def installed_file(state: Path) -> Path:
    """Return where the installed catalogue of a state folder lies, whether or not there is one."""
    return state / _FILE


def load_installed(state: Path | None) -> tuple[Catalogue, tuple[PolicyIssue, ...]]:
    """Return the newest good catalogue, and a warning where the installed one is not it.

    Raises:
        PolicyError: the data that ships is broken.

    """
    shipped = load_catalogue()
    if state is None or not installed_file(state).is_file():
        return shipped, ()
    file = installed_file(state)
    try:
        found = load_catalogue(file)
    except (PolicyError, OSError) as error:
        reason = str(error.issues[0]) if isinstance(error, PolicyError) else str(error.strerror)
        return shipped, (
            _warning(file, f"the installed catalogue is not used, the one that ships is: {reason}"),
        )
    if found.version <= shipped.version:
        message = (
            f"installed version {found.version} is no newer than {shipped.version}, which ships and is used"
        )
        return shipped, (_warning(file, message),)
    return found, ()


def install(state: Path, data: bytes, proof: Proof, name: str) -> Catalogue:
    """Prove and check an update file and put it in use; running parts take it up by themselves.

    Raises:
        CatalogueUpdateRefused: its origin is not proven, or it is no newer or far smaller than what is in use.
        PolicyError: it is no good catalogue.
        OSError: it cannot be written.

    """
    catalogue = read_update(data, proof, load_installed(state)[0], name)
    file = installed_file(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(file)
    return catalogue


def _warning(file: Path, message: str) -> PolicyIssue:
    return PolicyIssue(str(file), 0, 0, "", message, Severity.WARNING)
