"""The settings of the sinkhole become its configuration."""

import pytest
import trustme

from schoolgate.app import dns_config
from schoolgate.part import CannotStart
from schoolgate.settings import DnsSettings, Settings
from schoolgate_dns import Upstream


def config(**dns):
    return dns_config(Settings(dns=DnsSettings(**dns)))


def test_upstreams_and_zones():
    """Names of upstreams become what the sinkhole asks; a zone with upstreams is the school's own."""
    made = config(upstreams=["tls://9.9.9.9#dns.quad9.net"], zones={"ad.example": ["10.10.0.2"]})
    assert made.upstreams == (Upstream("9.9.9.9", 853, tls=True, tls_name="dns.quad9.net"),)
    assert made.zones == {"ad.example": (Upstream("10.10.0.2"),)}
    assert made.own_zones == {"ad.example"}


def test_a_cookie_secret_comes_from_a_file(tmp_path):
    """Thirty-two hexadecimal digits; anything else is one clear line."""
    file = tmp_path / "cookie.hex"
    with pytest.raises(CannotStart, match=r"cookie\.hex: cannot be read: no such file"):
        config(cookie_secret=file)
    for text in ("", "abc", "zz" * 16, "00" * 15):
        file.write_text(text)
        with pytest.raises(CannotStart, match="not 32 hexadecimal digits"):
            config(cookie_secret=file)
    file.write_text("0a" * 16 + "\n")
    assert config(cookie_secret=file).cookie_secret == b"\x0a" * 16


def test_certificate_authorities_are_looked_at(tmp_path):
    """A file without certificates is noticed at the start, not with the first question."""
    file = tmp_path / "roots.pem"
    with pytest.raises(CannotStart, match=r"roots\.pem: cannot be used: no such file"):
        config(upstream_ca=file)
    file.write_text("no certificate")
    with pytest.raises(CannotStart, match=r"roots\.pem: cannot be used: no certificate"):
        config(upstream_ca=file)
    trustme.CA().cert_pem.write_to_path(file)
    assert config(upstream_ca=file).upstream_roots == file
