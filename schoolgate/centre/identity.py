"""The centre's keys: one that signs policies, and a certificate that boxes know by its fingerprint."""

import hashlib
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

KEY, TLS = "centre/signing.pem", "centre/tls.pem"  # in the state folder; both hold private keys
_LASTS = timedelta(days=20 * 365)  # known by its fingerprint, not by its dates


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the centre is."""

    key: Ed25519PrivateKey
    tls: Path

    @property
    def public_key(self) -> str:
        """The public half of the signing key, in hexadecimal."""
        return self.key.public_key().public_bytes_raw().hex()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, in hexadecimal."""
        certificate = x509.load_pem_x509_certificate(self.tls.read_bytes())
        return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def context(self) -> ssl.SSLContext:
        """Return what the centre's TLS connections are made with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.tls)
        return context


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key in a file, which is made on first use.

    Raises:
        OSError, ValueError: it cannot be read or made, or is another kind of key.

    """
    if not path.exists():
        _write(path, _pem(Ed25519PrivateKey.generate()))
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: no Ed25519 key")  # noqa: TRY004 - the file's fault, not the caller's
    return key


def load_identity(state: Path) -> Identity:
    """Return the centre's keys, which are made on first use; raises OSError and ValueError as `load_key` does."""
    tls = state / TLS
    if not tls.exists():
        _write(tls, _certificate())
    return Identity(load_key(state / KEY), tls)


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Schoolgate centre")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LASTS)
        .sign(key, hashes.SHA256())
    )
    return _pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def _pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Write a file for its owner alone, unless it is there by now."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    try:
        os.link(beside, path)
    except FileExistsError:
        return  # another process was first
    finally:
        beside.unlink(missing_ok=True)
