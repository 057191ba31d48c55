"""From an address to its network and devices."""

import pytest
from policies import policy_of

from schoolgate_policy.clients import Client, ClientDirectory, parse_range


def directory(body: str = "") -> ClientDirectory:
    """Return the directory of the usual networks and devices."""
    policy = policy_of(body)
    return ClientDirectory(policy.networks, policy.devices, policy.unknown_clients)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.10.3.4", Client("10.10.3.4", "staff")),
        ("10.20.0.5", Client("10.20.0.5", "pupils")),
        ("10.20.5.9", Client("10.20.5.9", "pupils", ("room-5",))),
        ("10.10.0.20", Client("10.10.0.20", "staff", ("office-pc",))),
        ("::ffff:10.10.0.20", Client("10.10.0.20", "staff", ("office-pc",))),
        ("fd00:10::7", Client("fd00:10::7", "staff")),
        ("FD00:20:0::7", Client("fd00:20::7", "pupils")),
        ("fe80::1%eth0", Client("fe80::1", "pupils", known=False)),
        ("192.0.2.1", Client("192.0.2.1", "pupils", known=False)),
        ("nonsense", Client("nonsense", "pupils", known=False)),
    ],
)
def test_who_an_address_is(address: str, client: Client) -> None:
    """Every address has rules; one in no network has those of `unknown_clients`."""
    assert directory().identify(address) == client


def test_the_longest_prefix_wins() -> None:
    """A network inside another one owns its addresses, whatever the order in the file."""
    head = """\
version: 1
school: {name: T}
networks:
  site: {people: pupil, addresses: [10.0.0.0/8, "::/0"], otherwise: allow}
  lab: {people: staff, addresses: [10.20.5.0/24, 10.20.5.7], otherwise: allow}
  inner: {people: staff, addresses: [10.20.5.128/25], otherwise: allow}
unknown_clients: site
"""
    policy = policy_of("", head)
    found = ClientDirectory(policy.networks, policy.devices, "site")
    assert [found.identify(f"10.20.5.{last}").network for last in (7, 9, 129)] == ["lab", "lab", "inner"]
    assert found.identify("10.20.6.1").network == "site"
    assert found.identify("2001:db8::1").network == "site"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.20.0.5/16", "did you mean `10.20.0.0/16`"),
        ("10.20.0.0/33", "no address and no range"),
        ("ten", "no address and no range"),
    ],
)
def test_wrong_ranges_say_what_is_right(text: str, message: str) -> None:
    """A range with a slip in it names the range that was meant."""
    with pytest.raises(ValueError, match=message):
        parse_range(text)


def test_mapped_ranges_are_ipv4() -> None:
    """`::ffff:10.20.0.0/112` is 10.20.0.0/16."""
    assert str(parse_range("::ffff:10.20.0.0/112")) == "10.20.0.0/16"
