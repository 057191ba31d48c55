"""What a centre signs for one box: which files it is to have, in which version, as of when.

The signature (Ed25519, RFC 8032) stands beside the manifest and covers its bytes; the manifest holds the SHA-256 of each
file, so that it covers those as well. A box takes only what is signed for it, never an older version than it has, and
never an answer that was given long ago.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PURPOSE = b"schoolgate policy for a box, 1\n"
_REQUEST = b"schoolgate request of a box, 1\n"
MAIN = ""  # the path of the policy itself, whatever its file is called here and there
OLDEST = 600  # seconds by which clocks may differ, and an answer may have been on its way
type Place = Literal["policy", "state"]


class Refused(ValueError):  # noqa: N818 - reads as what it is where it is raised and caught
    """Something signed that is not taken; the text is one line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: where it belongs (beside policy.yaml, or in the state folder), and what it is."""

    place: Place
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a box at one version; `time` is in seconds since 1970."""

    box: int
    version: int
    time: int
    files: tuple[Entry, ...]

    def to_bytes(self) -> bytes:
        """Return what is signed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


def content_of(files: tuple[Entry, ...]) -> str:
    """Return the SHA-256 of what a box is to have, whatever version it is."""
    return hashlib.sha256(json.dumps([asdict(one) for one in files], sort_keys=True).encode()).hexdigest()


def sign(key: Ed25519PrivateKey, data: bytes) -> bytes:
    """Return the signature over a manifest."""
    return key.sign(_PURPOSE + data)


def sign_request(key: Ed25519PrivateKey, *parts: bytes) -> bytes:
    """Return the signature over a request of a box: method, path, time, body."""
    return key.sign(_REQUEST + b"\n".join((*parts[:-1], hashlib.sha256(parts[-1]).digest())))


def is_request(key: Ed25519PublicKey, signature: bytes, *parts: bytes) -> bool:
    """Whether a request is signed by the box that says so."""
    try:
        key.verify(signature, _REQUEST + b"\n".join((*parts[:-1], hashlib.sha256(parts[-1]).digest())))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Held:
    """What a box has: the last version it took, when that was signed, and its content."""

    version: int = 0
    time: int = 0
    content: str = ""


def accept(key: Ed25519PublicKey, data: bytes, signature: bytes, box: int, held: Held, now: int) -> Manifest:
    """Return a manifest if it is what the centre says now to this box.

    Raises:
        Refused: it was changed, is another box's, is older than what is held, or was said long ago.

    """
    try:
        key.verify(signature, _PURPOSE + data)
    except InvalidSignature:
        raise Refused(
            "the policy is not signed by the centre: it was changed on its way, or is another's"
        ) from None
    manifest = _read(data)
    if manifest.box != box:
        raise Refused(f"the policy is signed for box {manifest.box}, not for this one ({box})")
    if abs(now - manifest.time) > OLDEST:
        raise Refused(
            f"the policy was signed {abs(now - manifest.time)} s away from this box's clock: played again?"
        )
    if manifest.version < held.version or manifest.time < held.time:
        raise Refused(
            f"version {manifest.version} of the policy is older than version {held.version}, which is here"
        )
    if manifest.version == held.version and content_of(manifest.files) != held.content:
        raise Refused(f"version {manifest.version} of the policy was another one before")
    return manifest


def _read(data: bytes) -> Manifest:
    try:
        about = json.loads(data)
        files = tuple(Entry(**one) for one in about["files"])
        manifest = Manifest(about["box"], about["version"], about["time"], files)
    except (ValueError, TypeError, KeyError):
        raise Refused("the policy's manifest cannot be read: another version of Schoolgate?") from None
    for one in files:
        path = PurePosixPath(one.path)
        strays = path.is_absolute() or ".." in path.parts or not (path.parts or one.place == "policy")
        if one.place not in {"policy", "state"} or strays:
            raise Refused("the policy's manifest names a file outside its folders")
    return manifest
