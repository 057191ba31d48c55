"""No key and no password is ever said: not in logs, not in metrics, not on the terminal, not in the database."""

import base64
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from running import PUPIL, ROOT, Running, eventually, schoolgate

from schoolgate.demo.internet import Internet

PASSWORDS = {"mail": "open-sesame-mail-8f3a", "sso": "open-sesame-sso-77c1"}
SETTINGS = """\
[log]
level = "debug"
[mail]
host = "127.0.0.1"
port = 9
sender = "filter@school.example"
user = "filter@school.example"
password_file = "mail"
[dns]
cookie_secret = "cookies"
[rpz.secondaries.trust]
address = "127.0.0.1:9"
key = "trust.key"
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A school with every kind of secret that a box of its own can have."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    for name, password in PASSWORDS.items():
        (tmp_path / name).write_text(f"{password}\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "cookies").write_text("00f1e2d3c4b5a6978879605142332415\n")
    (tmp_path / "schoolgate.toml").write_text(SETTINGS)
    assert schoolgate("rpz", "key", "trust", "trust.key", cwd=tmp_path).returncode == 0
    assert schoolgate("ca", "init", cwd=tmp_path).returncode == 0
    return tmp_path


def secrets(box: Path) -> list[bytes]:
    """Return what may not be seen anywhere: passwords, and a piece of each key in every form that it could take."""
    found = [password.encode() for password in PASSWORDS.values()]
    found.append((box / "cookies").read_bytes().strip())
    for secret in re.findall(rb'secret "(.+)"', (box / "trust.key").read_bytes()):
        found += [secret, base64.b64decode(secret).hex().encode()]
    for name in ("ca/root.key", "ca/intermediate.pem", "portal.key"):
        content = (box / "state" / name).read_bytes()
        blocks = re.findall(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.+?)-----END", content, re.DOTALL)
        for block in blocks:
            found += block.split()
            found.append(base64.b64decode(block)[-32:].hex().encode())
        if not blocks:
            found += [content, base64.b64encode(content).rstrip(b"="), content.hex().encode()]
    return [one for one in found if len(one) >= 16]


def test_nothing_says_a_key(box: Path, internet: Internet) -> None:
    """With everything logged: a day's traffic, a new intermediate, a reload, an end; then all that was written is searched."""
    said = b""
    running = Running(
        box, internet, SCHOOLGATE_RPZ_LISTEN="127.0.0.1:0", SCHOOLGATE_METRICS_RPZ="127.0.0.1:0",
        SCHOOLGATE_METRICS_FIREWALL="127.0.0.1:0",
    )  # fmt: skip
    try:
        running.wait_ready()
        proxy = "http://{}:{}".format(*running.address("proxy"))
        for url in ("https://www.instagram.com/", "http://www.instagram.com/", "https://bbc.co.uk/"):
            said += subprocess.run(
                ["curl", "-sSki", "--interface", PUPIL, "-x", proxy, "-m", "60", url], capture_output=True, check=False
            ).stdout  # fmt: skip
        said += schoolgate("ca", "rotate", "--intermediate", cwd=box).stdout.encode()
        with running.policy.open("a") as file:
            file.write("# another version\n")
        eventually(
            lambda: (
                '"policy.reloaded"' in running.log.read_text() or "policy.loaded" in running.log.read_text()
            ),
            60,
        )
        for part in ("dns", "proxy", "portal", "rpz"):
            at = "{}:{}".format(*running.address(f"metrics_{part}"))
            with urllib.request.urlopen(f"http://{at}/metrics", timeout=60) as page:
                said += page.read()
    finally:
        running.stop()
    said += running.log.read_bytes() + running.out.read_bytes()
    said += b"".join(path.read_bytes() for path in (box / "state").glob("portal.db*"))
    for words in (("ca", "show"), ("ca", "show", "--json"), ("doctor",), ("rpz", "list"),
                  ("rpz", "config", "bind", "pupils", "--for", "trust")):  # fmt: skip
        done = schoolgate(*words, cwd=box)
        said += (done.stdout + done.stderr).encode()
    hidden = secrets(box)
    assert len(hidden) > 10
    assert [one for one in hidden if one in said] == []
    assert b"PRIVATE KEY-----" not in said


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("state/ca/root.key", ("ca rotate", "ca offline away --passphrase-file mail", "doctor")),
        ("state/ca/intermediate.pem", ("ca show", "doctor")),
        ("trust.key", ("rpz serve", "rpz config bind pupils --for trust", "doctor")),
        ("cookies", ("dns", "doctor")),
    ],
)
def test_a_damaged_key_is_not_shown(box: Path, name: str, commands: tuple[str, ...]) -> None:
    """Whoever has to be told that a key cannot be read is told where it lies, and nothing of what is in it."""
    secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
    (box / name).write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
    (box / name).chmod(0o600)
    for words in commands:
        done = schoolgate(*words.split(), cwd=box)
        assert secret not in done.stdout + done.stderr, words
        assert "BEGIN PRIVATE" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
