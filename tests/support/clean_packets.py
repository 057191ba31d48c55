"""What devices send by themselves besides DNS and the web (`tests/data/clean_packets`), and what the ruleset makes of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schoolgate.firewall.techniques import BY_PORT
from schoolgate_policy.technique import Technique

FOLDER = Path(__file__).parents[1] / "data" / "clean_packets"
SYSTEMS = ("windows", "chromeos", "ios", "android")
_STUN = bytes.fromhex("000100002112a442") + bytes(12)
_QUIC = b"\xc0\0\0\0\1" + bytes(1195)
_TO_BOX = {53, 67, 123}  # what the box itself answers


@dataclass(frozen=True)
class Packet:
    """One packet: `to` is `box`, `internet` or `everybody`."""

    minute: int
    protocol: str
    to: str
    port: int
    what: str

    @property
    def payload(self) -> bytes:
        """Return what is in it, as far as the ruleset looks."""
        if self.what == "stun":
            return _STUN
        return _QUIC if self.what == "quic" else os.urandom(40)

    @property
    def technique(self) -> Technique | None:
        """Return what the ruleset counts it as; None: nothing."""
        if self.to == "everybody" or self.port in _TO_BOX:
            return None
        if self.to == "box" and self.port == 853:
            return Technique.PRIVATE_DNS
        if self.what == "stun":
            return Technique.STUN
        return BY_PORT[self.protocol].get(self.port, Technique.OTHER_PORT)


def packets(system: str) -> Iterator[Packet]:
    """Yield what a system sends in half an hour, in order."""
    for line in (FOLDER / f"{system}.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            minute, protocol, to, port, what = line.split(maxsplit=4)
            yield Packet(int(minute), protocol, to, int(port), what)
