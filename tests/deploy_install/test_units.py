"""The systemd units: hardened, known to systemd, and about commands that there are."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from schoolgate.box.enrolled import CENTRE, FOLDER
from schoolgate.cli import app
from schoolgate.settings_file import load_settings

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
_MOST_EXPOSED = 2.0


def _systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(
        ["systemd-analyze", *arguments], cwd=UNITS, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
    )  # fmt: skip


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_each_service_is_hardened(unit: Path) -> None:
    """`systemd-analyze security` finds an exposure of 2.0 at most."""
    done = _systemd_analyze("security", "--offline=yes", f"./{unit.name}")
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None and "offline" in done.stderr:
        pytest.skip("this systemd-analyze does not look at files")
    assert found, done.stderr
    assert float(found[1]) <= _MOST_EXPOSED


def test_systemd_knows_every_word(tmp_path: Path) -> None:
    """No unit has a key or value that systemd would ignore; the program itself need not be there."""
    for path in UNITS.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(UNITS)
            target.parent.mkdir(exist_ok=True)
            target.write_text(re.sub(r"(?m)^(Exec\w+=)/opt/schoolgate/\S+", r"\1/bin/true", path.read_text()))
    files = [str(path) for path in tmp_path.iterdir() if path.is_file()]
    done = _systemd_analyze("verify", *files)
    complaints = [
        line for line in done.stderr.splitlines() if "schoolgate" in line and "nftables.service" not in line
    ]
    assert [
        line for line in complaints if "man" not in line.lower() and "nft is not executable" not in line
    ] == []


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_each_command_exists(unit: Path) -> None:
    """What a unit starts is a command of ours, with options that it has."""
    for words in re.findall(r"(?m)^Exec\w+=/opt/schoolgate/current/bin/schoolgate (.+)$", unit.read_text()):
        command = get_command(app)
        rest = words.split()
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert command.name != "schoolgate", words
        assert {word for word in rest if word.startswith("--")} <= known


def test_long_running_parts_are_watched() -> None:
    """DNS, proxy, portal and the evidence reader say when they are ready and that they live, and are started again."""
    for name in ("dns", "proxy", "portal", "evidence"):
        text = (UNITS / f"schoolgate-{name}.service").read_text()
        for line in ("Type=notify", "WatchdogSec=", "Restart=always"):
            assert line in text


def test_a_box_has_a_portal_or_a_centre() -> None:
    """Portal and box agent read the same socket, so that exactly one of them starts: which, the enrolment says."""
    where = f"/var/lib/schoolgate/{FOLDER}/{CENTRE}"
    assert f"\nConditionPathExists=!{where}\n" in (UNITS / "schoolgate-portal.service").read_text()
    assert f"\nConditionPathExists={where}\n" in (UNITS / "schoolgate-box.service").read_text()
    installer = (ROOT / "deploy/install.sh").read_text()
    assert {"schoolgate-portal.service", "schoolgate-box.service"} <= set(installer.split())


def test_the_journal_keeps_what_is_said() -> None:
    """The drop-in for our own journal is where systemd looks for it, bounded, and of keys that systemd knows."""
    text = (ROOT / "deploy/journald.conf").read_text()
    keys = dict(re.findall(r"(?m)^(\w+)=(.+)$", text))
    assert keys == {"SystemMaxUse": "500M", "MaxRetentionSec": "30day", "MaxFileSec": "1day"}
    assert "/etc/systemd/journald@schoolgate.conf" in (ROOT / "deploy/install.sh").read_text()
    hardening = (UNITS / "schoolgate-.service.d/10-hardening.conf").read_text()
    assert "\nLogNamespace=schoolgate\n" in hardening
    for span in (keys["MaxRetentionSec"], keys["MaxFileSec"]):
        assert _systemd_analyze("timespan", span).returncode == 0


def test_until_the_firewall_stands_nothing_is_forwarded() -> None:
    """The closed table comes first and goes only after the real one is in force."""
    text = (UNITS / "schoolgate-firewall.service").read_text()
    assert text.index("ExecStartPre=/usr/sbin/nft -f /etc/schoolgate/closed.nft") < text.index("ExecStart=")
    assert "ExecStartPost=/usr/sbin/nft delete table inet schoolgate_closed" in text
    if shutil.which("nft") and os.geteuid() == 0:
        done = subprocess.run(
            ["unshare", "--net", "nft", "-c", "-f", str(ROOT / "deploy/closed.nft")],
            capture_output=True,
            text=True,
            check=False,
        )
        if "unshare" not in done.stderr:
            assert done.returncode == 0, done.stderr


def test_the_shell_scripts_are_sound() -> None:
    """Every shell script parses; shellcheck has nothing to say where it is installed."""
    scripts = [str(path) for path in (ROOT / "deploy").glob("*.sh")]
    for script in scripts:
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(
            ["shellcheck", "-s", "sh", ROOT / "deploy/install.sh"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_trial_in_a_container_sets_what_there_is_to_set() -> None:
    """The compose file is YAML of the known shape, and its settings and copied files exist."""
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    (service,) = compose["services"].values()
    load_settings(environ=service["environment"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert {volume.partition(":")[0] for volume in service["volumes"]} == set(compose["volumes"])
    dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = [word for word in line.split()[1:] if not word.startswith("--")]
            assert all((ROOT / source).exists() for source in sources), line


def test_the_settings_that_are_installed_are_valid(tmp_path: Path) -> None:
    """As shipped, and with every commented example switched on where it is a setting."""
    text = (ROOT / "deploy/schoolgate.toml").read_text()
    (tmp_path / "schoolgate.toml").write_text(text)
    load_settings(tmp_path / "schoolgate.toml", environ={})
    (tmp_path / "schoolgate.toml").write_text(re.sub(r"(?m)^# (?=\[?\w+\]?( =|$))", "", text))
    assert load_settings(tmp_path / "schoolgate.toml", environ={}).mail.host
