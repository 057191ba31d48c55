"""The school's certificate authority on disk, and the roots trusted towards the internet."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
from cryptography import x509
from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME

from schoolgate_proxy.certificates import INTERMEDIATE, Authority, prepare_intermediate

_KEY_BITS = 2048
_LONGEST_NAME = 64  # RFC 5280 upper bounds: ub-common-name


def prepare(state: Path, school: str) -> Path:
    """Make the certificate authority on the first start, and return its folder.

    The folder is 0700 and the files with its key are 0600. `ca.pem` in `state` is the certificate alone, for
    everybody to read and to install on the school's devices.
    """
    folder = state / "ca"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):  # several workers may start at once
        if not (folder / f"{CONF_BASENAME}-ca.pem").exists():
            name = f"Schoolgate {school}"[:_LONGEST_NAME]
            CertStore.create_store(folder, CONF_BASENAME, _KEY_BITS, organization="Schoolgate", cn=name)
        for secret in ("ca.pem", "ca.p12"):
            path = folder / f"{CONF_BASENAME}-{secret}"
            if path.exists():
                path.chmod(0o600)
        _publish(folder, state / "ca.pem")
    return folder


def intermediate(folder: Path, school: str) -> Authority:
    """Return what signs the certificates of opened connections; see `certificates`."""
    with _locked(folder):
        return prepare_intermediate(folder / f"{CONF_BASENAME}-ca.pem", school)


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
    _replace(roots, Path(certifi.where()).read_bytes() + b"\n" + pem, 0o644)
    return roots


def _publish(folder: Path, target: Path) -> None:
    """Write the certificate without its key where everybody finds it, if it is not there yet."""
    bundle = (folder / f"{CONF_BASENAME}-ca.pem").read_bytes()
    start = bundle.index(b"-----BEGIN CERTIFICATE-----")
    end = b"-----END CERTIFICATE-----\n"
    certificate = bundle[start : bundle.index(end, start) + len(end)]
    if not target.exists() or target.read_bytes() != certificate:
        _replace(target, certificate, 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.chmod(mode)
    draft.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
