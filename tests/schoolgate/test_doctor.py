"""`schoolgate doctor`: finds what is wrong, says what to do, and is quiet where all is well."""

import http.server
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from running import ROOT, Running, schoolgate

from schoolgate.demo.internet import Internet
from schoolgate.doctor import machine, network, ports, running
from schoolgate.doctor.finding import Subject
from schoolgate.doctor.holes import AS_OF, HOLES
from schoolgate.doctor.look import CHECKS, look, subject
from schoolgate.firewall import nft
from schoolgate.settings import Settings
from schoolgate_policy.lists.spec import Standing
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
    names = {
        "SCHOOLGATE_DNS_LISTEN": "dns", "SCHOOLGATE_PROXY_EXPLICIT": "proxy", "SCHOOLGATE_PORTAL_LISTEN": "portal",
        **{f"SCHOOLGATE_METRICS_{part.upper()}": f"metrics_{part}" for part in ("dns", "proxy", "portal")},
    }  # fmt: skip
    at = {name: "{}:{}".format(*running.address(listener)) for name, listener in names.items()}
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


# Ports where nothing is, whatever else runs on this machine.
NOWHERE = {
    "metrics": {
        "dns": "127.0.0.1:1",
        "proxy": "127.0.0.1:2",
        "portal": "127.0.0.1:3",
        "firewall": "127.0.0.1:4",
    },
    "dns": {"listen": ["127.0.0.1:5"]},
    "proxy": {"explicit": "127.0.0.1:6"},
    "portal": {"listen": "127.0.0.1:7"},
}


class Health(http.server.BaseHTTPRequestHandler):
    """A part that answers its health page in some way."""

    status, body = 200, b"ok"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[Callable[[int, bytes], str]]:
    """Start health pages; each call returns where one is."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int, body: bytes) -> str:
        handler = type("Made", (Health,), {"status": status, "body": body})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_part_that_is_not_ready_is_found(box: Path, answering: Callable[[int, bytes], str]) -> None:
    """What it says about itself is passed on."""
    at = answering(503, b"listening: no\n")
    found = _found(
        _subject(box, metrics={"dns": at, "proxy": answering(200, b""), "portal": answering(200, b"")}),
        "services",
    )
    assert found == ["dns: is not ready: listening: no"]


def test_ports_of_others_and_of_nobody_are_found(box: Path, answering: Callable[[int, bytes], str]) -> None:
    """A port that another program has while our part is down, and one that nobody has though our part runs."""
    well = {part: answering(200, b"") for part in ("dns", "proxy")}
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as ours:
        stranger, known = (f"127.0.0.1:{one.getsockname()[1]}" for one in (taken, ours))
        at = _subject(box, metrics={**well, "portal": "127.0.0.1:1"}, dns={"listen": ["127.0.0.1:2"]},
                      proxy={"explicit": known}, portal={"listen": stranger})  # fmt: skip
        found = list(look(at, ["ports"]))
    assert [one.what for one in found] == [
        "dns.listen: dns runs, and nothing listens on 127.0.0.1:2",
        f"portal.listen: another program listens on {stranger}",
    ]
    assert "ss -lntup" in found[1].do


def test_a_clock_that_nobody_offers_is_found(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where devices are led to the box for the time, something on it has to answer."""
    monkeypatch.setattr(ports, "_PROC", tmp_path)
    box_between = {**NOWHERE, "interfaces": {"staff": "lo"}}
    (found,) = _found(_subject(box, **box_between), "ports")
    assert "nothing answers on UDP 123" in found
    assert _found(_subject(box, **box_between, firewall={"ntp": "refuse"}), "ports") == []
    (tmp_path / "udp6").write_text("  sl  local_address\n  1: 00000000000000000000000000000000:007B 0 07\n")
    assert _found(_subject(box, **box_between), "ports") == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ((64, 0.1), "nothing sets this machine's clock"),
        ((0, 9.0), "the clock may be wrong by 9 s"),
        ((0, 0.1), ""),
        (None, ""),
    ],
)
def test_a_clock_that_is_wrong_is_found(
    box: Path, monkeypatch: pytest.MonkeyPatch, told: Any, words: str
) -> None:
    """As the kernel tells it: nobody sets it, or it may be far off; what cannot be told is no finding."""
    monkeypatch.setattr(machine, "read_clock", lambda: told)
    monkeypatch.setattr(machine, "unset_clock", lambda state: state == 64)
    found = _found(_subject(box), "clock")
    assert [words in line for line in found] == [True] * bool(words)


def test_a_disk_that_is_nearly_full_is_found(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room, in octets or in share; and a state folder that is not there."""
    room = SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_blocks=2 << 20)
    monkeypatch.setattr(machine.os, "statvfs", lambda _: room)
    assert _found(_subject(box), "disk") == []
    room.f_blocks = 100 << 20
    assert "4096 MiB are free, 1%" in _found(_subject(box), "disk")[0]
    room.f_bavail, room.f_blocks = 1000, 2000
    assert "3 MiB are free, 50%" in _found(_subject(box), "disk")[0]
    assert "there is no state folder" in _found(_subject(box, state=box / "nowhere"), "disk")[0]


def test_no_resolver_is_found(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the settings nor in the system's."""
    monkeypatch.setattr(running, "dns_config", lambda _: SimpleNamespace(upstreams=()))
    assert _found(_subject(box), "upstreams") == ["there is no resolver to ask"]


def test_secrets_of_the_settings_that_others_can_read_are_found(box: Path) -> None:
    """The password of the mail server is for its group at most."""
    secret = box / "password"
    secret.write_text("three random words\n")
    mail = {"host": "smtp.school.example", "sender": "filter@school.example", "password_file": secret}
    secret.chmod(0o640)
    assert _found(_subject(box, mail=mail), "rights") == []
    secret.chmod(0o644)
    assert _found(_subject(box, mail=mail), "rights") == [f"{secret}: others can open it (mode 644)"]


def test_a_release_that_is_too_old_to_know_is_found(box: Path) -> None:
    """Half a year after its table of holes was looked through, a release says that it may have missed some."""
    at = _subject(box)
    day = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 12, tzinfo=UTC)
    assert _found(replace(at, now=day + timedelta(days=180)), "versions") == []
    (found,) = _found(replace(at, now=day + timedelta(days=181)), "versions")
    assert f"holes up to {AS_OF} only, 181 days ago" in found


def test_what_is_pinned_has_none_of_the_known_holes() -> None:
    """The hashed requirements are above every version of the table that is in them."""
    text = (ROOT / "requirements/run.txt").read_text()
    pinned = dict(re.findall(r"(?m)^([a-z0-9-]+)==([\w.]+)", text))
    known = [(package, fixed) for package, fixed, _ in HOLES if package in pinned]
    assert len(known) > 3
    assert all(machine._numbers(pinned[package]) >= fixed for package, fixed in known)


def test_a_kernel_that_does_not_forward_is_found(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a box between networks, by family; where there are no interfaces it does not matter."""
    monkeypatch.setattr(network, "_PROC", tmp_path)
    for key, text in (("ipv4/ip_forward", "0\n"), ("ipv6/conf/all/forwarding", "1\n")):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(text)
    found = _found(_subject(box, interfaces={"staff": "lo"}), "forwarding")
    assert found == ["net.ipv4.ip_forward is 0, so nothing is forwarded"]
    assert _found(_subject(box), "forwarding") == []


def test_an_interface_that_is_down_is_found(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel says it; without any interface it is said what that means."""
    monkeypatch.setattr(network, "_SYS", tmp_path)
    (tmp_path / "lo").mkdir()
    (tmp_path / "lo/operstate").write_text("lowerlayerdown\n")
    assert "staff: lo is down" in _found(_subject(box, interfaces={"staff": "lo"}), "interfaces")
    assert "[interfaces] names none" in _found(_subject(box), "interfaces")[0]


def test_a_firewall_that_cannot_be_made_or_read_is_found(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each contradiction in the settings; and a kernel that does not let us look."""
    at = _subject(box, interfaces={"pupils": "vlan20"})
    assert any("proxy.transparent.pupils: no port" in line for line in _found(at, "firewall"))

    def forbidden(_ruleset: str) -> list[str]:
        raise nft.FirewallError("nft: operation not permitted (run as root)")

    monkeypatch.setattr(nft, "difference", forbidden)
    whole = _subject(box, interfaces={"pupils": "vlan20"}, proxy={"transparent": {"pupils": 8420}},
                     dns={"listen": ["0.0.0.0:5353", "[::]:5353"]})  # fmt: skip
    assert _found(whole, "firewall") == ["cannot be looked at: nft: operation not permitted (run as root)"]


def test_a_list_that_nobody_confirms_is_found(box: Path) -> None:
    """After three refreshes that brought nothing, with the day of the last one."""
    at = _subject(box)
    assert at.policy is not None
    spec = SimpleNamespace(name="bad", url="https://lists.example/", refresh=timedelta(days=1))
    status = SimpleNamespace(
        spec=spec, standing=Standing.IN_USE, refused="", dated=at.now - timedelta(days=4)
    )
    stale = replace(at, policy=replace(at.policy, list_status=(status,)))  # type: ignore[arg-type]
    assert any(line.startswith("bad: last confirmed on") for line in _found(stale, "lists"))


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
        '[dns]\nlisten = ["0.0.0.0:5353", "[::]:5353"]\n[portal]\nlisten = "[::]:8000"\nurl = "http://10.20.0.1:8000"\n'
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
        timeout=600,
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
