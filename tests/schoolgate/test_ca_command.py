"""`schoolgate ca` as a technician uses it, and the page that shows whether a device trusts the certificate."""

import base64
import hashlib
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from running import ROOT, Running, schoolgate

from schoolgate_proxy import authority


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with the shipped policy and a passphrase."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    (tmp_path / "passphrase").write_text("correct horse battery staple\n")
    return tmp_path


def test_a_life_of_the_authority(box: Path) -> None:
    """Made, shown, its key taken away and brought back, rotated: each step in one command."""
    assert schoolgate("ca", "show", cwd=box).returncode == 1
    made = schoolgate("ca", "init", "--never-for", "NHS.uk", cwd=box)
    assert (made.returncode, made.stderr) == (0, "")
    again = schoolgate("ca", "init", cwd=box)
    assert again.returncode == 2
    assert "there is a certificate authority already" in again.stderr
    away = schoolgate("ca", "offline", "root.safe", "--passphrase-file", "passphrase", cwd=box)
    assert away.returncode == 0, away.stderr
    assert not (box / "state/ca/root.key").exists()
    assert b"ENCRYPTED PRIVATE KEY" in (box / "root.safe").read_bytes()
    assert stat.S_IMODE((box / "root.safe").stat().st_mode) == 0o600
    assert json.loads(schoolgate("ca", "show", "--json", cwd=box).stdout)["root_key"] == "away"
    stuck = schoolgate("ca", "rotate", cwd=box)
    assert stuck.returncode == 2
    assert "bring it back with `schoolgate ca online`" in stuck.stderr
    (box / "wrong").write_text("incorrect horse battery\n")
    assert schoolgate("ca", "online", "root.safe", "--passphrase-file", "wrong", cwd=box).returncode == 2
    back = schoolgate("ca", "online", "root.safe", "--passphrase-file", "passphrase", cwd=box)
    assert back.returncode == 0, back.stderr
    assert schoolgate("ca", "rotate", cwd=box).returncode == 0
    shown = json.loads(schoolgate("ca", "show", "--json", cwd=box).stdout)
    assert [root["in_force"] for root in shown["roots"]] == [True, False]
    assert [root["never_for"] for root in shown["roots"]] == [["nhs.uk"], ["nhs.uk"]]


def test_the_files_to_hand_out_are_what_other_tools_read(box: Path) -> None:
    """OpenSSL reads the DER and PEM files, and finds the fingerprint that `ca show` prints; no key is among them."""
    schoolgate("ca", "init", cwd=box)
    text = schoolgate("ca", "show", "--export", "out", cwd=box).stdout
    for form, kind in (("cer", "DER"), ("pem", "PEM")):
        read = subprocess.run(
            ["openssl", "x509", "-inform", kind, "-in", f"out/schoolgate-1.{form}", "-noout", "-fingerprint", "-sha256"],
            cwd=box, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert read.stdout.strip().partition("=")[2] in text
    assert not any(b"PRIVATE" in path.read_bytes() for path in (box / "out").iterdir())
    for place in ("GPO", "Google Admin", "Intune", "Jamf"):
        assert place in text


@pytest.mark.parametrize("words", [["--days", "1"], ["--never-for", "a b"]])
def test_what_cannot_be_is_one_line(box: Path, words: list[str]) -> None:
    """A mistake on the command line makes nothing."""
    done = schoolgate("ca", "init", *words, cwd=box)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (box / "state/ca/root.pem").exists()


def test_a_short_passphrase_protects_nothing(box: Path) -> None:
    """The key stays where it is when the passphrase is too short."""
    schoolgate("ca", "init", cwd=box)
    (box / "passphrase").write_text("short\n")
    assert (
        schoolgate("ca", "offline", "root.safe", "--passphrase-file", "passphrase", cwd=box).returncode == 2
    )
    assert (box / "state/ca/root.key").exists()
    assert not (box / "root.safe").exists()


@pytest.mark.browser
def test_a_device_sees_whether_it_trusts_the_certificate(fresh: Running) -> None:
    """A browser without scripts says yes where it trusts the authority, and not yet where it does not."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    signer: x509.Certificate = authority.read(fresh.state / "ca/intermediate.pem").certificate
    key = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    proxy = {"server": "http://{}:{}".format(*fresh.address("proxy")), "bypass": "127.0.0.1"}
    page_url = "http://{}:{}/certificate".format(*fresh.address("portal"))
    no = "Not yet: this device does not trust the certificate."
    with sync_playwright() as playwright:
        for trusts in (True, False):
            flags = ["--no-sandbox", "--disable-gpu"]
            if trusts:
                flags.append(f"--ignore-certificate-errors-spki-list={pin}")
            browser = playwright.chromium.launch(executable_path=path, args=flags, proxy=proxy)
            page = browser.new_context(java_script_enabled=False).new_page()
            answers: list[int] = []
            page.on(
                "response",
                lambda reply, to=answers: (
                    to.append(reply.status) if "certificate-check" in reply.url else None
                ),
            )
            page.goto(page_url)
            page.wait_for_load_state("networkidle")
            assert page.get_by_text(no).is_visible() is not trusts
            assert answers == ([200] if trusts else [])
            browser.close()
