"""The portal's page that offers the school's certificate."""

import plistlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from live_portal import LivePortal
from playwright.sync_api import expect
from school import School

from schoolgate_exceptions.certificate_files import fingerprint


@pytest.fixture
def portal(school: School) -> Iterator[LivePortal]:
    """A portal with a small school."""
    portal = LivePortal(school)
    try:
        yield portal
    finally:
        portal.stop()


def _certificate(portal: LivePortal) -> x509.Certificate:
    import trustme

    state: Path = portal.school.service.office.state
    trustme.CA().cert_pem.write_to_path(str(state / "ca.pem"))
    return x509.load_pem_x509_certificate((state / "ca.pem").read_bytes())


def test_every_form_is_the_certificate(portal: LivePortal) -> None:
    """The DER file, the PEM file and the Apple profile hold the same certificate, under types that devices know."""
    certificate = _certificate(portal)
    der = httpx.get(f"{portal.url}/certificate/schoolgate-1.cer")
    pem = httpx.get(f"{portal.url}/certificate/schoolgate-1.pem")
    profile = httpx.get(f"{portal.url}/certificate/schoolgate-1.mobileconfig")
    assert x509.load_der_x509_certificate(der.content) == certificate
    assert der.headers["content-type"] == "application/x-x509-ca-cert"
    assert x509.load_pem_x509_certificate(pem.content) == certificate
    payload = plistlib.loads(profile.content)["PayloadContent"][0]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert x509.load_der_x509_certificate(payload["PayloadContent"]) == certificate
    assert profile.headers["content-type"] == "application/x-apple-aspen-config"
    assert profile.content == httpx.get(f"{portal.url}/certificate/schoolgate-1.mobileconfig").content


@pytest.mark.parametrize(
    "file", ["schoolgate-2.cer", "schoolgate-0.cer", "schoolgate-1.key", "root.key", "ca.pem"]
)
def test_nothing_else_is_handed_out(portal: LivePortal, file: str) -> None:
    """There is no way from the page to another file."""
    _certificate(portal)
    assert httpx.get(f"{portal.url}/certificate/{file}").status_code == 404


def test_the_page_shows_the_fingerprint_in_both_languages(portal: LivePortal) -> None:
    """What a person compares stands on the page, and without a certificate it says so."""
    assert "no certificate yet" in httpx.get(f"{portal.url}/certificate").text
    certificate = _certificate(portal)
    for language, word in (("en", "Does this device trust it?"), ("cy", "ymddiried ynddi")):
        page = httpx.get(f"{portal.url}/certificate?lang={language}")
        assert word in page.text
        assert fingerprint(certificate) in page.text
        assert f"certificate-check.schoolgate.internal/{language}.svg" in page.text
        assert (
            "object-src https://certificate-check.schoolgate.internal"
            in page.headers["content-security-policy"]
        )
        assert "<script" not in page.text


@pytest.mark.browser
def test_a_device_that_does_not_trust_it_is_told(portal: LivePortal) -> None:
    """Where the check cannot be reached, or is not trusted, the page says "not yet", without a script."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    _certificate(portal)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(f"{portal.url}/certificate")
        expect(page.get_by_text("Not yet: this device does not trust the certificate.")).to_be_visible()
        browser.close()
