"""What there is to know of the school's certificate authority, and what to hand to whoever runs the devices."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from schoolgate_exceptions.certificate_files import FORMS, common_name, content, fingerprint
from schoolgate_proxy import authority
from schoolgate_proxy.issuing import excluded

# Where the file goes, by what runs the devices: its name there, the form it takes, and the way to the place.
_GPO = (
    "Computer Configuration > Policies > Windows Settings > Security Settings > Public Key Policies > "
    "Trusted Root Certification Authorities > Import"
)
_GOOGLE = "Devices > Networks > Certificates > Add certificate; enable it for Chromebook, Android and iOS"
_INTUNE = "Devices > Configuration > Create > Templates > Trusted certificate; store: Computer - Root"
PLACES = (
    ("Windows (GPO)", "cer", _GPO),
    ("Google Admin", "pem", _GOOGLE),
    ("Intune", "cer", _INTUNE),
    (
        "Jamf, other Apple MDM",
        "mobileconfig",
        "Configuration Profiles > Upload; or a Certificate payload with the .cer",
    ),
    (
        "Firefox (policies.json)",
        "pem",
        'Certificates: {"ImportEnterpriseRoots": true}, or Install: [the .pem]',
    ),
    ("Linux", "pem", "/usr/local/share/ca-certificates/schoolgate.crt, then update-ca-certificates"),
)


@dataclass(frozen=True, slots=True)
class Root:
    """A certificate that devices are to trust."""

    name: str
    fingerprint: str  # SHA-256
    begins: datetime
    ends: datetime
    in_force: bool
    never_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The certificate authority as it is on disk."""

    roots: tuple[Root, ...]
    root_key: str  # `here` or `away`
    intermediate_ends: datetime | None  # None: it is made at the proxy's next start
    file: str


def describe(state: Path) -> Report:
    """Look at the certificate authority; its keys are not read unless one is due.

    Raises:
        OSError, ValueError: a file cannot be read, or is damaged.

    """
    folder = state / authority.FOLDER
    path = folder / authority.INTERMEDIATE
    roots = tuple(_root(one, in_force=not number) for number, one in enumerate(authority.published(state)))
    ends = None
    if path.exists():
        ends = x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
    key = "here" if (folder / authority.ROOT_KEY).exists() else "away"
    return Report(roots, key, ends, str(state / authority.PUBLISHED))


def export(state: Path, target: Path, school: str) -> list[Path]:
    """Write every certificate in every form into a folder; return the files.

    Raises:
        OSError: the folder cannot be written.

    """
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for number, certificate in enumerate(authority.published(state), 1):
        for form in FORMS:
            path = target / f"schoolgate-{number}.{form}"
            authority.replace(path, content(certificate, form, school), 0o644)
            written.append(path)
    return written


def _root(certificate: x509.Certificate, *, in_force: bool) -> Root:
    return Root(
        common_name(certificate),
        fingerprint(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        in_force,
        excluded(certificate),
    )
