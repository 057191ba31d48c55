"""A throw-away certificate authority for the stand-in internet; its key lives as long as the demo."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(days=2)
_LONGEST_NAME = 64  # RFC 5280 upper bounds: ub-common-name


class Authority:
    """Signs a certificate for any name at the moment somebody asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Stand-in internet")
        self._ready: dict[str, ssl.SSLContext] = {}
        own = self._builder(self._name).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        own = own.add_extension(_usage(signing=True), critical=True)
        own = own.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        self.certificate = folder / "internet.pem"
        self.certificate.write_bytes(_pem(own.sign(self._key, hashes.SHA256())))

    def choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """Show the certificate of the site that a client names (the callback of `ssl.SSLContext.sni_callback`)."""
        host = name or "unnamed.invalid"
        if host not in self._ready:
            self._ready[host] = self._context(host)
        connection.context = self._ready[host]

    def _context(self, host: str) -> ssl.SSLContext:
        site = self._builder(_named(host[:_LONGEST_NAME]))
        site = site.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        site = site.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        site = site.add_extension(issuer, critical=False)
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._folder / f"site-{len(self._ready)}.pem"
        file.touch(mode=0o600)
        file.write_bytes(key + _pem(site.sign(self._key, hashes.SHA256())))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=self._key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _LIFE,
            not_valid_after=now + _LIFE,
        )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signing,
        crl_sign=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
