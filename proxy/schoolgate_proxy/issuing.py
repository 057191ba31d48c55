"""Makes the certificates that sign others: the school's root, the intermediate below it, and the bridge between two roots.

Nothing here touches a disk. A root signs intermediates and nothing else, so its key can be locked away for all but
one minute in two years. Source: RFC 5280.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_DAYS = 730
_BACKDATED = timedelta(days=2)  # clocks of devices are wrong
_LONGEST_NAME = 64  # RFC 5280 upper bounds: ub-common-name

type SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, its key, and what leads from it to roots that are not its own issuer."""

    certificate: x509.Certificate
    key: SigningKey
    bridges: tuple[x509.Certificate, ...] = ()


def make_root(school: str, days: int = ROOT_DAYS, never_for: Sequence[str] = ()) -> Authority:
    """Make a root for a school; `never_for` are names, with all below them, that it can sign nothing for.

    The day stands in its name: two roots of one school must be told apart in a list of certificates.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = _name(f"Schoolgate {school}"[: _LONGEST_NAME - 11] + f" {now:%Y-%m-%d}")
    builder = _builder(subject, subject, key, now, now + timedelta(days=days), below=None)
    if never_for:
        excluded = [x509.DNSName(name) for name in never_for]
        builder = builder.add_extension(x509.NameConstraints(None, excluded), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def make_intermediate(root: Authority, school: str, days: int = ROOT_DAYS) -> Authority:
    """Make what signs the certificates of opened connections; it ends with its root at the latest."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    until = min(now + timedelta(days=days), root.certificate.not_valid_after_utc)
    subject = _name(f"Schoolgate inspection {school}"[:_LONGEST_NAME])
    builder = _builder(subject, root.certificate.subject, key, now, until, below=0)
    builder = builder.add_extension(issued_by(root.certificate), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if (constraints := name_constraints(root.certificate)) is not None:
        builder = builder.add_extension(constraints, critical=True)
    return Authority(builder.sign(root.key, hashes.SHA256()), key)


def make_bridge(new: Authority, old: Authority) -> x509.Certificate:
    """Certify a new root by an old one, until the old one ends: devices that know the old one trust the new."""
    now, until = datetime.now(UTC), old.certificate.not_valid_after_utc
    certificate = new.certificate
    builder = _builder(certificate.subject, old.certificate.subject, new.key, now, until, below=None)
    builder = builder.add_extension(issued_by(old.certificate), critical=False)
    if (constraints := name_constraints(certificate)) is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(old.key, hashes.SHA256())


def name_constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    """Return what a certificate may not sign for, None where it is free."""
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def excluded(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names that a certificate may not sign for, nor for what is below them."""
    constraints = name_constraints(certificate)
    return tuple(str(one.value) for one in (constraints and constraints.excluded_subtrees) or ())


def issued_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Point to the issuer by the very identifier it has: strict clients compare the two (RFC 5280 4.2.1.1)."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate names an issuer and bears its signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, text),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Schoolgate"),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: SigningKey,
    now: datetime,
    until: datetime,
    *,
    below: int | None,
) -> x509.CertificateBuilder:
    """Begin a certificate that may sign others; `below` is how many more may stand between it and a leaf."""
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
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
