"""`schoolgate rpz`, its settings and keys, and the zones of a whole Schoolgate that runs."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from ports import free_port
from running import ROOT, Running, eventually, schoolgate
from secondaries import KEY, SECRET, dig

SETTINGS = """\
[dns]
block_page_address = ["192.0.2.80"]
[rpz]
listen = ["127.0.0.1:{port}"]
[rpz.secondaries.trust-dns]
address = "127.0.0.1:9"
key = "trust.key"
[rpz.secondaries.library]
address = "127.0.0.9"
unsigned = true
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with policy, settings and key."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    (tmp_path / "schoolgate.toml").write_text(SETTINGS.format(port=free_port()))
    (tmp_path / "trust.key").write_text(KEY)
    (tmp_path / "trust.key").chmod(0o600)
    return tmp_path


def test_zones_are_listed_with_what_they_cannot_say(folder):
    """One zone of what is in force for each network, one for each time profile, and the limits in words."""
    done = schoolgate("rpz", "list", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^pupils\.rpz\.schoolgate +what is in force now", done.stdout, re.MULTILINE)
    assert re.search(r"^staff-lessons\S*\.rpz\.schoolgate +while lessons", done.stdout, re.MULTILINE)
    assert "limit: a zone knows names, not clients" in done.stdout


def test_a_zone_is_printed(folder):
    """`show` prints a zone file with the page's address; an unknown zone is one line with those there are."""
    done = schoolgate("rpz", "show", "pupils.rpz.schoolgate", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("$ORIGIN pupils.rpz.schoolgate.\n")
    assert "\n*.instagram.com 60 IN A 192.0.2.80\n" in done.stdout
    wrong = schoolgate("rpz", "show", "nobody", cwd=folder)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("nobody: no such zone; available: staff, ")


def test_a_key_is_made_for_its_owner_alone(folder):
    """The file has mode 0600, is BIND's, is never overwritten, and its secret is not printed."""
    done = schoolgate("rpz", "key", "trust-2", "new.key", cwd=folder)
    assert done.returncode == 0, done.stderr
    file = folder / "new.key"
    assert file.stat().st_mode & 0o777 == 0o600
    secret = re.search(r'secret "(.+)"', file.read_text())[1]
    assert secret not in done.stdout + done.stderr
    assert schoolgate("rpz", "key", "trust-2", "new.key", cwd=folder).returncode == 2


@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [
        (0o644, KEY, "others can read it; chmod 600"),
        (0o600, "secret", "holds no key"),
        (0o600, KEY.replace("sha256", "md5"), "`hmac-md5` is not accepted"),
        (0o600, KEY.replace(SECRET, "c2hvcnQ="), "at least 16 are needed"),
    ],
)
def test_a_bad_key_keeps_zones_from_being_served(folder, mode, text, says):
    """A key that others can read, or of a weak algorithm, is refused in one line that does not show it."""
    (folder / "trust.key").write_text(text)
    (folder / "trust.key").chmod(mode)
    done = schoolgate("rpz", "serve", cwd=folder)
    assert done.returncode == 2
    assert says in done.stderr
    assert SECRET not in done.stderr


def test_nobody_is_served_unless_named(folder):
    """Without secondaries nothing listens; one with neither key nor `unsigned` is a mistake."""
    (folder / "schoolgate.toml").write_text("")
    done = schoolgate("rpz", "serve", cwd=folder)
    assert done.returncode == 2
    assert "rpz.secondaries: nobody may have the zones" in done.stderr
    (folder / "schoolgate.toml").write_text('[rpz.secondaries.a]\naddress = "10.0.0.1"\n')
    done = schoolgate("rpz", "list", cwd=folder)
    assert done.returncode == 2
    assert "a secondary has a `key`, or `unsigned = true`" in done.stderr


def test_bind_takes_the_printed_configuration(folder):
    """named-checkconf is content with what is printed, once the key is where it says."""
    if not shutil.which("named-checkconf"):
        pytest.skip("bind9 is not installed")
    done = schoolgate("rpz", "config", "bind", "pupils", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout
    text = done.stdout.replace("/etc/bind/trust.key", str(folder / "trust.key"))
    (folder / "named.conf").write_text(text)
    checked = subprocess.run(
        ["named-checkconf", str(folder / "named.conf")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_unbound_takes_the_printed_configuration(folder):
    """unbound-checkconf is content with what is printed for a resolver without a key."""
    if not shutil.which("unbound-checkconf"):
        pytest.skip("unbound is not installed")
    done = schoolgate("rpz", "config", "unbound", "pupils", "--for", "library", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = done.stdout.replace("/var/lib/unbound", str(folder))
    around = f'server:\n  chroot: ""\n  username: ""\n  directory: "{folder}"\n  pidfile: ""\n'
    (folder / "unbound.conf").write_text(around + text)
    checked = subprocess.run(
        ["unbound-checkconf", str(folder / "unbound.conf")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("resolver", ["knot", "powerdns"])
def test_others_are_told_where_the_key_belongs(folder, resolver):
    """For Knot and PowerDNS the place of the secret is left empty and named."""
    done = schoolgate("rpz", "config", resolver, "pupils", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "trust" in done.stdout
    assert "trust.key" in done.stdout
    assert SECRET not in done.stdout


def test_the_whole_product_serves_zones(folder, internet):
    """`schoolgate run` has the zones too: transferred with the key, following the policy, counted, never backed up."""
    if not shutil.which("dig"):
        pytest.skip("dig is not installed")
    listfile = folder / "games.txt"
    listfile.write_text("".join(f"game-{number}.example\n" for number in range(6_000)))
    policy = folder / "policy.yaml"
    text = policy.read_text()
    assert "\nrules:" in text
    assert "\nlists:" not in text
    policy.write_text(
        text.replace(
            "\nrules:",
            "\nlists:\n  games: {file: games.txt}\nrules:\n  - {block: ['list:games'], reason: No games}",
            1,
        )
    )
    running = Running(folder, internet, SCHOOLGATE_METRICS_RPZ="127.0.0.1:0")
    try:
        running.wait_ready()
        port = running.address("rpz")[1]
        key = f"hmac-sha256:trust:{SECRET}"
        zone = dig(port, "guests.rpz.schoolgate", "AXFR", key=key)
        assert "*.game-5999.example.guests.rpz.schoolgate." in zone
        assert "Transfer failed" in dig(port, "guests.rpz.schoolgate", "AXFR")
        listfile.write_text(listfile.read_text() + "new-game.example\n")
        eventually(lambda: "new-game.example" in dig(port, "guests.rpz.schoolgate", "AXFR", key=key), 60)
        assert 'schoolgate_rpz_transfers_total{transfer="whole"}' in running.metrics("rpz")
        assert SECRET not in running.log.read_text() + running.out.read_text()
        done = schoolgate("backup", "b.tar.gz", cwd=folder)
        assert done.returncode == 0, done.stderr
        with tarfile.open(folder / "b.tar.gz") as tar:
            assert not any("/rpz/" in name or name.endswith(".key") for name in tar.getnames())
    finally:
        running.stop()
    assert not list(Path(folder / "state" / "rpz").glob(".names-*"))
