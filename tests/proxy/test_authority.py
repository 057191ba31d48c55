"""The certificate authority on disk: made once, rotated with an overlap, usable without the root's key."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from mitmproxy.certs import CertStore
from OpenSSL import SSL

from schoolgate_proxy import authority, issuing
from schoolgate_proxy.certificates import Leaves
from schoolgate_proxy.client_tls import ClientTls, only_http1

SCHOOL = "Perryfields Primary PRU"


def _pem(path: Path, certificate: x509.Certificate) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _is_trusted(signer: issuing.Authority, roots: Path, name: str) -> bool:
    """Whether a client with these roots accepts what the proxy shows it for a name: a real handshake."""
    leaves = Leaves(signer)
    here, there = socket.socketpair()

    def serve() -> None:
        connection = ClientTls(leaves, only_http1).connection(name, there)
        try:
            connection.do_handshake()
            connection.recv(1)
        except SSL.Error:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    context = ssl.create_default_context(cafile=str(roots))
    try:
        with context.wrap_socket(here, server_hostname=name) as client:
            client.send(b"x")
            return True
    except ssl.SSLCertVerificationError:
        return False
    finally:
        here.close()
        thread.join(10)
        there.close()


def test_a_new_root_is_trusted_by_devices_that_know_the_old_one_or_the_new(tmp_path: Path) -> None:
    """After a rotation nobody notices anything: each of the roots leads to what the proxy shows, also after two."""
    folder = authority.prepare(tmp_path, SCHOOL)
    authority.intermediate(folder, SCHOOL)
    known = [authority.published(tmp_path)[0]]
    for _ in range(2):
        authority.rotate(tmp_path, SCHOOL)
        known.append(authority.published(tmp_path)[0])
    signer = authority.intermediate(folder, SCHOOL)
    for number, root in enumerate(known):
        assert _is_trusted(signer, _pem(tmp_path / f"{number}.pem", root), "www.example.org"), number
    stranger = issuing.make_root("another school").certificate
    assert not _is_trusted(signer, _pem(tmp_path / "stranger.pem", stranger), "www.example.org")
    assert list(authority.published(tmp_path)) == known[::-1]
    assert known[0].not_valid_after_utc > datetime.now(UTC) + timedelta(days=700)


def test_names_that_are_excluded_cannot_be_signed_for(tmp_path: Path) -> None:
    """A device refuses what a constrained authority signs for an excluded name or one below it; a rotation keeps that."""
    authority.create(tmp_path, SCHOOL, never_for=["nhs.uk"])
    for _ in range(2):
        signer = authority.intermediate(tmp_path / "ca", SCHOOL)
        roots = tmp_path / "ca.pem"
        assert _is_trusted(signer, roots, "www.example.org")
        assert not _is_trusted(signer, roots, "www.nhs.uk")
        assert not _is_trusted(signer, roots, "nhs.uk")
        authority.rotate(tmp_path, SCHOOL)


def test_the_proxy_needs_no_root_key(tmp_path: Path) -> None:
    """With the root's key away the intermediate serves on; what needs the key says so in one line."""
    folder = authority.prepare(tmp_path, SCHOOL)
    before = authority.intermediate(folder, SCHOOL)
    (folder / authority.ROOT_KEY).unlink()
    assert authority.prepare(tmp_path, SCHOOL) == folder
    assert authority.intermediate(folder, SCHOOL).certificate == before.certificate
    for act in (authority.rotate, authority.renew):
        with pytest.raises(ValueError, match=r"root\.key: the root's key is away"):
            act(tmp_path, SCHOOL)
    (folder / authority.INTERMEDIATE).unlink()
    with pytest.raises(ValueError, match=r"root\.key: the root's key is away"):
        authority.intermediate(folder, SCHOOL)


def test_an_aged_intermediate_is_made_anew_while_the_key_is_there(tmp_path: Path) -> None:
    """Sixty days before its end there is a new one; without the key the old one is used to its end."""
    folder = authority.prepare(tmp_path, SCHOOL)
    root = authority.root_with_key(folder)
    aged = issuing.make_intermediate(root, SCHOOL, days=30)
    authority._write_intermediate(folder, aged)
    key = (folder / authority.ROOT_KEY).read_bytes()
    (folder / authority.ROOT_KEY).unlink()
    assert authority.intermediate(folder, SCHOOL).certificate == aged.certificate
    authority.replace(folder / authority.ROOT_KEY, key, 0o600)
    fresh = authority.intermediate(folder, SCHOOL).certificate
    assert fresh != aged.certificate
    assert fresh.not_valid_after_utc == root.certificate.not_valid_after_utc


def test_what_an_earlier_version_made_is_taken_over(tmp_path: Path) -> None:
    """Devices that were set up before go on trusting: the root of mitmproxy's making stays, in the new layout."""
    folder = tmp_path / "ca"
    folder.mkdir(mode=0o700)
    CertStore.create_store(folder, "mitmproxy", 2048, organization="Schoolgate", cn="Schoolgate Old")
    old = x509.load_pem_x509_certificate((folder / "mitmproxy-ca-cert.pem").read_bytes())
    authority.prepare(tmp_path, SCHOOL)
    signer = authority.intermediate(folder, SCHOOL)
    assert authority.published(tmp_path) == (old,)
    assert _is_trusted(signer, _pem(tmp_path / "old.pem", old), "www.example.org")
    assert not list(folder.glob("mitmproxy*"))
    assert not [
        path for path in folder.iterdir() if b"PRIVATE" in path.read_bytes() and path.stat().st_mode & 0o077
    ]
    authority.rotate(tmp_path, SCHOOL)
    assert _is_trusted(authority.intermediate(folder, SCHOOL), tmp_path / "old.pem", "www.example.org")


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """No file with a key can be read by others, whatever was done, and none is ever in what is published."""
    authority.create(tmp_path, SCHOOL)
    authority.rotate(tmp_path, SCHOOL)
    authority.renew(tmp_path, SCHOOL)
    secret = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    assert {path.name for path in secret} == {authority.ROOT_KEY, authority.INTERMEDIATE}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    with pytest.raises(ValueError, match="there is a certificate authority already"):
        authority.create(tmp_path, SCHOOL)


def test_a_key_of_another_root_is_refused(tmp_path: Path) -> None:
    """A key that was put there by mistake signs nothing."""
    folder = authority.prepare(tmp_path, SCHOOL)
    other = issuing.make_root("another school")
    authority.replace(folder / authority.ROOT_KEY, authority.key_pem(other.key), 0o600)
    with pytest.raises(ValueError, match="not the key of"):
        authority.intermediate(folder, SCHOOL)
