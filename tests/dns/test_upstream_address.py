"""How upstreams are named in the settings."""

import pytest

from schoolgate_dns import Upstream, parse_upstream


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("9.9.9.9", Upstream("9.9.9.9")),
        ("9.9.9.9:5353", Upstream("9.9.9.9", 5353)),
        ("udp://9.9.9.9", Upstream("9.9.9.9")),
        ("udp://9.9.9.9:54", Upstream("9.9.9.9", 54)),
        ("2620:fe::fe", Upstream("2620:fe::fe")),
        ("2620:FE:0::fe", Upstream("2620:fe::fe")),
        ("2001:db8::1:53", Upstream("2001:db8::1:53")),
        ("[2620:fe::fe]", Upstream("2620:fe::fe")),
        ("[2620:fe::fe]:5353", Upstream("2620:fe::fe", 5353)),
        ("tls://9.9.9.9", Upstream("9.9.9.9", 853, tls=True)),
        ("tls://9.9.9.9#DNS.Quad9.net.", Upstream("9.9.9.9", 853, tls=True, tls_name="dns.quad9.net")),
        ("tls://[2620:fe::fe]:8853#dns.quad9.net", Upstream("2620:fe::fe", 8853, True, "dns.quad9.net")),
    ],
)
def test_names_of_upstreams(text, meant):
    """Each spelling means one resolver, and what is printed for it means it again."""
    assert parse_upstream(text) == meant
    assert parse_upstream(str(meant)) == meant


@pytest.mark.parametrize(
    "text",
    ["", "dns.google", "9.9.9.9:0", "9.9.9.9:70000", "9.9.9.9:x", "9.9.9.9#dns.quad9.net", "https://9.9.9.9/dns-query",
     "tls://9.9.9.9#-", "tls://9.9.9.9#", "tls://dns.quad9.net", "[9.9.9.9", "9.9.9.9 8.8.8.8", "tls://", "9.9.9"],
)  # fmt: skip
def test_mistakes_are_one_clear_line(text):
    """What names no resolver is refused, with what would."""
    with pytest.raises(ValueError, match="`") as caught:
        parse_upstream(text)
    assert "\n" not in str(caught.value)
