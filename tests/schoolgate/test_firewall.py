"""The firewall's ruleset: what it says for a policy and settings, and what it refuses to be made from."""

import shutil
import subprocess
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from running import ROOT, schoolgate

from schoolgate.firewall import evidence
from schoolgate.firewall.evidence import Evidence, EvidenceReader, Refused, Tried
from schoolgate.firewall.nft import FirewallError
from schoolgate.firewall.plan import CannotPlan, make_plan
from schoolgate.firewall.ruleset import render
from schoolgate.firewall.techniques import BY_PAYLOAD, BY_PORT, BY_PROTOCOL, COUNTED
from schoolgate.settings import Settings
from schoolgate_policy.load import load_policy
from schoolgate_policy.technique import Technique
from schoolgate_policy.technique_table import table

BOX = {
    "dns": {"listen": ["0.0.0.0:5353", "[::]:5353"]},
    "proxy": {"transparent": {"staff": 8410, "pupils": 8420, "guests": 8430}},
    "portal": {"listen": "[::]:8000"},
    "interfaces": {"staff": "vlan10", "pupils": "vlan20", "guests": "vlan30", "wan": "wan0"},
}
PASSES = """\
    passes:
      - {to: [52.112.0.0/14, "2603:1063::/38"], ports: [udp 3478-3481, tcp 8443], reason: 'Calls "with" Teams'}
"""


def settings(**changes: object) -> Settings:
    return Settings.model_validate({**BOX, **changes})


def policy(folder: Path, passes: str = ""):
    text = (ROOT / "policy.yaml").read_text()
    file = folder / "policy.yaml"
    file.write_text(text.replace("    inspection: needed\n", f"    inspection: needed\n{passes}", 1))
    return load_policy(file)


def rules(ruleset: str, chain: str) -> list[str]:
    """Return the rules of one chain."""
    body = ruleset.partition(f"\tchain {chain} {{\n")[2].partition("\n\t}")[0]
    return [line.strip() for line in body.splitlines()]


def test_the_same_input_gives_the_same_text(tmp_path):
    """The ruleset is deterministic, and replaces what was there in one transaction."""
    first, second = (render(make_plan(policy(tmp_path), settings())) for _ in range(2))
    assert first == second
    assert "table inet schoolgate\ndelete table inet schoolgate\n\ntable inet schoolgate {" in first


def test_what_is_captured_for_a_network(tmp_path):
    """Names go to the sinkhole, the time to the box, its own pages to the portal, the web to the network's port."""
    assert rules(render(make_plan(policy(tmp_path), settings())), "capture_pupils") == [
        "meta l4proto { tcp, udp } th dport 53 fib daddr type != local jump seen_foreign_dns",
        "meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 redirect to :5353",
        "meta nfproto ipv6 meta l4proto { tcp, udp } th dport 53 redirect to :5353",
        "udp dport 123 redirect to :123",
        "tcp dport 80 fib daddr type local redirect to :8000",
        "tcp dport { 80, 443 } redirect to :8420",
    ]


def test_several_workers_each_have_their_clients(tmp_path):
    """With three workers a client's address tells which one it meets, over both families; all their ports are closed."""
    ruleset = render(make_plan(policy(tmp_path), settings(proxy={**BOX["proxy"], "workers": 3})))
    spread = "mod 3 seed 0x5c001 map { 0 : 8420, 1 : 8421, 2 : 8422 }"
    assert rules(ruleset, "capture_pupils")[-2:] == [
        f"meta nfproto ipv4 tcp dport {{ 80, 443 }} redirect to :jhash ip saddr {spread}",
        f"meta nfproto ipv6 tcp dport {{ 80, 443 }} redirect to :jhash ip6 saddr {spread}",
    ]
    doors = rules(ruleset, "deliver_pupils")
    assert doors[0] == "ct status dnat tcp dport { 5353, 8000, 8420, 8421, 8422 } accept"
    assert (
        "8410, 8411, 8412, 8420, 8421, 8422, 8430, 8431, 8432, 9153, 9154, 9155, 9156, 9157, 9158, 9164, 9174"
        in doors[-2]
    )


def test_a_worker_listens_on_ports_of_its_own():
    """The second worker has the port after the first's, for each network and for its metrics."""
    second = settings(proxy={**BOX["proxy"], "workers": 2}).of_worker("proxy", 2)
    assert second.proxy.transparent == {"staff": 8411, "pupils": 8421, "guests": 8431}
    assert second.metrics.proxy.port == 9164


def test_passes_are_the_only_way_through(tmp_path):
    """A pass is one rule for each family and protocol; pupils, who have none, go nowhere."""
    ruleset = render(make_plan(policy(tmp_path, PASSES), settings()))
    assert rules(ruleset, "forward_staff") == [
        "ip daddr { 52.112.0.0/14 } tcp dport { 8443 } accept comment \"Calls 'with' Teams\"",
        "ip daddr { 52.112.0.0/14 } udp dport { 3478-3481 } accept comment \"Calls 'with' Teams\"",
        "ip6 daddr { 2603:1063::/38 } tcp dport { 8443 } accept comment \"Calls 'with' Teams\"",
        "ip6 daddr { 2603:1063::/38 } udp dport { 3478-3481 } accept comment \"Calls 'with' Teams\"",
        "goto classify",
    ]
    assert rules(ruleset, "forward_pupils") == ["goto classify"]
    assert "policy drop;" in rules(ruleset, "forward")[0]


def test_the_box_is_closed_but_for_what_was_redirected(tmp_path):
    """The ports of the parts are reached through the firewall's own redirect only."""
    doors = rules(render(make_plan(policy(tmp_path), settings())), "deliver_guests")
    assert doors[0] == "ct status dnat tcp dport { 5353, 8000, 8430 } accept"
    assert doors[-2].startswith("tcp dport { 5353, 5354, 8000, 8080, 8410, 8420, 8430, 9153, 9154, 9155")
    assert doors[-2].endswith("goto refuse_proxy_direct")
    assert not any("9153" in rule for rule in doors[:-2])


def test_what_people_are_told_of_is_open(tmp_path):
    """An explicit proxy on a reachable address, and a portal whose address names its port, take connections."""
    box = settings(
        proxy={**BOX["proxy"], "explicit": "10.10.0.1:3128"},
        portal={"listen": "[::]:8000", "url": "http://filter.school.example:8000"},
        firewall={"admin": ["10.10.0.20/32"], "trusted": ["mgmt0"]},
    )
    ruleset = render(make_plan(policy(tmp_path), box))
    assert "tcp dport { 3128, 8000 } accept" in rules(ruleset, "deliver_staff")
    assert "tcp dport { 8000 } accept" in rules(ruleset, "deliver_pupils")
    assert "ip saddr { 10.10.0.20/32 } tcp dport 22 accept" in rules(ruleset, "deliver_staff")
    assert 'iifname { "mgmt0" } accept' in rules(ruleset, "forward")


def test_zones_are_for_who_is_named(tmp_path):
    """Resolvers in [rpz.secondaries] reach the zones' port from anywhere; devices and the internet do not, over TCP nor UDP."""
    trust = {"address": "10.10.0.53", "unsigned": True}
    far = {"address": "2a00:99::53", "unsigned": True}
    box = settings(rpz={"listen": ["[::]:5354"], "secondaries": {"trust": trust, "far": far}})
    ruleset = render(make_plan(policy(tmp_path), box))
    deliver = rules(ruleset, "deliver")
    allowed = [
        "ip saddr { 10.10.0.53/32 } meta l4proto { tcp, udp } th dport { 5354 } accept",
        "ip6 saddr { 2a00:99::53/128 } meta l4proto { tcp, udp } th dport { 5354 } accept",
    ]
    first = deliver.index(allowed[0])
    assert deliver[first : first + 2] == allowed
    assert deliver[first + 2].startswith("iifname vmap")
    assert deliver[-2].startswith("tcp dport { 5353, 5354, 8000")
    assert deliver[-1] == "udp dport { 123, 5353, 5354 } goto refuse"
    assert not any(
        "saddr" in rule for rule in rules(render(make_plan(policy(tmp_path), settings())), "deliver")
    )


def test_a_centre_is_for_boxes_outside(tmp_path):
    """What the boxes of other schools call is reached from outside, and from no filtered network; on loopback by nobody."""
    ruleset = render(make_plan(policy(tmp_path), settings(centre={"listen": "[::]:8443"})))
    deliver = rules(ruleset, "deliver")
    assert deliver.index("tcp dport 8443 accept") > next(
        number for number, rule in enumerate(deliver) if rule.startswith("iifname vmap")
    )
    assert "8443" in rules(ruleset, "deliver_pupils")[-2]
    assert "8443 accept" not in "".join(rules(ruleset, "deliver_pupils"))
    closed = rules(
        render(make_plan(policy(tmp_path), settings(centre={"listen": "127.0.0.1:8443"}))), "deliver"
    )
    assert not any("8443 accept" in rule for rule in closed)


@pytest.mark.parametrize(
    ("ntp", "captured", "door", "through"),
    [("box", True, True, False), ("allow", False, False, True), ("refuse", False, False, False)],
)
def test_the_time(tmp_path, ntp, captured, door, through):
    """`box`: whoever is asked, the box answers, and nobody outside; `allow`: plain questions go out; `refuse`: none."""
    ruleset = render(make_plan(policy(tmp_path), settings(firewall={"ntp": ntp})))
    assert ("udp dport 123 redirect to :123" in rules(ruleset, "capture_pupils")) is captured
    assert ("udp dport 123 accept" in rules(ruleset, "deliver_pupils")) is door
    assert (
        'oifname "wan0" udp dport 123 udp length 56' in "".join(rules(ruleset, "forward_pupils"))
    ) is through
    assert ("123" in rules(ruleset, "deliver")[-1].replace("5353", "")) is door


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"firewall": {"ntp": "allow"}},
        {"firewall": {"ntp": "refuse", "masquerade": False}},
        {"firewall": {"trusted": ["mgmt0", "mgmt1"], "admin": ["10.10.0.20/32", "fd00:10::20/128"]}},
        {
            "portal": {
                "listen": "[::]:8000",
                "listen_tls": "[::]:8443",
                "url": "https://filter.school.example",
            }
        },
        {"proxy": {**BOX["proxy"], "explicit": "10.10.0.1:3128", "workers": 2}},
        {"rpz": {"listen": ["[::]:5354"], "secondaries": {"one": {"address": "10.10.0.53", "unsigned": True}}}},
        {"centre": {"listen": "[::]:8444"}},
    ],
    ids=["plain", "ntp", "refuse", "trusted", "tls", "explicit", "rpz", "centre"],
)  # fmt: skip
def test_nft_takes_every_variant(tmp_path, changes):
    """Whatever the settings say, `nft --check` has nothing to say about what comes of it."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    ruleset = render(make_plan(policy(tmp_path, PASSES), settings(**changes)))
    done = subprocess.run(
        ["unshare", "--net", "nft", "--check", "-f", "-"], input=ruleset, capture_output=True, text=True, check=False
    )  # fmt: skip
    if "not permitted" in done.stderr:
        pytest.skip("the firewall may not be looked at here")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"interfaces": {}}, "interfaces: none of the policy's networks has one; available: staff, pupils, guests"),
        ({"interfaces": {**BOX["interfaces"], "pupil": "vlan21"}}, "interfaces.pupil: no such network in the policy"),
        ({"interfaces": {"staff": "vlan10", "pupils": "vlan10"}}, "interfaces.pupils: vlan10 is interfaces.staff already"),
        ({"interfaces": {"staff": 'x"; }'}}, "is no name of an interface"),
        ({"proxy": {"transparent": {"staff": 8410, "pupils": 8420}}}, "proxy.transparent.guests: no port"),
        ({"dns": {"listen": ["127.0.0.1:5353"]}}, "dns.listen: 127.0.0.1:5353: not reachable over IPv4 from staff"),
        ({"portal": {"listen": "0.0.0.0:8000"}}, 'portal.listen: 0.0.0.0:8000: not reachable over IPv6 from staff; "[::]:8000" takes'),
        ({"dns": {"listen": ["0.0.0.0:5353"]}}, 'not reachable over IPv6 from staff; add "[::]:5353"'),
    ],
)  # fmt: skip
def test_what_no_firewall_can_be_made_from(tmp_path, changes, line):
    """A setting that is missing or contradicts another is named, with what would do instead."""
    with pytest.raises(CannotPlan) as caught:
        make_plan(policy(tmp_path), settings(**changes))
    assert any(line in found for found in caught.value.lines), caught.value.lines


@pytest.mark.parametrize(
    ("passes", "line"),
    [
        ("{to: 0.0.0.0/0, ports: tcp 22, reason: x}", "`0.0.0.0/0` is too much of the internet for a pass; at most /8"),
        ("{to: 10.0.0.9, ports: tcp 0, reason: x}", "`tcp 0`: ports go from 1 to 65535"),
        ("{to: 10.0.0.9, ports: 9100, reason: x}", "a list is expected here, not the number 9100"),
        ("{to: 10.0.0.9, ports: sctp 5, reason: x}", "`sctp 5` is no port such as `tcp 9100` or `udp 3478-3481`"),
        ("{to: 127.0.0.1, ports: tcp 9153, reason: x}", "is nothing that a firewall could let through to"),
        ("{to: 10.0.0.9, ports: tcp 9100}", "reason"),
    ],
)  # fmt: skip
def test_mistakes_in_passes(tmp_path, passes, line):
    """A pass that opens too much or says too little is an error with its line."""
    (tmp_path / "policy.yaml").write_text(
        (ROOT / "policy.yaml").read_text().replace("    inspection: needed\n", f"    inspection: needed\n    passes: [{passes}]\n", 1)
    )  # fmt: skip
    done = schoolgate("policy", "check", "policy.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert line in done.stdout + done.stderr
    assert "policy.yaml:" in done.stdout + done.stderr


def test_the_command_prints_what_nft_accepts(tmp_path):
    """`schoolgate firewall` prints a ruleset that `nft --check` has nothing to say about."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    (tmp_path / "schoolgate.toml").write_text(
        '[dns]\nlisten = ["0.0.0.0:5353", "[::]:5353"]\n[proxy]\ntransparent = {pupils = 8420}\n'
        '[interfaces]\npupils = "vlan20"\n'
    )
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    done = schoolgate("firewall", "--settings", "schoolgate.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "networks.staff: no interface in [interfaces], so nothing of it is forwarded" in done.stderr
    checked = subprocess.run(
        ["unshare", "--net", "nft", "--check", "-f", "-"], input=done.stdout, capture_output=True, text=True, check=False
    )  # fmt: skip
    if "not permitted" in checked.stderr:
        pytest.skip("the firewall may not be looked at here")
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_without_interfaces_the_command_says_what_is_missing(tmp_path):
    """Defaults are no box between networks; the command says so and changes nothing."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    done = schoolgate("firewall", "--apply", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("interfaces: none of the policy's networks has one")
    assert schoolgate("firewall", "--apply", "--remove", cwd=tmp_path).returncode == 2


def test_every_technique_has_a_counter_of_its_own():
    """Whatever the classification names is counted, and no port means two things."""
    named = {*BY_PROTOCOL.values(), *BY_PAYLOAD.values(), *BY_PORT["tcp"].values(), *BY_PORT["udp"].values()}
    assert named <= set(COUNTED)
    assert len(set(COUNTED)) == len(COUNTED)


LISTED = [
    {"metainfo": {}},
    {"counter": {"family": "inet", "name": "dot_pupils", "table": "schoolgate", "packets": 3, "bytes": 180}},
    {"counter": {"family": "inet", "name": "ip_tunnel_year-5", "table": "schoolgate", "packets": 1, "bytes": 60}},
    {
        "set": {
            "name": "dot_4",
            "elem": [
                {"elem": {"val": {"concat": ["vlan20", "10.20.0.5"]}, "expires": 9, "counter": {"packets": 3, "bytes": 180}}}
            ],
        }
    },
    {"set": {"name": "dot_6"}},
    {"set": {"name": "else", "elem": [5]}},
]  # fmt: skip


def test_what_nft_says_is_read():
    """Counters become totals by technique and network, elements become who tried."""
    found = evidence.read({"vlan20": "pupils"}, LISTED)
    assert found == Evidence(
        (Refused(Technique.DOT, "pupils", 3, 180), Refused(Technique.IP_TUNNEL, "year-5", 1, 60)),
        (Tried(Technique.DOT, "pupils", "10.20.0.5", 3),),
    )


class Sink:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, str]] = []

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        self.seen.append((technique, network, address, host))


def test_only_what_is_new_is_told():
    """An address is told of when it appears and when it goes on; totals survive a reload of the ruleset."""
    looks = [
        Evidence((Refused(Technique.DOT, "pupils", 3, 0),), (Tried(Technique.DOT, "pupils", "10.20.0.5", 3),)),
        Evidence((Refused(Technique.DOT, "pupils", 3, 0),), (Tried(Technique.DOT, "pupils", "10.20.0.5", 3),)),
        Evidence((Refused(Technique.DOT, "pupils", 5, 0),), (Tried(Technique.DOT, "pupils", "10.20.0.5", 5),)),
        Evidence((Refused(Technique.DOT, "pupils", 1, 0),), ()),
    ]  # fmt: skip
    sink, registry = Sink(), CollectorRegistry()
    reader = EvidenceReader(lambda: looks.pop(0), sink, registry)
    told = []
    for _ in range(4):
        assert reader.turn()
        told.append(len(sink.seen))
    assert told == [1, 1, 2, 2]
    assert sink.seen[0] == ("dot", "pupils", "10.20.0.5", "")
    labels = {"technique": "dot", "network": "pupils"}
    assert registry.get_sample_value("schoolgate_firewall_refused_packets_total", labels) == 6
    assert registry.get_sample_value("schoolgate_firewall_clients", labels) == 0
    assert registry.get_sample_value("schoolgate_firewall_loaded") == 1


def test_many_ways_within_a_minute_are_a_technique_of_their_own():
    """OpenVPN, PPTP, Tor and L2TP in a minute are what such programs do; QUIC and STUN are not held against anybody."""

    def look(*techniques: Technique) -> Evidence:
        return Evidence((), tuple(Tried(one, "pupils", "10.20.0.5", next(packets)) for one in techniques))

    packets, now = count(1), [0.0]
    some = (Technique.SSH, Technique.L2TP, Technique.QUIC, Technique.STUN)
    looks = [look(*some), look(Technique.OPENVPN), look(Technique.PPTP), look(Technique.TOR)]
    sink = Sink()
    reader = EvidenceReader(lambda: looks.pop(0), sink, CollectorRegistry(), lambda: now[0])
    told = []
    for seconds in (0, 61, 5, 5):  # at the second look the first ones are too long ago
        now[0] += seconds
        reader.turn()
        told.append([one for one, *_ in sink.seen].count(Technique.FAN_OUT))
    assert told == [0, 0, 0, 0]
    looks += [look(Technique.L2TP), look(Technique.L2TP)]
    reader.turn()
    reader.turn()
    assert [one for one in sink.seen if one[0] == Technique.FAN_OUT] == [
        ("fan_out", "pupils", "10.20.0.5", "")
    ]


def test_the_table_says_what_the_firewall_sees():
    """What it counts begins at 0 for each technique that the table says it sees, so the table must not lack one."""
    seen = {one.technique for one in table().values() if "firewall" in one.seen_by}
    assert seen == {*COUNTED, Technique.FAN_OUT}


def test_a_firewall_that_cannot_be_read_is_said():
    """Without the right to look, or without a ruleset, the metric says 0 and the reader goes on."""

    def fail() -> Evidence:
        raise FirewallError("nft: operation not permitted (run as root)")

    registry = CollectorRegistry()
    reader = EvidenceReader(fail, Sink(), registry)
    assert not reader.turn()
    assert registry.get_sample_value("schoolgate_firewall_loaded") == 0
