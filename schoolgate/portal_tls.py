"""The portal's certificate: the school's own from files, or one that the school's certificate authority signs."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization

from schoolgate.settings import Settings
from schoolgate_proxy import authority
from schoolgate_proxy.certificates import Leaves

_FILE = "portal-tls.pem"  # beside the authority's own keys
_RENEW_BEFORE = timedelta(days=10)

type Chain = tuple[Path, Path]  # a certificate with its issuers, and its key; PEM
type Mark = object  # tells one chain from the next


@dataclass(slots=True)
class PortalCertificate:
    """A TLS context that follows a certificate: `find` says where it is now, and by what mark it is known."""

    find: Callable[[], tuple[Mark, Chain]]
    context: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _mark: Mark = None

    def renew(self) -> None:
        """Load the certificate if it is another one than before.

        Raises:
            OSError: it cannot be read, or key and certificate do not belong together; the old one stays.

        """
        mark, (certificate, key) = self.find()
        if mark == self._mark:
            return
        # Tried aside first: a context whose second half could not be loaded is of no use to anybody.
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
            try:
                context.load_cert_chain(certificate, key)
            except ssl.SSLError as error:
                reason = (error.reason or "no certificate and key").replace("_", " ").lower()
                raise OSError(f"{certificate}, {key}: cannot be used: {reason}") from error
            except OSError as error:
                raise OSError(f"{certificate}, {key}: {(error.strerror or str(error)).lower()}") from error
        self._mark = mark


def certificate_of(settings: Settings, school: str) -> PortalCertificate | None:
    """Return the certificate that the settings ask for, loaded; None where the portal has no TLS.

    Raises:
        OSError: it cannot be had; one line.

    """
    portal = settings.portal
    if portal.listen_tls is None:
        return None
    if portal.certificate and portal.key:
        chain = (portal.certificate, portal.key)
        found = PortalCertificate(lambda: (_age(chain), chain))
    else:
        issued = _Issued(settings.state, school, urlsplit(portal.url).hostname or "")
        found = PortalCertificate(issued.find)
    found.renew()
    return found


def _age(chain: Chain) -> Mark:
    try:
        return tuple(file.stat().st_mtime_ns for file in chain)
    except OSError as error:
        raise OSError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error


@dataclass(slots=True)
class _Issued:
    """A certificate for the portal's host, signed anew before it ends or when the school's authority changes."""

    state: Path
    school: str
    host: str
    _known: tuple[int, datetime] = (0, datetime.min.replace(tzinfo=UTC))  # the issuer's number, renew when

    def find(self) -> tuple[Mark, Chain]:
        folder = authority.prepare(self.state, self.school)
        signer = authority.intermediate(folder, self.school)
        file = folder / _FILE
        number, renew = self._known
        if number != signer.certificate.serial_number or datetime.now(UTC) >= renew:
            leaves = Leaves(signer)
            leaf = leaves.certificate(self.host)
            key = leaves.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            pem = serialization.Encoding.PEM
            chain = b"".join(one.public_bytes(pem) for one in (leaf, *leaves.chain))
            _write_secret(file, key + chain)
            self._known = (signer.certificate.serial_number, leaf.not_valid_after_utc - _RENEW_BEFORE)
        return self._known, (file, file)


def _write_secret(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
