"""The records of a zone: from a node to octets for a transfer, and to text for people."""

import struct
from collections.abc import Iterator
from ipaddress import ip_address

from schoolgate_dns.rpz.acts import DENY, EMPTY, OPEN, PAGE, PASS, TWIN
from schoolgate_dns.rpz.names_file import name_of
from schoolgate_dns.rpz.tsig import wire_name
from schoolgate_dns.rpz.zone import Node, Version
from schoolgate_dns.wire import HEADER, IN, RECORD, Qtype

ORIGIN_AT = 0xC000 | HEADER.size  # the zone's name, which is the question of every message of a transfer
REFRESH, RETRY, EXPIRE = 60, 10, 30 * 86_400  # seconds: who cannot reach us goes on blocking for a month
_MAIL, _SERVER = wire_name("hostmaster.schoolgate.invalid"), wire_name("schoolgate.invalid")
_CNAMES = {
    PASS: wire_name("rpz-passthru"),
    OPEN: wire_name("rpz-passthru"),
    DENY: b"\0",
    EMPTY: b"\x01*\0",
}
_CNAME_TEXT = {PASS: "rpz-passthru.", OPEN: "rpz-passthru.", DENY: ".", EMPTY: "*."}
_POINTER = struct.pack("!H", ORIGIN_AT)


def soa(serial: int, ttl: int) -> bytes:
    """Return the SOA record of a zone."""
    rdata = _SERVER + _MAIL + struct.pack("!IIIII", serial, REFRESH, RETRY, EXPIRE, ttl)
    return _POINTER + RECORD.pack(Qtype.SOA, IN, ttl, len(rdata)) + rdata


def name_server(ttl: int) -> bytes:
    """Return the NS record that a zone has to have; nobody asks it."""
    rdata = wire_name("localhost")
    return _POINTER + RECORD.pack(Qtype.NS, IN, ttl, len(rdata)) + rdata


class Writer:
    """Writes the records of one version."""

    def __init__(self, version: Version) -> None:
        self._ttl = version.ttl
        self._data: dict[str, tuple[bytes, ...]] = {act: (self._cname(to),) for act, to in _CNAMES.items()}
        self._data[PAGE] = tuple(self._address(text) for text in version.pages) or self._data[DENY]

    def _cname(self, to: bytes) -> bytes:
        return RECORD.pack(Qtype.CNAME, IN, self._ttl, len(to)) + to

    def _address(self, text: str) -> bytes:
        address = ip_address(text)
        rtype = Qtype.A if address.version == 4 else Qtype.AAAA
        return RECORD.pack(rtype, IN, self._ttl, len(address.packed)) + address.packed

    def _of(self, act: str) -> tuple[bytes, ...]:
        found = self._data.get(act)
        if found is None:
            found = self._data[act] = (self._cname(wire_name(act.removeprefix(TWIN))),)
        return found

    def records(self, node: Node) -> Iterator[bytes]:
        """Yield the records of a node."""
        labels = [bytes([len(label)]) + label for label in node.key.split(b" ") if label]
        owner = b"".join(reversed(labels)) + _POINTER
        if node.exact is not None:
            for data in self._of(node.exact):
                yield owner + data
        if node.below is not None:
            for data in self._of(node.below):
                yield b"\x01*" + owner + data


def lines(node: Node, version: Version) -> Iterator[str]:
    """Yield the records of a node as a zone file has them, relative to the zone."""
    name = name_of(node.key) if node.key else ""
    for owner, act in ((name, node.exact), (f"*.{name}".removesuffix("."), node.below)):
        if act is None:
            continue
        if act == PAGE and version.pages:
            for text in version.pages:
                kind = "AAAA" if ":" in text else "A"
                yield f"{owner} {version.ttl} IN {kind} {text}"
        else:
            to = f"{act.removeprefix(TWIN)}." if act.startswith(TWIN) else _CNAME_TEXT.get(act, ".")
            yield f"{owner} {version.ttl} IN CNAME {to}"


def head_lines(origin: str, version: Version) -> Iterator[str]:
    """Yield the first lines of a zone file."""
    yield f"$ORIGIN {origin}."
    numbers = f"{version.serial} {REFRESH} {RETRY} {EXPIRE} {version.ttl}"
    yield f"@ {version.ttl} IN SOA schoolgate.invalid. hostmaster.schoolgate.invalid. {numbers}"
    yield f"@ {version.ttl} IN NS localhost."
