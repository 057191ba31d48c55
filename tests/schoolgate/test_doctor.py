"""`schoolgate doctor`: finds what is wrong, says what to do, and is quiet where all is well."""

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from running import ROOT, Running, schoolgate

from schoolgate.demo.internet import Internet
from schoolgate.doctor import machine
from schoolgate.doctor.finding import Subject
from schoolgate.doctor.look import CHECKS, look, subject
from schoolgate.settings import Settings
from schoolgate_proxy import authority, issuing


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with the shipped policy and a certificate authority."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    authority.create(tmp_path / "state", "Perryfields")
    return tmp_path


def _subject(box: Path, **settings: Any) -> Subject:
    return subject(box / "policy.yaml", None, Settings.model_validate({"state": box / "state", **settings}))


def _found(at: Subject, *checks: str) -> list[str]:
    found = list(look(at, checks))
    assert all(one.do for one in found)
    return [one.what for one in found]


def test_a_box_in_order_has_no_finding(running: Running, internet: Internet) -> None:
    """With everything running, and resolvers that answer, nothing but the missing VLANs of this machine is found."""
    at = {f"SCHOOLGATE_METRICS_{part.upper()}": "{}:{}".format(*running.address(f"metrics_{part}"))
          for part in ("dns", "proxy", "portal")}  # fmt: skip
    upstream = "{}:{}".format(*internet.resolver)
    done = schoolgate("doctor", "--json", cwd=running.folder, SCHOOLGATE_DNS_UPSTREAMS=upstream, **at)
    found = json.loads(done.stdout)
    assert {one["area"] for one in found} <= {"interfaces", "clock", "disk"}, found
    assert done.returncode == 1
    assert set(found[0]) == {"area", "weight", "what", "do"}


def test_what_does_not_run_is_found(box: Path) -> None:
    """Each part that does not answer is named, with where to look."""
    done = schoolgate("doctor", cwd=box, SCHOOLGATE_METRICS_DNS="127.0.0.1:1",
                      SCHOOLGATE_METRICS_PROXY="127.0.0.1:2", SCHOOLGATE_METRICS_PORTAL="127.0.0.1:3",
                      SCHOOLGATE_DNS_UPSTREAMS="127.0.0.1:9")  # fmt: skip
    assert done.returncode == 1
    for part, port in (("dns", 1), ("proxy", 2), ("portal", 3)):
        assert f"error: services: {part}: nothing answers at 127.0.0.1:{port}" in done.stdout
        assert f"systemctl status schoolgate-{part}" in done.stdout
    assert "error: upstreams: 127.0.0.1:9: " in done.stdout
    assert f"{len(CHECKS)} checks, " in done.stdout


def test_files_that_others_can_open_are_found(box: Path) -> None:
    """Keys and secrets that are readable by others, and a policy that everybody can write."""
    assert _found(_subject(box), "rights") == []
    (box / "state/ca/root.key").chmod(0o644)
    (box / "policy.yaml").chmod(0o666)
    (box / "state/ca").chmod(0o755)
    found = _found(_subject(box), "rights")
    assert [line.rpartition("/")[2].partition(":")[0] for line in found] == ["root.key", "ca", "policy.yaml"]


def test_files_of_another_user_are_found(box: Path) -> None:
    """What a command run as root left behind would keep the services from working."""
    import os

    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(box / "state/ca.pem", 65534, 65534)
    (found,) = _found(_subject(box), "rights")
    assert "ca.pem: belongs to another user" in found


def test_an_old_program_is_found(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mitmproxy with the smuggling hole is named with the version that has it no more."""
    assert _found(_subject(box), "versions") == []
    monkeypatch.setattr(machine, "version", lambda name: "12.1.1" if name == "mitmproxy" else "999.0")
    (found,) = _found(_subject(box), "versions")
    assert "mitmproxy 12.1.1 is below 12.1.2" in found


@pytest.mark.parametrize(("days", "count"), [(10, 1), (400, 0)])
def test_a_certificate_that_ends_soon_is_found(box: Path, days: int, count: int) -> None:
    """Three months before the root's end it is time to rotate."""
    shutil.rmtree(box / "state")
    assert "there is no certificate authority" in _found(_subject(box), "certificate")[0]
    authority.create(box / "state", "Perryfields", days=days)
    found = _found(_subject(box), "certificate")
    assert len(found) == count
    assert all("the root ends on" in line for line in found)


def test_an_intermediate_that_ends_soon_is_found(box: Path) -> None:
    """Also while the root's key is away, and then with the way to bring it back."""
    folder = box / "state/ca"
    made = issuing.make_intermediate(authority.root_with_key(folder), "Perryfields", days=10)
    authority._write_intermediate(folder, made)
    (folder / authority.ROOT_KEY).unlink()
    (found,) = look(_subject(box), ["certificate"])
    assert "the intermediate ends on" in found.what
    assert found.do.startswith("schoolgate ca online FILE, then schoolgate ca rotate --intermediate")


def test_an_overdue_review_is_found(box: Path) -> None:
    """On the day after it was due, not on the day."""
    at = _subject(box)
    due = at.policy.review.due
    noon = datetime(due.year, due.month, due.day, 12, tzinfo=UTC)
    assert _found(replace(at, now=noon), "review") == []
    assert len(_found(replace(at, now=noon + timedelta(days=1)), "review")) == 1


def test_problems_of_the_policy_are_found(box: Path) -> None:
    """Each with its line; and what needs a policy is left out."""
    text = (box / "policy.yaml").read_text()
    (box / "policy.yaml").write_text(text.replace("\nrules:", "\nruls:", 1))
    found = _found(_subject(box), "policy", "review", "lists", "firewall")
    assert any("policy.yaml:" in line and "ruls" in line for line in found)


def test_lists_that_were_never_fetched_are_found(box: Path) -> None:
    """A list with a URL that has brought nothing yet is named."""
    with (box / "policy.yaml").open("a") as file:
        file.write("\nlists:\n  bad:\n    url: https://lists.example/bad.txt\n    category: circumvention\n")
    at = _subject(box)
    if at.policy is None:
        pytest.fail("\n".join(map(str, at.issues)))
    assert any("bad: not fetched yet" in line for line in _found(at, "lists"))


def test_interfaces_that_are_not_there_are_found(box: Path) -> None:
    """Named ones that are missing, and networks that have none."""
    at = _subject(box, interfaces={"staff": "lo", "pupils": "nosuch0"})
    found = _found(at, "interfaces")
    assert "pupils: there is no nosuch0" in found
    assert any(line.startswith("guests: no interface") for line in found)
    assert not any(line.startswith("staff") for line in found)


def test_a_firewall_that_is_not_loaded_is_found(box: Path) -> None:
    """In a network of its own, where nothing is loaded; loaded, it is found no more."""
    if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("nft is not installed")
    settings = box / "schoolgate.toml"
    settings.write_text(
        '[dns]\nlisten = ["0.0.0.0:5353", "[::]:5353"]\n[portal]\nlisten = "0.0.0.0:8000"\nurl = "http://10.20.0.1:8000"\n'
        "[proxy]\ntransparent = {staff = 8410, pupils = 8420, guests = 8430}\n"
        '[interfaces]\nstaff = "v10"\npupils = "v20"\nguests = "v30"\nwan = "w0"\n'
    )
    import sys

    run = f"{sys.executable} -m schoolgate"
    script = f"{run} doctor --json; {run} firewall --apply && {run} doctor --json"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        cwd=box,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if "unshare" in done.stderr:
        pytest.skip("no right to make namespaces")
    before, after = (json.loads(part) for part in done.stdout.replace("]\n[", "]\0[").split("\0"))
    assert any(
        one["area"] == "firewall" and "is not what policy and settings say" in one["what"] for one in before
    )
    assert not [one for one in after if one["area"] == "firewall"]


def test_a_check_that_fails_is_a_finding(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in one look keeps no other from happening."""

    def broken(_at: Subject) -> Any:
        raise RuntimeError("out of order")

    monkeypatch.setitem(CHECKS, "clock", broken)
    (found,) = _found(_subject(box), "clock", "rights")
    assert found == "cannot be looked at: RuntimeError: out of order"
