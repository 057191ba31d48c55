"""`deploy/install.sh` from nothing to removal, in a root of its own."""

import json
import re
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(1800)


def test_it_refuses_before_it_changes_anything(installed: Any) -> None:
    """A Python that is none and a half-given command line end in one line, and nothing is written."""
    for step, words in (("no_python", "not a Python 3.12 or newer"), ("no_portal_url", "--portal-url")):
        assert installed.code(step) == 2
        assert words in installed.out(step)
        assert "wrote" not in installed.out(step)


def test_it_installs_and_a_second_run_changes_nothing(installed: Any) -> None:
    """Idempotent: no file has another content, owner, mode or time afterwards."""
    assert installed.code("first") == 0, installed.out("first")
    assert installed.code("second") == 0
    assert "nothing was to be changed" in installed.out("second")
    assert installed.state(1) == installed.state(2)


def test_where_it_may_be_installed(installed: Any) -> None:
    """Debian 13 and Ubuntu 24.04 go the same way; another system is refused with those that are not."""
    for step in ("debian_13", "ubuntu"):
        assert installed.code(step) == 0, installed.out(step)
        assert "nothing was to be changed" in installed.out(step)
    assert installed.code("elsewhere") == 2
    assert "fedora 43 is none of Debian 12, Debian 13, Ubuntu 24.04" in installed.out("elsewhere")


def test_rights_are_as_narrow_as_they_can_be(installed: Any) -> None:
    """Secrets are for root and the service, keys for the service alone, the program for nobody to change."""
    rights = dict(reversed(line.split(" ", 2)[0:3:2]) for line in installed.out("rights").splitlines())
    owners = {line.split()[2]: line.split()[1] for line in installed.out("rights").splitlines()}
    assert rights["/etc/schoolgate/secrets"] == "750"
    assert rights["/etc/schoolgate/schoolgate.toml"] == "640"
    assert rights["/var/lib/schoolgate"] == "750"
    assert owners["/etc/schoolgate/policy/policy.yaml"] == "schoolgate:schoolgate"
    assert owners["/etc/schoolgate/schoolgate.toml"] == "root:schoolgate"
    assert installed.code("ca") == 0, installed.out("ca")
    keys = [
        line for line in installed.out("ca_rights").splitlines() if re.search(r"\.key$|intermediate", line)
    ]
    assert len(keys) == 2
    assert all(line.startswith("600 schoolgate:schoolgate ") for line in keys)
    program = [line for line in installed.state(1) if line.startswith("/opt/schoolgate/releases/")]
    assert program
    assert all(" root:root " in line for line in program)
    assert not [
        line for line in program if re.search(r" [0-7]?[0-7][2367][2367] ", line) and " 777 " not in line
    ]


def test_everything_starts_with_the_machine(installed: Any) -> None:
    """Each service, timer and watch is enabled, the firewall before the network."""
    enabled = installed.out("enabled")
    for unit in ("dns.service", "proxy.service", "portal.service", "evidence.service", "firewall-apply.path",
                 "purge.timer", "backup.timer", "doctor.timer", "probe.timer"):  # fmt: skip
        assert f"schoolgate.target.wants/schoolgate-{unit}" in enabled
    assert "sysinit.target.wants/schoolgate-firewall.service" in enabled


def test_the_settings_say_what_was_asked_for(installed: Any) -> None:
    """Interfaces, a proxy port for each network, and listeners that VLANs reach."""
    text = installed.out("settings")
    assert "transparent = {staff = 8410, pupils = 8420, guests = 8430}" in text
    assert 'wan = "eth0"' in text
    assert 'listen = ["0.0.0.0:5353", "[::]:5353"]' in text
    assert 'listen = "[::]:8000"' in text
    assert 'url = "http://10.20.0.1:8000"' in text


@pytest.mark.parametrize(
    "step", ["check", "firewall", "apply", "backup", "services", "upgrade", "uninstall", "again"]
)
def test_what_is_installed_works(installed: Any, step: str) -> None:
    """Policy, firewall (as the service's user), backup, an upgrade, a removal, an installation over what was left."""
    assert installed.code(step) == 0, installed.out(step)


def test_the_services_are_well(installed: Any) -> None:
    """Started as their units start them, all three are ready, and the first account can be made."""
    said = installed.out("services")
    for line in (
        "9153 200",
        "9154 200",
        "9155 200",
        "9156 200",
        "portal 127.0.0.1 200",
        "portal [::1] 200",
        "portal 10.20.0.1 200",
    ):
        assert line in said
    if "[firewall]" not in installed.out("settings"):  # a time server could be installed
        assert "time 10.20.0.1 4" in said
        assert "time ::1 4" in said
    assert "http://10.20.0.1:8000/set-up/" in said
    assert "schoolgate_closed" not in installed.out("apply")


def test_the_quick_start_leads_here(installed: Any) -> None:
    """The commands of its second page work on what was just installed, and the doctor has nothing to say about the box.

    This machine's own clock and disk, and resolvers that cannot be reached from here, are none of its business.
    """
    said = installed.out("services")
    steps = dict(re.findall(r"(?ms)^quick start: (schoolgate [^\n]+)\n.*?^quick start: exit (\d)$", said))
    doctor = steps.pop("schoolgate doctor")
    assert len(steps) >= 3
    assert set(steps.values()) == {"0"}, said
    found = json.loads(re.search(r"(?ms)^\[.*?^\]$|^\[\]$", said)[0])
    own = [one for one in found if one["area"] not in {"clock", "disk", "upstreams"}]
    assert own == []
    assert doctor == str(int(bool(found)))


def test_an_upgrade_keeps_what_people_wrote(installed: Any) -> None:
    """The new program is in use beside the old one; the policy is as the officer left it."""
    releases, current, policy, program = installed.out("releases").split("\n")[:4]
    assert releases == "2"
    assert current.startswith("/opt/schoolgate/releases/")
    assert policy == "# a line of the officer"
    assert program == "# newer"


def test_a_lost_box_comes_back(installed: Any) -> None:
    """Restored by root, files, owners and rights are what they were, secrets among them, and the service can use them."""
    for step in (
        "rpz_key",
        "rpz_config",
        "ca_offline",
        "ca_online",
        "full_backup",
        "anew",
        "restore",
        "restored_works",
    ):
        assert installed.code(step) == 0, installed.out(step)
    assert "keys encrypted" in installed.out("full_backup")
    before, after = (
        sorted(installed.out(step).splitlines()) for step in ("before_the_loss", "after_the_loss")
    )
    assert len(before) >= 8
    assert before == after
    assert installed.out("roots") == ""
    assert "the audit is whole" in installed.out("restored_works")


def test_a_removal_keeps_data_and_nothing_else(installed: Any) -> None:
    """Policy and keys stay; units, program, command and kernel settings are gone, and the next installation has them."""
    assert installed.out("left").split() == [
        "/etc/schoolgate/policy/policy.yaml", "/var/lib/schoolgate/ca/root.key",
    ]  # fmt: skip
    said = installed.out("uninstall")
    assert "schoolgate_closed" not in said
    assert said.endswith("\n0 0 "), said  # nothing is forwarded once no table of ours is left
    ca = re.search(r"SHA-256 +(\S+)", installed.out("ca"))
    again = re.search(r"SHA-256 +(\S+)", installed.out("again_check"))
    assert ca
    assert again
    assert ca[1] == again[1]
