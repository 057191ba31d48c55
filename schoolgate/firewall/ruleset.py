"""Writes a plan as one nftables ruleset: deterministic, commented, loaded in one atomic transaction.

What it guarantees, whatever else happens: packets of a filtered network leave the box only by a pass that the policy
names; a proxy that is down is a refused connection.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from schoolgate.firewall.plan import Plan, Vlan
from schoolgate.firewall.techniques import BY_PAYLOAD, BY_PORT, BY_PROTOCOL, COUNTED
from schoolgate_policy.model import IPNetwork, Pass
from schoolgate_policy.technique import Technique

TABLE = "schoolgate"
SET_SIZE = 4096  # addresses remembered for each technique and family
SET_TIMEOUT = "1h"
_SEED = 0x5C001  # any number will do: a fixed one keeps clients with their workers when rules are loaded anew
_COMMENT_OCTETS = 120  # nftables takes 128
_HEAD = f"""\
#!/usr/sbin/nft -f
# The firewall of Schoolgate, written by `schoolgate firewall`. Do not edit: change policy.yaml or schoolgate.toml.
# One transaction: either all of it is in force or what was before.

table inet {TABLE}
delete table inet {TABLE}
"""


def render(plan: Plan) -> str:
    """Return the ruleset as a script for `nft -f`."""
    parts = (
        _evidence(plan),
        _sources(plan),
        _redirects(plan),
        _deliveries(plan),
        _forwards(plan),
        _leaving(plan),
        _classify(),
        _techniques(plan),
        _refuse(),
    )
    blocks = "\n\n".join("\n".join(part) for part in map(list, parts) if part)
    return f"{_HEAD}\ntable inet {TABLE} {{\n{blocks}\n}}\n"


# -- how things are written ------------------------------------------------------------------------------------


def _chain(name: str, rules: Iterable[str], base: str = "", about: str = "") -> Iterator[str]:
    if about:
        yield f"\t# {about}"
    yield f"\tchain {name} {{"
    if base:
        yield f"\t\ttype {base}"
    yield from (f"\t\t{rule}" for rule in rules)
    yield "\t}"


def _several(items: Iterable[object]) -> str:
    return f"{{ {', '.join(map(str, items))} }}"


def _verdicts(plan: Plan, prefix: str) -> str:
    return _several(f'"{vlan.interface}" : goto {prefix}_{vlan.network}' for vlan in plan.vlans)


def _names(interfaces: Iterable[str]) -> str:
    return _several(f'"{name}"' for name in interfaces)


def _family(networks: Iterable[IPNetwork], version: int) -> list[IPNetwork]:
    found = {one for one in networks if one.version == version}
    return sorted(
        (one for one in found if not any(one != other and one.subnet_of(other) for other in found)),  # type: ignore[arg-type]
        key=lambda one: (int(one.network_address), one.prefixlen),
    )


def _comment(text: str) -> str:
    safe = "".join(character for character in text.replace('"', "'") if character.isprintable())
    return safe.replace("\\", "/").encode()[:_COMMENT_OCTETS].decode(errors="ignore")


# -- evidence --------------------------------------------------------------------------------------------------


def _evidence(plan: Plan) -> Iterator[str]:
    yield "\t# What was refused, by technique and network; and who tried within the last hour."
    for technique in COUNTED:
        yield from (f"\tcounter {technique}_{vlan.network} {{ }}" for vlan in plan.vlans)
    for technique in COUNTED:
        for family, key in (("4", "ip saddr"), ("6", "ip6 saddr")):
            yield f"\tset {technique}_{family} {{"
            yield f"\t\ttypeof iifname . {key}"
            yield f"\t\tsize {SET_SIZE}"
            yield "\t\tflags dynamic,timeout"
            yield f"\t\ttimeout {SET_TIMEOUT}"
            yield "\t\tcounter"
            yield "\t}"


def _techniques(plan: Plan) -> Iterator[str]:
    """Count, remember who it was, and turn away. A full set ends its rule, so the verdict stands in one of its own."""
    for technique in COUNTED:
        counters = _several(f'"{vlan.interface}" : "{technique}_{vlan.network}"' for vlan in plan.vlans)
        rules = [
            f"counter name iifname map {counters}",
            f"update @{technique}_4 {{ iifname . ip saddr }}",
            f"update @{technique}_6 {{ iifname . ip6 saddr }}",
        ]
        if technique is Technique.SPOOFED_SOURCE:
            rules.append("drop")  # an answer would go to whoever really has the address
        yield from _chain(f"seen_{technique}", rules)
        if technique is not Technique.SPOOFED_SOURCE:
            yield from _chain(f"refuse_{technique}", [f"jump seen_{technique}", "goto refuse"])


def _refuse() -> Iterator[str]:
    rules = ["meta l4proto tcp reject with tcp reset", "reject with icmpx port-unreachable"]
    yield from _chain("refuse", rules, about="Refused, not dropped: programs give up at once.")


def _classify() -> Iterator[str]:
    protocols = _several(f"{number} : goto refuse_{one}" for number, one in sorted(BY_PROTOCOL.items()))
    rules = [f"meta l4proto vmap {protocols}"]
    rules += [f"{match} goto refuse_{technique}" for match, technique in BY_PAYLOAD.items()]
    rules += [f"{protocol} dport vmap {_ports(ports)}" for protocol, ports in BY_PORT.items()]
    rules.append(f"goto refuse_{Technique.OTHER_PORT}")
    yield from _chain("classify", rules, about="Which way round the filter this looks like.")


def _ports(ports: Mapping[int, Technique]) -> str:
    return _several(f"{port} : goto refuse_{technique}" for port, technique in sorted(ports.items()))


# -- what arrives ----------------------------------------------------------------------------------------------


def _sources(plan: Plan) -> Iterator[str]:
    rules = [f"iifname vmap {_verdicts(plan, 'source')}"]
    if plan.wan:
        for key, version in (("ip", 4), ("ip6", 6)):
            inside = _family((source for vlan in plan.vlans for source in vlan.sources), version)
            if inside:
                rules.append(f'iifname "{plan.wan}" {key} saddr {_several(inside)} drop')
    about = "Whose rules apply is told by the interface; an address of another network does not help."
    yield from _chain("arrive", rules, "filter hook prerouting priority raw; policy accept;", about)
    for vlan in plan.vlans:
        yield from _chain(f"source_{vlan.network}", _own_sources(vlan))


def _own_sources(vlan: Vlan) -> Iterator[str]:
    if four := _family(vlan.sources, 4):
        yield f"ip saddr {_several(four)} accept"
    six = [str(one) for one in _family(vlan.sources, 6)]
    yield f"ip6 saddr {_several([*six, 'fe80::/10', '::'])} accept"
    yield "ip saddr 0.0.0.0 udp dport 67 accept"
    yield "ip saddr 169.254.0.0/16 drop"  # a device without a lease
    yield f"goto seen_{Technique.SPOOFED_SOURCE}"


def _redirects(plan: Plan) -> Iterator[str]:
    about = (
        "Names go to the sinkhole and the web to the proxy port of the network, whatever address was dialled."
    )
    base = "nat hook prerouting priority dstnat; policy accept;"
    yield from _chain("capture", [f"iifname vmap {_verdicts(plan, 'capture')}"], base, about)
    for vlan in plan.vlans:
        yield from _chain(f"capture_{vlan.network}", _captures(plan, vlan))


def _captures(plan: Plan, vlan: Vlan) -> Iterator[str]:
    yield from chain.from_iterable(_pass(one, "accept") for one in vlan.passes)
    dns = "meta l4proto { tcp, udp } th dport 53"
    yield f"{dns} fib daddr type != local jump seen_{Technique.FOREIGN_DNS}"
    for version, port in sorted(vlan.dns_ports.items()):
        yield f"meta nfproto ipv{version} {dns} redirect to :{port}"
    if plan.ntp == "box":
        yield "udp dport 123 redirect to :123"
    if vlan.portal_port:
        yield f"tcp dport 80 fib daddr type local redirect to :{vlan.portal_port}"
    if vlan.portal_tls_port:
        yield f"tcp dport 443 fib daddr type local redirect to :{vlan.portal_tls_port}"
    yield from _to_the_proxy(vlan)


def _to_the_proxy(vlan: Vlan) -> Iterator[str]:
    """Send the web to the proxy; with several workers a client meets the same one every time, told by its address."""
    ports = vlan.proxy_ports
    if len(ports) == 1:
        yield f"tcp dport {{ 80, 443 }} redirect to :{ports[0]}"
        return
    workers = _several(f"{number} : {port}" for number, port in enumerate(ports))
    for version, key in ((4, "ip saddr"), (6, "ip6 saddr")):
        spread = f"jhash {key} mod {len(ports)} seed 0x{_SEED:x} map {workers}"
        yield f"meta nfproto ipv{version} tcp dport {{ 80, 443 }} redirect to :{spread}"


def _pass(one: Pass, verdict: str) -> Iterator[str]:
    """Write one pass of the policy, by family and protocol."""
    for key, version in (("ip", 4), ("ip6", 6)):
        to = _family(one.to, version)
        for protocol in ("tcp", "udp"):
            ports = [str(each.ports) for each in one.ports if each.protocol == protocol]
            if to and ports:
                comment = _comment(one.reason)
                yield (
                    f"{key} daddr {_several(to)} {protocol} dport {_several(ports)} "
                    f'{verdict} comment "{comment}"'
                )


# -- what is for the box itself --------------------------------------------------------------------------------


def _deliveries(plan: Plan) -> Iterator[str]:
    rules = [
        'iifname "lo" accept',
        "ct direction reply ct state established,related accept",
    ]
    if plan.trusted:
        rules.append(f"iifname {_names(plan.trusted)} accept")
    rules += _zones(plan)
    rules.append(f"iifname vmap {_verdicts(plan, 'deliver')}")
    if plan.centre_port:  # boxes prove who they are by certificates
        rules.append(f"tcp dport {plan.centre_port} accept")
    rules += [
        f"tcp dport {_several(plan.own_tcp)} goto refuse",
        f"udp dport {_several(plan.own_udp)} goto refuse",
    ]
    about = "The box itself: only what was redirected reaches the parts, and nothing of ours is open to the internet."
    yield from _chain("deliver", rules, "filter hook input priority filter; policy accept;", about)
    for vlan in plan.vlans:
        yield from _chain(f"deliver_{vlan.network}", _own_doors(plan, vlan))


def _zones(plan: Plan) -> Iterator[str]:
    """Let the resolvers that the settings name have the zones, from wherever they are."""
    for key, version in (("ip", 4), ("ip6", 6)):
        if plan.zone_ports and (known := _family(plan.secondaries, version)):
            ports = _several(plan.zone_ports)
            yield f"{key} saddr {_several(known)} meta l4proto {{ tcp, udp }} th dport {ports} accept"


def _own_doors(plan: Plan, vlan: Vlan) -> Iterator[str]:
    dns = sorted(set(vlan.dns_ports.values()))
    redirected = {*vlan.proxy_ports, *dns, *filter(None, (vlan.portal_port, vlan.portal_tls_port))}
    yield f"ct status dnat tcp dport {_several(sorted(redirected))} accept"
    yield f"ct status dnat udp dport {_several(dns)} accept"
    if 53 in dns:
        yield "meta l4proto { tcp, udp } th dport 53 accept"
    if vlan.open_ports:
        yield f"tcp dport {_several(sorted(set(vlan.open_ports)))} accept"
    if plan.ntp == "box":
        yield "udp dport 123 accept"
    yield "udp dport { 67, 547 } accept"  # DHCP
    yield "icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept"
    yield (
        "icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, "
        "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report, "
        "nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept"
    )
    for key, version in (("ip", 4), ("ip6", 6)):
        if admin := _family(plan.admin, version):
            yield f"{key} saddr {_several(admin)} tcp dport 22 accept"
    yield "fib daddr type { broadcast, multicast } drop"  # devices announcing themselves
    # Android asks the server that DHCP named, and no other, whether it can do DNS over TLS: not what somebody did.
    yield f"meta l4proto {{ tcp, udp }} th dport 853 goto refuse_{Technique.PRIVATE_DNS}"
    yield f"tcp dport {_several(plan.own_tcp)} goto refuse_{Technique.PROXY_DIRECT}"
    yield "goto classify"


# -- what would go through -------------------------------------------------------------------------------------


def _forwards(plan: Plan) -> Iterator[str]:
    rules = [
        "ct direction reply ct state established,related accept",
        "meta l4proto { icmp, ipv6-icmp } ct state related accept",
    ]
    if plan.trusted:
        rules.append(f"iifname {_names(plan.trusted)} accept")
    rules.append(f"iifname vmap {_verdicts(plan, 'forward')}")
    about = "Nothing goes through the box but what the policy names as a pass; the passes hold for each packet anew."
    yield from _chain("forward", rules, "filter hook forward priority filter; policy drop;", about)
    for vlan in plan.vlans:
        yield from _chain(f"forward_{vlan.network}", _ways_through(plan, vlan))


def _ways_through(plan: Plan, vlan: Vlan) -> Iterator[str]:
    yield from chain.from_iterable(_pass(one, "accept") for one in vlan.passes)
    if plan.ntp == "allow" and plan.wan:
        yield f'oifname "{plan.wan}" udp dport 123 udp length 56 accept comment "time, without extensions"'
    yield "goto classify"


def _leaving(plan: Plan) -> Iterator[str]:
    if not (plan.masquerade and plan.wan):
        return
    inside = _family((source for vlan in plan.vlans for source in vlan.sources), 4)
    if inside:
        rules = [f'oifname "{plan.wan}" ip saddr {_several(inside)} masquerade']
        about = "What passes has the box's own address outside."
        yield from _chain("leave", rules, "nat hook postrouting priority srcnat; policy accept;", about)
