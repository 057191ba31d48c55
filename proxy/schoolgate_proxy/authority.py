"""The school's certificate authority on disk, and the roots trusted towards the internet.

In the state folder:

    ca.pem               the certificates to install on the school's devices; for everybody to read
    ca/root.pem          the root's certificate
    ca/root.key          its key; may be away, for it is needed only to make an intermediate
    ca/former.pem        earlier roots that have not ended
    ca/intermediate.pem  what signs for the proxy: key, certificate, and bridges to former roots

The folder is 0700, every file with a key 0600.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from schoolgate_proxy.issuing import (
    ROOT_DAYS,
    Authority,
    SigningKey,
    excluded,
    is_signed_by,
    make_bridge,
    make_intermediate,
    make_root,
)

FOLDER, PUBLISHED = "ca", "ca.pem"
ROOT, ROOT_KEY, FORMER, INTERMEDIATE = "root.pem", "root.key", "former.pem", "intermediate.pem"
RENEW = timedelta(days=60)  # before its end an intermediate is made anew, where the root's key is there
# What earlier versions made by mitmproxy's hand: key and certificate in one file, and copies of both.
_BEFORE, _BEFORE_INTERMEDIATE = "mitmproxy-ca.pem", "schoolgate-intermediate.pem"
_COPIES = ("mitmproxy-ca.p12", "mitmproxy-ca-cert.pem", "mitmproxy-ca-cert.cer", "mitmproxy-ca-cert.p12", "mitmproxy-dhparam.pem")  # fmt: skip


def prepare(state: Path, school: str) -> Path:
    """Make the certificate authority on the first start, and return its folder."""
    with locked(state) as folder:
        if not (folder / ROOT).exists():
            _write_root(folder, make_root(school))
        _publish(folder)
    return folder


def create(state: Path, school: str, days: int = ROOT_DAYS, never_for: Sequence[str] = ()) -> None:
    """Make a certificate authority where there is none.

    Raises:
        ValueError: there is one.

    """
    with locked(state) as folder:
        if (folder / ROOT).exists():
            raise ValueError(
                f"{folder / ROOT}: there is a certificate authority already; `schoolgate ca rotate` replaces it"
            )
        root = make_root(school, days, never_for)
        _write_root(folder, root)
        _write_intermediate(folder, make_intermediate(root, school, days))
        _publish(folder)


def rotate(state: Path, school: str, days: int = ROOT_DAYS, never_for: Sequence[str] | None = None) -> None:
    """Put a new root in force. Devices that know only the old one trust it, too, until the old one ends.

    What it can never sign for stays as it was unless `never_for` says otherwise.

    Raises:
        ValueError: there is no root, or its key is away.

    """
    with locked(state) as folder:
        old = root_with_key(folder)
        new = make_root(school, days, excluded(old.certificate) if never_for is None else never_for)
        signer = make_intermediate(new, school, days)
        bridges = (make_bridge(new, old), *_bridges(folder))
        former = (old.certificate, *_lasting(_certificates(folder / FORMER)))
        replace(folder / FORMER, _pem(*former), 0o644)
        _write_root(folder, new)
        _write_intermediate(folder, Authority(signer.certificate, signer.key, bridges))
        _publish(folder)


def renew(state: Path, school: str) -> None:
    """Make the intermediate anew.

    Raises:
        ValueError: there is no root, or its key is away.

    """
    with locked(state) as folder:
        made = make_intermediate(root_with_key(folder), school)
        _write_intermediate(folder, Authority(made.certificate, made.key, _bridges(folder)))


def intermediate(folder: Path, school: str) -> Authority:
    """Return what signs the certificates of opened connections, made anew where it is missing, aged or of another root.

    Raises:
        ValueError: it cannot be used, and the root's key is away.

    """
    with locked(folder.parent):
        path = folder / INTERMEDIATE
        root = _first(folder / ROOT)
        known = read(path) if path.exists() else None
        if known is not None and is_signed_by(known.certificate, root):
            end, now = known.certificate.not_valid_after_utc, datetime.now(UTC)
            could_last = min(root.not_valid_after_utc, now + RENEW)
            if end >= could_last or (end > now and not (folder / ROOT_KEY).exists()):
                return Authority(known.certificate, known.key, _lasting(known.bridges))
        made = make_intermediate(root_with_key(folder), school)
        made = Authority(made.certificate, made.key, _bridges(folder))
        _write_intermediate(folder, made)
        return made


def never_signs(state: Path) -> tuple[str, ...]:
    """Return the names that the root in force may not sign for, nor for what is below them; none before the first start.

    Raises:
        OSError, ValueError: what is published cannot be read.

    """
    return excluded(roots[0]) if (roots := published(state)) else ()


def published(state: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates that devices are to trust, the one in force first; none before the first start."""
    return _certificates(state / PUBLISHED)


def root_with_key(folder: Path) -> Authority:
    """Return the root in force and its key.

    Raises:
        ValueError: one of them is missing, or they do not belong together.

    """
    path = folder / ROOT_KEY
    if not (folder / ROOT).exists():
        raise ValueError(
            f"{folder / ROOT}: there is no certificate authority; `schoolgate ca init` makes one"
        )
    if not path.exists():
        raise ValueError(f"{path}: the root's key is away; bring it back with `schoolgate ca online`")
    certificate, key = _first(folder / ROOT), parse_key(path.read_bytes(), path)
    if key.public_key() != certificate.public_key():
        raise ValueError(f"{path}: this is not the key of {folder / ROOT}")
    return Authority(certificate, key)


def read(path: Path) -> Authority:
    """Read a file with a key, its certificate and bridges.

    Raises:
        OSError, ValueError: it cannot be read, or is not that.

    """
    pem = path.read_bytes()
    certificate, *bridges = x509.load_pem_x509_certificates(pem)
    return Authority(certificate, parse_key(pem, path), tuple(bridges))


def parse_key(pem: bytes, path: Path, passphrase: bytes | None = None) -> SigningKey:
    """Read a private key.

    Raises:
        ValueError: it is none, or the passphrase does not open it.

    """
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError as error:  # a passphrase too many, or one too few
        raise ValueError(f"{path}: {str(error).lower()}") from error
    except ValueError as error:
        raise ValueError(f"{path}: no key that can be read here; is the passphrase right?") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"{path}: the key is neither RSA nor elliptic")  # noqa: TRY004 - the file is wrong
    return key


def key_pem(key: SigningKey, passphrase: bytes | None = None) -> bytes:
    """Return a private key as PEM, encrypted where there is a passphrase."""
    cipher: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        cipher = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)


def certificate_files(state: Path) -> dict[str, Path]:
    """Return where the authority's certificates are, by what they are for, whether or not they are made yet."""
    return {"authority": state / "ca.pem", "intermediate": state / "ca" / INTERMEDIATE}


def upstream_roots(folder: Path, extra: Path | None) -> Path | None:
    """Return the file of all roots trusted towards the internet, None where certifi's are all.

    Raises:
        ValueError: the file of further roots is no PEM file with certificates.
        OSError: it cannot be read.

    """
    if extra is None:
        return None
    pem = extra.read_bytes()
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"{extra}: no certificates in PEM form ({error})") from error
    roots = folder / "upstream-roots.pem"
    replace(roots, Path(certifi.where()).read_bytes() + b"\n" + pem, 0o644)
    return roots


@contextmanager
def locked(state: Path) -> Iterator[Path]:
    """Hold the authority's folder, which is made where it is missing: several workers may start at once."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _take_over(folder)
        yield folder


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all; nobody sees it with other rights than its own."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    draft.replace(path)


def _take_over(folder: Path) -> None:
    """Bring what an earlier version made into the present layout; the root stays the same."""
    before = folder / _BEFORE
    if not before.exists():
        return
    if not (folder / ROOT).exists():
        _write_root(folder, read(before))
    if (folder / _BEFORE_INTERMEDIATE).exists():
        (folder / _BEFORE_INTERMEDIATE).replace(folder / INTERMEDIATE)
    for copy in (*_COPIES, _BEFORE):
        (folder / copy).unlink(missing_ok=True)


def _write_root(folder: Path, root: Authority) -> None:
    # The key first: a certificate without its key is taken for a root whose key is away.
    replace(folder / ROOT_KEY, key_pem(root.key), 0o600)
    replace(folder / ROOT, _pem(root.certificate), 0o644)


def _write_intermediate(folder: Path, made: Authority) -> None:
    replace(folder / INTERMEDIATE, key_pem(made.key) + _pem(made.certificate, *made.bridges), 0o600)


def _publish(folder: Path) -> None:
    """Write the certificates without keys where everybody finds them, if they are not there yet."""
    wanted = _pem(_first(folder / ROOT), *_lasting(_certificates(folder / FORMER)))
    target = folder.parent / PUBLISHED
    if not target.exists() or target.read_bytes() != wanted:
        replace(target, wanted, 0o644)


def _bridges(folder: Path) -> tuple[x509.Certificate, ...]:
    path = folder / INTERMEDIATE
    return _lasting(read(path).bridges) if path.exists() else ()


def _lasting(certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    now = datetime.now(UTC)
    return tuple(one for one in certificates if one.not_valid_after_utc > now)


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    return tuple(x509.load_pem_x509_certificates(path.read_bytes())) if path.exists() else ()


def _first(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
