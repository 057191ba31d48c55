"""The portal over TLS: with the school's authority and with files of its own, which it follows; and what cannot be."""

import os
import shutil
import socket
import ssl
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from cryptography import x509
from running import FREE_PORTS, ROOT, Running, schoolgate

from schoolgate.portal_tls import certificate_of
from schoolgate.settings import Settings
from schoolgate.settings_file import SettingsError, load_settings

HOST = "filter.school.example"


def tls_settings(tmp_path, **more):
    portal = {"listen_tls": "127.0.0.1:0", "url": f"https://{HOST}", **more}
    return Settings.model_validate({"state": tmp_path / "state", "portal": portal})


def shown(context, trust):
    """Return the certificate that a context shows for the portal's host to whoever trusts a file."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = ssl.create_default_context(cafile=str(trust))
        ends = [
            context.wrap_bio(a := ssl.MemoryBIO(), b := ssl.MemoryBIO(), server_side=True),
            client.wrap_bio(b, a, server_hostname=HOST),
        ]
        for _ in range(6):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        return x509.load_der_x509_certificate(ends[1].getpeercert(binary_form=True))


def give(tmp_path, authority):
    """Write a certificate of an authority for the portal's host, and what to trust."""
    made = authority.issue_cert(HOST)
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    authority.cert_pem.write_to_path(tmp_path / "trust.pem")
    return {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}


def test_signed_by_the_schools_authority(internet, tmp_path):
    """Devices that trust the school's certificate open the portal; without TLS they are sent there; cookies are secure."""
    running = Running(
        tmp_path,
        internet,
        SCHOOLGATE_PORTAL_URL=f"https://{HOST}",
        SCHOOLGATE_PORTAL_LISTEN_TLS="127.0.0.1:0",
    )
    try:
        running.wait_ready()
        host, port = running.address("portal_tls")
        trust = ssl.create_default_context(cafile=str(running.state / "ca.pem"))
        named = {"headers": {"Host": HOST}, "extensions": {"sni_hostname": HOST}}
        with httpx.Client(base_url=f"https://{host}:{port}", verify=trust, timeout=20) as browser:
            page = browser.get("/sign-in", **named)
            assert page.status_code == 200
            for cookie in page.headers.get_list("set-cookie"):
                assert cookie.startswith("__Host-")
                assert "; Secure" in cookie
        plain = "http://{}:{}".format(*running.address("portal"))
        sent = httpx.post(f"{plain}/requests?a=b%20c", headers={"Host": HOST}, timeout=20)
        assert (sent.status_code, sent.headers["Location"]) == (308, f"https://{HOST}/requests?a=b%20c")
        blocked = httpx.get(plain, headers={"Host": "www.instagram.com"}, timeout=20)
        assert blocked.status_code == 403
        assert (running.state / "ca" / "portal-tls.pem").stat().st_mode & 0o777 == 0o600
        first = (running.state / "first-account.txt").read_text()
        assert urlsplit(first.split()[-1]).scheme == "https"
    finally:
        running.stop()


def test_a_newer_certificate_is_shown_at_once(tmp_path):
    """A renewed file is followed; one that is broken, or whose key is another's, leaves the old one in its place."""
    authority = trustme.CA()
    files = give(tmp_path, authority)
    certificate = certificate_of(tls_settings(tmp_path, **files), "School")
    first = shown(certificate.context, tmp_path / "trust.pem")
    certificate.renew()
    assert shown(certificate.context, tmp_path / "trust.pem") == first
    give(tmp_path, authority)
    os.utime(tmp_path / "cert.pem", ns=(1, 1))
    certificate.renew()
    second = shown(certificate.context, tmp_path / "trust.pem")
    assert second != first
    authority.issue_cert(HOST).private_key_pem.write_to_path(tmp_path / "key.pem")
    os.utime(tmp_path / "key.pem", ns=(2, 2))
    with pytest.raises(OSError, match="cannot be used: key values mismatch"):
        certificate.renew()
    assert shown(certificate.context, tmp_path / "trust.pem") == second
    (tmp_path / "cert.pem").unlink()
    with pytest.raises(OSError, match=r"cert\.pem: no such file"):
        certificate.renew()
    assert shown(certificate.context, tmp_path / "trust.pem") == second


def test_another_authority_signs_anew(tmp_path):
    """Where the school makes another certificate authority the portal's certificate is of that one."""
    certificate = certificate_of(tls_settings(tmp_path), "School")
    first = shown(certificate.context, tmp_path / "state" / "ca.pem")
    certificate.renew()
    assert shown(certificate.context, tmp_path / "state" / "ca.pem") == first
    shutil.rmtree(tmp_path / "state" / "ca")
    certificate.renew()
    assert shown(certificate.context, tmp_path / "state" / "ca.pem") != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('certificate = "a"', "go together"),
        ('certificate = "a"\nkey = "b"', "of no use without portal.listen_tls"),
        ('listen_tls = "127.0.0.1:8443"', "begin with https://"),
        ('listen_tls = "127.0.0.1:8000"\nurl = "https://a.example"', "both 127.0.0.1:8000"),
    ],
)
def test_settings_that_cannot_be(tmp_path, text, said):
    """Halves that do not go together are refused in one line."""
    file = tmp_path / "schoolgate.toml"
    file.write_text(f"[portal]\n{text}\n")
    with pytest.raises(SettingsError) as error:
        load_settings(file, {})
    assert said in str(error.value)


def test_a_certificate_that_cannot_be_used(tmp_path):
    """It keeps the portal from starting: exit 2, one line with the file."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    (tmp_path / "cert.pem").write_text("nothing\n")
    (tmp_path / "key.pem").write_text("nothing\n")
    (tmp_path / "schoolgate.toml").write_text(
        f'[portal]\nurl = "https://{HOST}"\nlisten_tls = "127.0.0.1:0"\ncertificate = "cert.pem"\nkey = "key.pem"\n'
    )
    done = schoolgate("portal", cwd=tmp_path, **FREE_PORTS)
    assert done.returncode == 2
    assert "portal.certificate: cert.pem, key.pem: cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_firewall_leads_port_443_to_it(tmp_path):
    """On each network port 443 of this box is the portal's, and its real port is not open to anybody else."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    (tmp_path / "schoolgate.toml").write_text(
        f"""
        [dns]
        listen = ["0.0.0.0:5353", "[::]:5353"]
        [proxy]
        transparent = {{staff = 8410, pupils = 8420, guests = 8430}}
        [portal]
        listen = "[::]:8000"
        listen_tls = "[::]:8443"
        url = "https://{HOST}"
        [interfaces]
        staff = "vlan10"
        pupils = "vlan20"
        guests = "vlan30"
        """
    )
    done = schoolgate("firewall", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tcp dport 443 fib daddr type local redirect to :8443") == 3
    doors = [line for line in done.stdout.splitlines() if "8443" in line and "redirect" not in line]
    assert len([line for line in doors if "ct status dnat" in line]) == 3
    assert all("ct status dnat" in line or "refuse" in line for line in doors)
