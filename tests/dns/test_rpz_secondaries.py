"""BIND and Unbound as a trust has them: they take the zones, block as the sinkhole does, and follow within seconds."""

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ports import free_port
from rpz_rig import EXCEPTION, POLICY, Zones
from running import eventually
from secondaries import Answer, ask, dig, named, unbound

from schoolgate_policy.model import Inspection

NETWORKS = {"staff": "127.0.10.5", "pupils": "127.0.20.5", "guests": "127.0.30.5", "exams": "127.0.40.5"}
NEEDED = {"named": "bind9", "unbound": "unbound"}
ODD = ("a.b.c.facebook.com", "notfacebook.com", "com", "co.uk", "www.co.uk", "x.help.instagram.com")


@pytest.fixture
def folder(tmp_path):
    """A folder that resolvers may write to."""
    made = tmp_path / "resolver"
    made.mkdir()
    return made


@pytest.fixture(params=["named", "unbound"])
def resolver(request):
    """Which resolver; each is skipped where it is not installed."""
    if not (shutil.which(request.param) or Path(f"/usr/sbin/{request.param}").exists()):
        pytest.skip(f"{NEEDED[request.param]} is not installed")
    if not shutil.which("dig"):
        pytest.skip("dig is not installed")
    return request.param


def start(resolver, folder, port, zones, zone):
    """Run a resolver with one of our zones as its policy."""
    upstream = zones.rig.upstream.port
    name = f"{zone}.rpz.schoolgate"
    if resolver == "named":
        return named(folder, port, zones.port, (name,), upstream)
    return unbound(folder, port, zones.port, name, upstream)


def prepare(make_rig, tmp_path, resolver, **more):
    """Return a server of zones and the port on which a resolver will listen, which is told of changes."""
    port = free_port()
    return Zones(make_rig(), tmp_path, notify=[("trust", port, resolver == "named")], **more), port


def blocked(port, name="www.facebook.com") -> bool:
    return ask(port, name).data == ("192.0.2.80",)


def test_a_resolver_blocks_and_follows_an_exception_and_a_lesson(make_rig, tmp_path, folder, resolver):
    """The zone arrives, blocks, and changes within seconds of an exception, and of the edge of a lesson."""
    zones, port = prepare(make_rig, tmp_path, resolver)
    try:
        with start(resolver, folder, port, zones, "pupils"):
            eventually(lambda: blocked(port), 60)
            assert blocked(port, "m.facebook.com")
            assert ask(port, "www.example.org").data == ("203.0.113.9",)
            zones.rig.pass_time(5)
            zones.write(POLICY + EXCEPTION)
            took = eventually(lambda: ask(port, "m.facebook.com").data == ("203.0.113.9",), 60)
            assert took < 30
            assert blocked(port)
            assert zones.counters.seen["gave changes"] >= 1, "by IXFR"
            assert zones.counters.seen["heard"] >= 1
    finally:
        zones.stop()


def test_the_edge_of_a_lesson_reaches_a_resolver(make_rig, tmp_path, folder, resolver):
    """Staff may watch videos as soon as the lesson is over, and no longer when the next begins."""
    zones, port = prepare(make_rig, tmp_path, resolver)
    try:
        with start(resolver, folder, port, zones, "staff"):
            eventually(lambda: blocked(port, "www.youtube.com"), 60)
            started = time.monotonic()
            zones.rig.pass_time(31 * 60)
            eventually(lambda: ask(port, "www.youtube.com").data == ("203.0.113.9",), 60)
            assert time.monotonic() - started < 30
            zones.rig.pass_time(23 * 3600)
            eventually(lambda: blocked(port, "www.youtube.com"), 60)
    finally:
        zones.stop()


@pytest.mark.parametrize("network", NETWORKS)
def test_a_resolver_answers_as_the_sinkhole_does(make_rig, tmp_path, folder, resolver, network):
    """For names of the policy, the catalogue and none, and every network: the same code and the same addresses."""
    zones, port = prepare(make_rig, tmp_path, resolver)
    rig = zones.rig
    names = sorted({*(one for s in rig.engine.policy.catalogue.services.values() for one in s.domains)})
    names += ["www.google.com", "www.youtube.com", "www.bing.com", "duckduckgo.com", "a.www.google.com"]
    names += ["use-application-dns.net", "mask.icloud.com", "bbc.co.uk", "news.bbc.co.uk", *ODD]
    sample = st.tuples(
        st.sampled_from(["", "www.", "a.b."]), st.sampled_from(names), st.sampled_from(["A", "AAAA"])
    )
    shows_page = rig.engine.policy.networks[network].inspection is not Inspection.NAMES

    def ours(name, kind) -> Answer:
        reply = rig.ask(name, kind, source=NETWORKS[network])
        data = tuple(sorted(str(rr.rdata) for rr in reply.rr))
        page = {rig.address[0]: "192.0.2.80"}
        return Answer(
            {0: "NOERROR", 3: "NXDOMAIN"}[reply.header.rcode], tuple(page.get(one, one) for one in data)
        )

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(sample)
    def agree(drawn):
        before, name, kind = drawn
        expected, got = ours(before + name, kind), ask(port, before + name, kind)
        if kind == "AAAA" and got.data == ("2001:db8::80",):
            assert shows_page
            got = Answer(got.rcode, ())  # the rig's sinkhole listens on IPv4 only, so it has no page there
        assert got == expected, before + name

    try:
        with start(resolver, folder, port, zones, network):
            eventually(lambda: "NXDOMAIN" in dig(port, "use-application-dns.net"), 60)
            agree()
    finally:
        zones.stop()


def test_a_wrong_secret_leaves_bind_without_the_zone(make_rig, tmp_path, folder):
    """BIND with another secret is refused, and the refusal is counted."""
    if not Path("/usr/sbin/named").exists():
        pytest.skip("bind9 is not installed")
    zones, port = prepare(make_rig, tmp_path, "named")
    other = "YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5LXR3byBvY3RldHM="
    try:
        with named(
            folder, port, zones.port, ("pupils.rpz.schoolgate",), zones.rig.upstream.port, secret=other
        ):
            eventually(lambda: zones.counters.seen["refused bad_signature"] >= 1, 60)
            eventually(lambda: "BADSIG" in (folder / "named.log").read_text(), 30)
            assert not zones.counters.seen["gave whole"]
    finally:
        zones.stop()


def test_unbound_unannounced_is_refused(make_rig, tmp_path, folder):
    """Without a key, an address that the settings do not name as unsigned gets nothing."""
    if not Path("/usr/sbin/unbound").exists():
        pytest.skip("unbound is not installed")
    zones = Zones(make_rig(), tmp_path)
    try:
        port = free_port()
        with unbound(folder, port, zones.port, "pupils.rpz.schoolgate", zones.rig.upstream.port):
            eventually(lambda: zones.counters.seen["refused unsigned"] >= 1, 60)
            assert not zones.counters.seen["gave whole"]
    finally:
        zones.stop()
