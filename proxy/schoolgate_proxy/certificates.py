"""Certificates for the connections that are opened: signed by an intermediate authority, with a key of their own.

The root signs the intermediate once and is not needed again, so that its key is not in the memory of a process that
talks to the internet. Leaf certificates share one P-256 key, made anew at each start: signing with it
costs a twentieth of what RSA-2048 costs. Source: RFC 5280.
"""

import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from schoolgate_policy.names import as_ip
from schoolgate_proxy.issuing import Authority, issued_by

_LEAF_DAYS = 30
_BACKDATED = timedelta(days=2)  # clocks of devices are wrong
_KEPT = 5000
_LONGEST_NAME = 64  # RFC 5280 upper bounds: ub-common-name


class Leaves:
    """Makes and keeps certificates for single names; may be asked from several threads."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.issuer = authority.certificate
        self.chain = (authority.certificate, *authority.bridges)
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
            .add_extension(issued_by(self.issuer), critical=False)
            .sign(self._authority.key, hashes.SHA256())
        )


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
