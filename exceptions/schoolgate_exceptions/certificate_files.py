"""The school's certificates in the forms that devices and their administration take; without keys, for everybody."""

import plistlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

FILE = "ca.pem"  # in the state folder; the first certificate in it is the one in force


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file: what its name ends in, its media type, and how it is made."""

    ending: str
    media_type: str


FORMS = {
    "cer": Form("cer", "application/x-x509-ca-cert"),
    "pem": Form("pem", "application/x-pem-file"),
    "mobileconfig": Form("mobileconfig", "application/x-apple-aspen-config"),
}


def read_certificates(state: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates that devices are to trust; none before the proxy was started, or `ca init` given.

    Raises:
        OSError, ValueError: the file cannot be read, or is not what was written.

    """
    path = state / FILE
    return tuple(x509.load_pem_x509_certificates(path.read_bytes())) if path.exists() else ()


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate as devices show it: pairs of hexadecimal digits with colons."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def common_name(certificate: x509.Certificate) -> str:
    """Return the name under which a certificate stands in lists."""
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()


def content(certificate: x509.Certificate, form: str, school: str) -> bytes:
    """Return a certificate in one of `FORMS`.

    Raises:
        KeyError: there is no such form.

    """
    if FORMS[form].ending == "mobileconfig":
        return _profile(certificate, school)
    return certificate.public_bytes(Encoding.DER if form == "cer" else Encoding.PEM)


def _profile(certificate: x509.Certificate, school: str) -> bytes:
    """Return an Apple configuration profile with one root certificate; the same one each time it is made."""
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    name = common_name(certificate)
    payload = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"schoolgate.certificate.{digest[:16]}",
        "PayloadUUID": str(uuid.uuid5(uuid.NAMESPACE_OID, digest)).upper(),
        "PayloadDisplayName": name,
        "PayloadCertificateFileName": "schoolgate.cer",
        "PayloadContent": certificate.public_bytes(Encoding.DER),
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"schoolgate.profile.{digest[:16]}",
        "PayloadUUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"profile {digest}")).upper(),
        "PayloadDisplayName": f"{school}: web filter",
        "PayloadDescription": f"Lets this device trust the web filter of {school}.",
        "PayloadOrganization": school,
        "PayloadContent": [payload],
    }
    return plistlib.dumps(profile)
