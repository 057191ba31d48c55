"""Certificates for the connections that are opened: signed by an intermediate authority, with a key of their own.

The school's authority signs the intermediate once and is not needed again, so that its key is not in the memory of a
process that talks to the internet. Leaf certificates share one P-256 key, made anew at each start: signing with it
costs a twentieth of what RSA-2048 costs. Source: RFC 5280.
"""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from schoolgate_policy.names import as_ip

INTERMEDIATE = "schoolgate-intermediate.pem"
_INTERMEDIATE_DAYS, _RENEW_DAYS = 397, 60
_LEAF_DAYS = 30
_BACKDATED = timedelta(days=2)  # clocks of devices are wrong
_KEPT = 5000
_LONGEST_NAME = 64  # RFC 5280 upper bounds: ub-common-name

type SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: SigningKey


def prepare_intermediate(root: Path, school: str) -> Authority:
    """Return the intermediate beside the root's PEM file, made anew where it is missing, aged or of another root.

    Call it with the folder locked: several workers may start at once. The file is 0600.
    """
    path = root.with_name(INTERMEDIATE)
    signer = _read(root)
    if path.exists():
        known = _read(path)
        fresh = known.certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(days=_RENEW_DAYS)
        if fresh and _signed_by(known.certificate, signer.certificate):
            return known
    made = _make_intermediate(signer, school)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(
        made.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.certificate.public_bytes(serialization.Encoding.PEM)
    )
    draft.replace(path)
    return made


class Leaves:
    """Makes and keeps certificates for single names; may be asked from several threads."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.issuer = authority.certificate
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._kept: OrderedDict[str, tuple[datetime, x509.Certificate]] = OrderedDict()
        self._lock = threading.Lock()

    def certificate(self, name: str) -> x509.Certificate:
        """Return a certificate for a canonical name or address that is good for a day at least."""
        now = datetime.now(UTC)
        kept = self._kept.get(name)
        if kept is not None and kept[0] > now:
            return kept[1]
        made = self._make(name, now)
        with self._lock:
            self._kept[name] = (now + timedelta(days=_LEAF_DAYS - 1), made)
            self._kept.move_to_end(name)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _make(self, name: str, now: datetime) -> x509.Certificate:
        address = as_ip(name)
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= _LONGEST_NAME else []
        names = [x509.DNSName(name) if address is None else x509.IPAddress(address)]
        return (
            _builder(x509.Name(subject), self.issuer.subject, self.key.public_key(), now, _LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName(names), critical=not subject)
            .add_extension(_issued_by(self.issuer), critical=False)
            .sign(self._authority.key, hashes.SHA256())
        )


def _make_intermediate(root: Authority, school: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Schoolgate inspection {school}"[:_LONGEST_NAME]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Schoolgate"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, root.certificate.subject, key.public_key(), datetime.now(UTC), _INTERMEDIATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issued_by(root.certificate), critical=False)
        .sign(root.key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _issued_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Point to the issuer by the very identifier it has: strict clients compare the two (RFC 5280 4.2.1.1)."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(path: Path) -> Authority:
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"{path}: the key is neither RSA nor elliptic")  # noqa: TRY004 - the file is wrong
    return Authority(x509.load_pem_x509_certificate(pem), key)
