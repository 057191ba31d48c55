"""`schoolgate backup` and `restore`: everything comes back, nothing is overwritten by accident, no key lies about."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import postgres
import pytest
from running import PUPIL, ROOT, Running, schoolgate

from schoolgate.demo.internet import Internet

PASSPHRASE = "correct horse battery staple\n"
SERVICE = 1234  # some user that is not root


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A school with accounts, a certificate authority, a policy history and a sanction file."""
    folder = tmp_path / "box"
    folder.mkdir()
    shutil.copy(ROOT / "policy.yaml", folder)
    (folder / "schoolgate.toml").write_text('[dns]\nlisten = ["127.0.0.1:5999"]\n')
    (folder / "password").write_text("three random words\n")
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    _fill(folder)
    return folder


def _fill(folder: Path) -> None:
    done = schoolgate(
        "users", "add", "head@school.example", "--role", "head", "--password-file", "password", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert schoolgate("ca", "init", cwd=folder).returncode == 0
    (folder / "state/sanctions.json").write_text('{"sanctions": []}\n')


def _state(folder: Path) -> dict[str, bytes]:
    """Return what a state folder holds, without what SQLite keeps beside its file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and "portal.db" not in path.name
    }


def test_a_box_comes_back_as_it_was(box: Path, tmp_path: Path) -> None:
    """On another machine: the policy byte for byte, accounts, keys, a whole audit, and rights."""
    made = schoolgate("backup", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=box)
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE((tmp_path / "save.tar.gz").stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.mkdir()
    done = schoolgate("restore", "../save.tar.gz", "--passphrase-file", "../passphrase",
                      "--settings", "schoolgate.toml", cwd=other)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (other / "policy.yaml").read_bytes() == (box / "policy.yaml").read_bytes()
    assert (other / "schoolgate.toml").read_bytes() == (box / "schoolgate.toml").read_bytes()
    assert _state(other / "state") == _state(box / "state")
    for name in ("ca/root.key", "ca/intermediate.pem", "portal.key"):
        assert stat.S_IMODE((other / "state" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((other / "state/ca").stat().st_mode) == 0o700
    verified = schoolgate("audit", "verify", cwd=other)
    assert verified.stdout == schoolgate("audit", "verify", cwd=box).stdout
    assert "the audit is whole" in verified.stdout
    assert "head@school.example" in schoolgate("users", "list", cwd=other).stdout


def test_without_a_passphrase_no_key_is_in_it(box: Path, tmp_path: Path) -> None:
    """Neither in clear nor sealed; the rest comes back, and it is said that keys did not."""
    assert "without keys" in schoolgate("backup", "../save.tar.gz", cwd=box).stdout
    keys = [
        (box / "state" / name).read_bytes() for name in ("ca/root.key", "ca/intermediate.pem", "portal.key")
    ]
    with tarfile.open(tmp_path / "save.tar.gz") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}
    assert not any(b"PRIVATE KEY" in content for content in held.values())
    assert not any(key in content for key in keys for content in held.values())
    assert "first-account.txt" not in str(held.keys())
    other = tmp_path / "other"
    other.mkdir()
    done = schoolgate("restore", "../save.tar.gz", cwd=other)
    assert "keys were not restored" in done.stdout
    assert not (other / "state/ca/root.key").exists()
    assert (other / "state/ca/root.pem").exists()


@pytest.mark.parametrize("name", ["mitmproxy-ca.p12", "ca/old.key", "mixed.pem", "notes/whatever"])
def test_no_key_by_any_name_is_in_it(box: Path, tmp_path: Path, name: str) -> None:
    """A key behind a certificate in one file, under any name, and key stores stay out of a backup as well."""
    file = box / "state" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes((box / "state/ca.pem").read_bytes() * 3 + (box / "state/ca/root.key").read_bytes())
    assert schoolgate("ca", "rotate", cwd=box).returncode == 0
    assert schoolgate("backup", "../save.tar.gz", cwd=box).returncode == 0
    with tarfile.open(tmp_path / "save.tar.gz") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}
    assert f"state/{name}" not in held
    assert not any(b"PRIVATE KEY" in content for content in held.values())
    assert "state/ca.pem" in held


def test_what_comes_back_filters(box: Path, tmp_path: Path, internet: Internet) -> None:
    """On a fresh machine the restored folder is a working box: DNS, proxy and portal, the same certificate, accounts."""
    schoolgate("backup", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=box)
    other = tmp_path / "other"
    other.mkdir()
    done = schoolgate("restore", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=other)
    assert done.returncode == 0, done.stderr
    restored = Running(other, internet)
    try:
        restored.wait_ready()
        host, port = restored.address("dns")
        asked = ["dig", "-p", str(port), f"@{host}", "-b", PUPIL, "www.instagram.com", "+tries=1", "+time=20"]
        assert "EDE: 15" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        proxy = "http://{}:{}".format(*restored.address("proxy"))
        fetched = subprocess.run(
            ["curl", "-sS", "--interface", PUPIL, "-x", proxy, "--cacert", str(other / "state/ca.pem"), "-m", "60",
             "-o", "/dev/null", "-w", "%{http_code}", "https://www.instagram.com/"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert fetched.stdout == "403", fetched.stderr
        with urllib.request.urlopen("http://{}:{}/".format(*restored.address("portal")), timeout=60) as page:
            assert b"Perryfields" in page.read()
        assert not (other / "state/first-account.txt").exists()  # there is an account
    finally:
        restored.stop()
    assert (other / "state/ca.pem").read_bytes() == (box / "state/ca.pem").read_bytes()
    assert "head@school.example" in schoolgate("users", "list", cwd=other).stdout


def test_sealed_keys_cannot_be_read(box: Path, tmp_path: Path) -> None:
    """With a passphrase the keys are there, but no byte of them in clear; another passphrase opens nothing."""
    schoolgate("backup", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=box)
    with tarfile.open(tmp_path / "save.tar.gz") as tar:
        content = b"".join(tar.extractfile(member).read() for member in tar)
    assert b"PRIVATE KEY" not in content
    assert (box / "state/portal.key").read_bytes() not in content
    (tmp_path / "wrong").write_text("incorrect horse battery\n")
    other = tmp_path / "other"
    other.mkdir()
    done = schoolgate("restore", "../save.tar.gz", "--passphrase-file", "../wrong", cwd=other)
    assert done.returncode == 2
    assert done.stderr == "the passphrase does not open the keys of this backup\n"
    assert not (other / "policy.yaml").exists()


def test_nothing_is_overwritten_unless_it_is_wanted(box: Path, tmp_path: Path) -> None:
    """Without --force it refuses and changes nothing; with it what was there is moved aside, not lost."""
    schoolgate("backup", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=box)
    (box / "policy.yaml").write_text((box / "policy.yaml").read_text() + "# later\n")
    (box / "state/sanctions.json").write_text('{"later": true}\n')
    before = (box / "policy.yaml").read_bytes(), _state(box / "state")
    refused = schoolgate("restore", "../save.tar.gz", cwd=box)
    assert refused.returncode == 2
    assert "exists; --force moves what is there aside" in refused.stderr
    assert ((box / "policy.yaml").read_bytes(), _state(box / "state")) == before
    done = schoolgate("restore", "../save.tar.gz", "--passphrase-file", "../passphrase", "--force", cwd=box)
    assert done.returncode == 0, done.stderr
    assert "# later" not in (box / "policy.yaml").read_text()
    aside = [Path(line.partition(": ")[2]) for line in done.stdout.splitlines()[1:]]
    assert any("# later" in (box / path).read_text() for path in aside if (box / path).is_file())
    assert any(
        (box / path / "sanctions.json").read_text() == '{"later": true}\n'
        for path in aside
        if (box / path).is_dir()
    )
    assert (box / "state/sanctions.json").read_text() == '{"sanctions": []}\n'


SETTINGS = """\
[mail]
host = "smtp.school.example"
sender = "filter@school.example"
password_file = "secrets/mail-password"
[sso]
issuer = "https://accounts.example"
client_id = "one"
secret_file = "secrets/sso"
domain = "school.example"
[dns]
cookie_secret = "state/cookies"
[portal]
url = "http://filter.school.example"
[rpz.secondaries.trust]
address = "10.1.0.53"
key = "secrets/trust.key"
"""


@pytest.fixture
def secrets(box: Path) -> dict[str, bytes]:
    """Passwords and keys that the settings of the box name, one of them in its state folder."""
    (box / "secrets").mkdir()
    (box / "secrets/mail-password").write_text("open sesame, the mail\n")
    (box / "secrets/sso").write_text("open sesame, the accounts\n")
    (box / "state/cookies").write_text("00112233445566778899aabbccddeeff\n")
    assert schoolgate("rpz", "key", "trust", "secrets/trust.key", cwd=box).returncode == 0
    (box / "schoolgate.toml").write_text(SETTINGS)
    names = ("secrets/mail-password", "secrets/sso", "secrets/trust.key", "state/cookies")
    return {name: (box / name).read_bytes() for name in names}


def test_secrets_that_settings_name_come_back(box: Path, tmp_path: Path, secrets: dict[str, bytes]) -> None:
    """Passwords of mail and sign-in, TSIG keys and the cookie secret are in it sealed, and nowhere in clear."""
    made = schoolgate("backup", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=box)
    assert made.returncode == 0, made.stderr
    assert schoolgate("backup", "../bare.tar.gz", cwd=box).returncode == 0
    for name in ("save", "bare"):
        with tarfile.open(tmp_path / f"{name}.tar.gz") as tar:
            held = b"".join(tar.extractfile(member).read() for member in tar)
        assert not any(secret.strip() in held for secret in secrets.values())
    other = tmp_path / "other"
    other.mkdir()
    done = schoolgate("restore", "../save.tar.gz", "--passphrase-file", "../passphrase",
                      "--settings", "schoolgate.toml", cwd=other)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {name: (other / name).read_bytes() for name in secrets} == secrets
    assert all(stat.S_IMODE((other / name).stat().st_mode) == 0o600 for name in secrets)


def test_a_secret_is_not_overwritten_unless_it_is_wanted(
    box: Path, tmp_path: Path, secrets: dict[str, bytes]
) -> None:
    """A password that is there already is kept beside, and only with --force."""
    words = ("../save.tar.gz", "--passphrase-file", "../passphrase")
    assert schoolgate("backup", *words, cwd=box).returncode == 0
    (box / "secrets/sso").write_text("another by now\n")
    (box / "secrets/sso").chmod(0o640)
    assert schoolgate("restore", *words, cwd=box).returncode == 2
    assert (box / "secrets/sso").read_text() == "another by now\n"
    done = schoolgate("restore", *words, "--force", cwd=box)
    assert done.returncode == 0, done.stderr
    assert (box / "secrets/sso").read_bytes() == secrets["secrets/sso"]
    (aside,) = (box / "secrets").glob("sso.before-*")
    assert aside.read_text() == "another by now\n"
    assert stat.S_IMODE((box / "secrets/sso").stat().st_mode) == 0o640


def test_root_leaves_nothing_that_only_root_can_read(
    box: Path, tmp_path: Path, secrets: dict[str, bytes]
) -> None:
    """Restored by root, files belong to whom their places belong to: state and policy to the service, secrets to its group."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    words = ("../save.tar.gz", "--passphrase-file", "../passphrase")
    assert schoolgate("backup", *words, cwd=box).returncode == 0
    other = tmp_path / "other"
    for name, group in (("", 0), ("state", SERVICE), ("policy", SERVICE), ("secrets", SERVICE)):
        (other / name).mkdir()
        os.chown(other / name, 0 if name in {"", "secrets"} else SERVICE, group)
    (other / "schoolgate.toml").write_text('[dns]\nlisten = ["127.0.0.1:5998"]\n')
    os.chown(other / "schoolgate.toml", 0, SERVICE)
    (other / "schoolgate.toml").chmod(0o640)
    done = schoolgate("restore", *words, "--policy", "policy/policy.yaml", "--settings", "schoolgate.toml",
                      "--force", cwd=other)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (other / "schoolgate.toml").read_text() == SETTINGS
    found = {
        path.relative_to(other).as_posix(): (path.stat().st_uid, path.stat().st_gid)
        for path in other.rglob("*")
    }
    assert set(found) >= {"state/ca/root.key", "state/portal.db", "state/cookies", "policy/policy.yaml"}
    ours = {name for name in found if name.startswith(("state", "policy"))}
    assert {found[name] for name in ours} == {(SERVICE, SERVICE)}
    assert {found[name] for name in found if name not in ours} == {(0, SERVICE)}
    assert stat.S_IMODE((other / "schoolgate.toml").stat().st_mode) == 0o640
    assert stat.S_IMODE((other / "secrets/trust.key").stat().st_mode) == 0o640
    assert stat.S_IMODE((other / "state/ca/root.key").stat().st_mode) == 0o600


def _damaged(save: Path, how: str) -> None:
    if how == "cut":
        save.write_bytes(save.read_bytes()[:-2000])
        return
    if how == "noise":
        save.write_bytes(b"nothing of the kind")
        return
    with tarfile.open(save) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(save, "w:gz") as tar:
        import io

        for member, content in members:
            bad = content
            if how == "format" and member.name == "manifest.json":
                bad = json.dumps({**json.loads(content), "format": 99}).encode()
            if how == "changed" and member.name == "policy.yaml":
                bad = content.replace(b"block", b"allow")
            if how == "outside" and member.name == "policy.yaml":
                member.name = "../../policy.yaml"
            member.size = len(bad)
            tar.addfile(member, io.BytesIO(bad))


@pytest.mark.parametrize("how", ["cut", "noise", "format", "changed", "outside"])
def test_a_damaged_backup_is_refused_whole(box: Path, tmp_path: Path, how: str) -> None:
    """Whatever happened to it, one line says so, and nothing is written anywhere."""
    schoolgate("backup", "../save.tar.gz", cwd=box)
    _damaged(tmp_path / "save.tar.gz", how)
    other = tmp_path / "other"
    other.mkdir()
    done = schoolgate("restore", "../save.tar.gz", cwd=other)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "save.tar.gz: " in done.stderr
    assert [path for path in other.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "policy.yaml").exists()


def test_a_database_that_is_written_to_is_saved_as_of_one_moment(box: Path, tmp_path: Path) -> None:
    """While somebody writes, two tables that always agree agree in the backup."""
    file = box / "state/portal.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE one (n INTEGER)")
        database.execute("CREATE TABLE two (n INTEGER)")
        database.commit()
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as database:
            while not stop.is_set():
                database.execute("BEGIN IMMEDIATE")
                database.execute("INSERT INTO one VALUES (1)")
                database.execute("INSERT INTO two VALUES (1)")
                database.execute("COMMIT")
                stop.wait(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = schoolgate("backup", "../save.tar.gz", cwd=box)
    finally:
        stop.set()
        thread.join()
    assert made.returncode == 0, made.stderr
    with tarfile.open(tmp_path / "save.tar.gz") as tar:
        tar.extract("state/portal.db", tmp_path, filter="data")
    with closing(sqlite3.connect(tmp_path / "state/portal.db")) as copy:
        counts = [copy.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("one", "two")]
    assert counts[0] == counts[1] > 0


def test_a_folder_keeps_the_newest(box: Path, tmp_path: Path) -> None:
    """The nightly backup does not fill the disk, and removes nothing that it did not make."""
    folder = tmp_path / "nightly"
    folder.mkdir()
    for day in range(10, 14):
        (folder / f"schoolgate-202511{day}T030000Z.tar.gz").write_bytes(b"")
    (folder / "by-hand.tar.gz").write_bytes(b"")
    assert schoolgate("backup", "../nightly", "--keep", "2", cwd=box).returncode == 0
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == 3
    assert left[:2] == ["by-hand.tar.gz", "schoolgate-20251113T030000Z.tar.gz"]


def test_a_running_box_is_not_restored_over(fresh: Running) -> None:
    """With the portal at work a restore is refused: it would write into what is taken away beneath it."""
    folder = fresh.folder
    at = "{}:{}".format(*fresh.address("metrics_portal"))
    made = schoolgate("backup", "save.tar.gz", cwd=folder)
    assert made.returncode == 0, made.stderr
    done = schoolgate("restore", "save.tar.gz", "--force", cwd=folder, SCHOOLGATE_METRICS_PORTAL=at)
    assert done.returncode == 2
    assert "the portal runs; stop Schoolgate first" in done.stderr


@pytest.fixture
def postgresql() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server of the test's own."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.running() as server:
        yield server


def test_a_postgresql_database_comes_back(box: Path, tmp_path: Path, postgresql: postgres.Postgres) -> None:
    """Through PostgreSQL's own archive, into an empty database, with a whole audit."""
    first, second = ({"SCHOOLGATE_DATABASE_URL": postgresql.database()} for _ in range(2))
    shutil.rmtree(box / "state")
    add = ["users", "add", "head@school.example", "--role", "head", "--password-file", "password"]
    assert schoolgate(*add, cwd=box, **first).returncode == 0
    made = schoolgate("backup", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=box, **first)
    assert made.returncode == 0, made.stderr
    other = tmp_path / "other"
    other.mkdir()
    wrong = schoolgate("restore", "../save.tar.gz", cwd=other)
    assert "database.url names another kind" in wrong.stderr
    done = schoolgate("restore", "../save.tar.gz", "--passphrase-file", "../passphrase", cwd=other, **second)
    assert done.returncode == 0, done.stderr
    assert "the audit is whole" in schoolgate("audit", "verify", cwd=other, **second).stdout
    assert "head@school.example" in schoolgate("users", "list", cwd=other, **second).stdout
