"""Whatever breaks, nothing is let through and nobody is forgotten."""

import os
import re
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import netns_clients as client
import pytest
from netns_clients import request
from netns_school import school_policy
from running import alive

pytestmark = pytest.mark.netns

THERE, SIX = "45.60.9.9", "2a00:9:9::9"
DROPPED = re.compile(r"(?m)^schoolgate_events_dropped_total\{.*\} (\S+)$")


def ask(name: str, path: str = "/") -> bytes:
    """Fetch a page over IPv4 and over IPv6; nothing where that is refused."""
    found = b""
    for there in (THERE, SIX):
        with suppress(OSError):
            found += client.fetch(there, name, None, path)
    return found


def works(host) -> bool:
    """Whether an allowed site is reached by name, over both families."""
    return all(
        "this is the real site" in host.run("curl", "-sk", family, "-m", "10", "https://school.example/")
        for family in ("-4", "-6")
    )


def dropped(box, *parts: str) -> float:
    """Return how many events parts say that they have lost."""
    return sum(float(number) for part in parts for number in DROPPED.findall(box.metrics(part)))


def shut(leaks) -> bool:
    """Whether nothing of a blocked site has reached the internet, nor anything from a pupil's address."""
    return not any(
        "blocked.example" in str(one)
        or str(one.get("source", "")).startswith(("10.", "2a00:20:", "2a00:30:"))
        for one in leaks()
    )


@pytest.mark.parametrize("part", ["proxy", "dns", "portal"])
def test_a_part_is_killed(school, box, leaks, wait, part):
    """While a part is down connections are refused, never passed; a moment later it is back."""
    before = box.pids()[part]
    os.kill(before, signal.SIGKILL)
    for host in (school.pupil, school.guest):
        assert b"this is the real site" not in host.do(ask, "blocked.example")
    wait(lambda: box.pids().get(part, before) != before, 60)
    wait(lambda: works(school.pupil), 60)
    wait(lambda: works(school.guest), 60)
    assert b"this is the real site" not in school.pupil.do(ask, "blocked.example")
    assert shut(leaks)


def test_all_parts_are_killed_at_once(school, box, leaks, wait):
    """With nothing running at all, the firewall alone keeps everything shut."""
    pids = box.pids()
    parts = [pids[part] for part in ("proxy", "dns", "portal")]
    for pid in parts:
        os.kill(pid, signal.SIGSTOP)  # so that nothing is restarted while we look
    supervisor = pids["run"]
    os.kill(supervisor, signal.SIGSTOP)
    for pid in parts:
        os.kill(pid, signal.SIGKILL)
    try:
        wait(lambda: not any(alive(pid) for pid in parts))
        for host in (school.pupil, school.guest):
            for there, port in ((THERE, 443), (THERE, 80), (SIX, 443), (SIX, 80)):
                with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
                    host.do(client.connect, there, port)
            for resolver in ("8.8.8.8", "2001:4860:4860::8888"):
                with pytest.raises(ConnectionRefusedError):
                    host.do(
                        client.datagram,
                        resolver,
                        53,
                        b"\0\1\1\0\0\1\0\0\0\0\0\0\3bbc\2co\2uk\0\0\1\0\1",
                    )
        assert leaks() == []
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait(lambda: works(school.pupil), 90)
    assert shut(leaks)


def test_a_reload_loses_nobody(school, box, leaks):
    """While the policy changes again and again, allowed sites answer every time and blocked ones never."""
    jobs = [
        partial(client.fetch, (THERE, SIX)[number % 2], f"www.site{number}.example") for number in range(40)
    ]
    jobs += [partial(ask, "blocked.example")] * 10
    future = school.pupil.pool.submit(client.crowd, jobs, 4)
    try:
        for _ in range(2):
            box.rewrite(school_policy())
        found = future.result(100)
        assert [one for one in found[:40] if not isinstance(one, bytes) or b"the real site" not in one] == []
        assert all(isinstance(one, bytes) and b"the real site" not in one for one in found[40:])
        assert shut(leaks)
    finally:
        box.rewrite(school_policy())


def test_a_broken_policy_changes_nothing(school, box, leaks, wait):
    """A policy with a mistake is refused; the old one goes on."""
    box.policy.write_text(school_policy().replace("\nrules:\n", "\nruls:\n", 1))
    try:
        wait(lambda: 'schoolgate_policy_reloads_total{result="rejected"} 0.0' not in box.metrics("proxy"), 30)
        assert b"this is the real site" not in school.pupil.do(ask, "blocked.example")
        assert works(school.pupil)
        assert shut(leaks)
    finally:
        box.rewrite(school_policy())


def test_a_full_disk(school, box, leaks):
    """With no room left for state, filtering goes on as before."""
    filler = box.state / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 20)):
            pass
    try:
        assert os.statvfs(box.state).f_bavail == 0
        for host in school.hosts().values():
            assert works(host)
            assert b"this is the real site" not in host.do(ask, "blocked.example")
        assert school.pupil.do(client.exchange, THERE, 80, request("blocked.example")).startswith(
            b"HTTP/1.1 403"
        )
        assert shut(leaks)
    finally:
        filler.unlink()


def test_the_internet_is_gone(school, box, leaks, wait):
    """Without an upstream allowed sites fail with an error of ours, blocked ones stay blocked; then all is well again."""
    school.internet.signal(signal.SIGSTOP)
    try:
        blocked = school.pupil.do(client.fetch, THERE, "blocked.example")
        assert blocked.startswith(b"HTTP/1.1 403")
        printed = school.pupil.run(
            "dig", "+time=15", "+tries=1", f"@{school.pupil.gateway4}", "never.asked.example"
        )
        assert "status: SERVFAIL" in printed
        assert "EDE: 15" in school.pupil.run("dig", f"@{school.pupil.gateway4}", "blocked.example")
        assert b"this is the real site" not in school.pupil.do(ask, "never.asked.example")
    finally:
        school.internet.signal(signal.SIGCONT)
    wait(lambda: works(school.pupil), 60)
    assert shut(leaks)


@pytest.mark.timeout(300)
def test_five_hundred_at_once(school, box, leaks):
    """400 guests and 100 pupils at the same moment, each trying once: nobody is lost, no event is, and no block is.

    Half of them come over IPv6.
    """
    lost = dropped(box, "dns", "proxy", "portal")
    guests = [
        partial(client.fetch, (THERE, SIX)[number % 2], f"www.site{number % 50}.example")
        for number in range(400)
    ]
    pupils = [
        partial(client.fetch, (THERE, SIX)[number % 2], f"www.site{number % 50}.example")
        for number in range(90)
    ]
    pupils += [partial(ask, "blocked.example")] * 10
    crowds = [
        school.guest.pool.submit(client.crowd, guests, 400),
        school.pupil.pool.submit(client.crowd, pupils, 100),
    ]
    served, inspected = (crowd.result(280) for crowd in crowds)
    wrong = [
        one for one in (*served, *inspected[:90]) if not isinstance(one, bytes) or b"the real site" not in one
    ]
    assert wrong == [], f"{len(wrong)} of 490 were lost"
    assert all(isinstance(one, bytes) and b"the real site" not in one for one in inspected[90:])
    assert dropped(box, "dns", "proxy", "portal") == lost
    assert shut(leaks)


def test_events_that_nobody_takes_are_counted(school, box, wait):
    """While there is no portal, what is noted of blocked sites is lost, which dns and proxy say of themselves."""
    pids = box.pids()
    before = dropped(box, "dns", "proxy")
    os.kill(pids["run"], signal.SIGSTOP)
    os.kill(pids["portal"], signal.SIGKILL)
    try:
        wait(lambda: not alive(pids["portal"]))
        for _ in range(5):
            assert b"the real site" not in school.pupil.do(ask, "blocked.example")
        wait(lambda: dropped(box, "dns", "proxy") >= before + 5, 60)
    finally:
        os.kill(pids["run"], signal.SIGCONT)
    wait(lambda: box.pids().get("portal", pids["portal"]) != pids["portal"], 60)
    wait(lambda: b"Perryfields" in school.pupil.do(portal, school.pupil.gateway6), 60)
    after = dropped(box, "dns", "proxy")
    school.pupil.do(ask, "blocked.example")
    assert dropped(box, "dns", "proxy") == after


def portal(gateway: str) -> bytes:
    """Fetch the portal's first page, or nothing."""
    with suppress(OSError):
        return client.exchange(gateway, 80, request(f"[{gateway}]"))
    return b""


def workers(number: int) -> list[int]:
    """Return the processes that are this worker of a part."""
    mark = f"SCHOOLGATE_WORKER={number}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


@pytest.mark.timeout(900)
def test_one_of_two_workers_is_killed(school, box, leaks, wait):
    """The other one's clients notice nothing, the dead one's are refused until it is back, and nobody passes."""
    good = box.settings.read_text()
    box.end()
    try:
        box.settings.write_text(good.replace("[proxy]\n", "[proxy]\nworkers = 2\n", 1))
        box.start()
        for number in (1, 2):
            (before,) = workers(number)
            os.kill(before, signal.SIGKILL)
            for host in (school.pupil, school.guest, school.pupil, school.guest):
                assert b"the real site" not in host.do(ask, "blocked.example")
            wait(lambda number=number, before=before: workers(number) not in ([], [before]), 60)
            for host in (school.pupil, school.guest, school.staff):
                wait(partial(works, host), 60)
            assert b"the real site" not in school.pupil.do(ask, "blocked.example")
        assert shut(leaks)
    finally:
        box.end()
        box.settings.write_text(good)
        box.start()
