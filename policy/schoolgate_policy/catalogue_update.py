"""Take newer catalogue data without a new release: one file, proven by its hash or its signature, checked in full.

An update is the files of a catalogue one after the other, as documents of one YAML text (`pack`). It is refused
unless its origin is proven before a byte of it is parsed, it is newer than the data in use, it passes every check
that the shipped files pass, and it looks like a change rather than a loss.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from publicsuffixlist import PublicSuffixList

from schoolgate_policy.catalogue_file import parse_catalogue
from schoolgate_policy.errors import PolicyError, PolicyIssue, SchoolgateError
from schoolgate_policy.model import Catalogue, Service

MAX_BYTES = 8 * 1024 * 1024  # the shipped data has 0.1 MB
_SIGNATURE_BYTES = 64  # RFC 8032 5.1.6
_SHA256_DIGITS = 64


class CatalogueUpdateRefused(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """Data that is not to replace the catalogue in use; the message says why."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """The SHA-256 of the file in hexadecimal, as it was published somewhere that the caller trusts."""

    sha256: str


@dataclass(frozen=True, slots=True)
class Signature:
    """An Ed25519 signature of the file (64 bytes, or their base64) and the PEM public key that must have made it."""

    signature: bytes
    public_key: bytes


type Proof = Checksum | Signature


def pack(texts: Iterable[tuple[str, str]]) -> bytes:
    """Make one update file from the names and texts of a catalogue's files, the header first."""
    return "".join(f"--- # {name}\n{text.rstrip()}\n" for name, text in texts).encode()


def read_update(data: bytes, proof: Proof, current: Catalogue, name: str = "update") -> Catalogue:
    """Return the catalogue that an update file holds, where it may replace the current one.

    Raises:
        CatalogueUpdateRefused: the origin is not proven, or the data is older, the same, or far smaller.
        PolicyError: the data itself is wrong; every problem with its line.

    """
    if len(data) > MAX_BYTES:
        raise CatalogueUpdateRefused(
            f"{name}: {len(data)} bytes are no catalogue; at most {MAX_BYTES} are read"
        )
    _prove(data, proof, name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CatalogueUpdateRefused(f"{name}: not UTF-8 at byte {error.start}") from error
    update = parse_catalogue([(name, text)])
    _compare(update, current, name)
    known = {(service.id, domain) for service, domain in public_suffixes(current)}
    issues = [
        PolicyIssue(
            name, 0, 0, f"services.{service.id}", f"{domain!r} is a public suffix: far too much to claim"
        )
        for service, domain in public_suffixes(update)
        if (service.id, domain) not in known
    ]
    if issues:
        raise PolicyError(tuple(issues))
    return update


def public_suffixes(catalogue: Catalogue) -> Iterator[tuple[Service, str]]:
    """Yield every claim of a name under which strangers register theirs (`co.uk`), by service and name."""
    suffixes = PublicSuffixList()
    for service in catalogue.services.values():
        for domain in (*service.domains, *service.shared_domains, *service.frontends):
            if suffixes.publicsuffix(domain) == domain:
                yield service, domain


def _compare(update: Catalogue, current: Catalogue, name: str) -> None:
    if _order(update.version) <= _order(current.version):
        raise CatalogueUpdateRefused(
            f"{name}: version {update.version} is not newer than {current.version}, which is in use"
        )
    for what, new, old in (
        ("services", len(update.services), len(current.services)),
        ("domains", _domains(update), _domains(current)),
    ):
        if new * 2 < old:
            raise CatalogueUpdateRefused(
                f"{name}: {new} {what} where {old} are in use; less than half is a mistake"
            )


def _domains(catalogue: Catalogue) -> int:
    return sum(len(service.domains) for service in catalogue.services.values())


def _order(version: str) -> tuple[str, int]:
    day, _, number = version.partition(".")
    return day, int(number or 1)


def _prove(data: bytes, proof: Proof, name: str) -> None:
    match proof:
        case Checksum(sha256):
            expected = sha256.strip().lower()
            if len(expected) != _SHA256_DIGITS or not set(expected) <= set("0123456789abcdef"):
                raise CatalogueUpdateRefused(
                    f"{name}: {sha256!r} is no SHA-256; it has {_SHA256_DIGITS} digits"
                )
            found = hashlib.sha256(data).hexdigest()
            if not hmac.compare_digest(found, expected):
                raise CatalogueUpdateRefused(f"{name}: the SHA-256 is {found}, expected {expected}")
        case Signature(signature, public_key):
            _verify(public_key, signature, data, name)


def _verify(pem: bytes, signature: bytes, data: bytes, name: str) -> None:
    # Loaded where it is used: 8 MB that no process needs but the one that takes an update.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - see above

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CatalogueUpdateRefused(f"{name}: the public key is no PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise CatalogueUpdateRefused(f"{name}: the public key is not for Ed25519")
    try:
        key.verify(_signature(signature, name), data)
    except InvalidSignature:
        raise CatalogueUpdateRefused(f"{name}: the signature is not of this file by this key") from None


def _signature(raw: bytes, name: str) -> bytes:
    if len(raw) == _SIGNATURE_BYTES:
        return raw
    try:
        decoded = base64.b64decode(raw.strip(), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != _SIGNATURE_BYTES:
        raise CatalogueUpdateRefused(
            f"{name}: the signature has to be {_SIGNATURE_BYTES} bytes, or their base64"
        )
    return decoded
