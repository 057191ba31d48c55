"""The settings of the box: defaults, file, environment, and what is said of mistakes."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from schoolgate.settings import Endpoint, Settings, system_resolvers
from schoolgate.settings_file import SettingsError, load_settings


def load(tmp_path, text, **environ):
    file = tmp_path / "schoolgate.toml"
    file.write_text(text)
    return load_settings(file, environ)


def test_defaults_listen_on_loopback_only(tmp_path, monkeypatch):
    """Without a file everything listens on loopback, on unprivileged ports."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {})
    assert settings == Settings()
    ends = [*settings.dns.listen, settings.proxy.explicit, settings.portal.listen, settings.metrics.dns]
    assert all(end.host == "127.0.0.1" and end.port > 1023 for end in ends)


def test_the_file_of_the_design_is_read(tmp_path):
    """Every documented key is understood."""
    settings = load(
        tmp_path,
        """
        state = "state"
        internal = ["10.1.0.0/24"]
        [dns]
        listen = ["127.0.0.1:5353", "[::1]:5353"]
        upstreams = ["198.51.100.53", "[2620:fe::fe]:5300", "tls://9.9.9.9#dns.quad9.net"]
        upstream_ca = "dns-roots.pem"
        cookie_secret = "cookie.hex"
        tunnel_carriers = 0
        workers = 1
        block_page_address = ["10.20.0.1", "fd00:20::1"]
        local_zones = ["Perryfields.Example."]
        [dns.zones]
        "AD.Perryfields.example" = ["10.10.0.2", "10.10.0.3"]
        [proxy]
        explicit = "127.0.0.1:8080"
        transparent = {staff = 8410, pupils = 8420, guests = 8430}
        upstream_ca = "extra-roots.pem"
        [portal]
        listen = "127.0.0.1:8000"
        url = "http://filter.perryfields.example"
        [metrics]
        dns = "127.0.0.1:9153"
        [interfaces]
        staff = "vlan10"
        [log]
        level = "debug"
        """,
    )
    assert settings.state == tmp_path / "state"
    assert settings.proxy.upstream_ca == tmp_path / "extra-roots.pem"
    assert settings.dns.listen[1] == Endpoint("::1", 5353)
    assert str(settings.dns.listen[1]) == "[::1]:5353"
    assert settings.dns.upstreams == (
        "198.51.100.53:53",
        "[2620:fe::fe]:5300",
        "tls://9.9.9.9:853#dns.quad9.net",
    )
    assert settings.dns.zones == {"ad.perryfields.example": ("10.10.0.2:53", "10.10.0.3:53")}
    assert settings.dns.upstream_ca == tmp_path / "dns-roots.pem"
    assert settings.dns.cookie_secret == tmp_path / "cookie.hex"
    assert settings.dns.local_zones == ("perryfields.example",)
    assert settings.internal == (ip_network("10.1.0.0/24"),)
    assert settings.proxy.transparent == {"staff": 8410, "pupils": 8420, "guests": 8430}


def test_the_environment_wins(tmp_path):
    """A variable overrides the file, in the spelling of its kind: lists by commas, tables by equals signs."""
    settings = load(
        tmp_path,
        '[dns]\nlisten = ["127.0.0.1:1111"]\n[portal]\nurl = "http://a.example"\n',
        SCHOOLGATE_STATE="/var/lib/schoolgate",
        SCHOOLGATE_DNS_LISTEN="127.0.0.1:2222, [::1]:3333",
        SCHOOLGATE_DNS_ZONES="ad.example=10.10.0.2, ad.example=10.10.0.3,10.in-addr.arpa=10.10.0.2",
        SCHOOLGATE_PROXY_TRANSPARENT="staff=8410,pupils=8420",
        SCHOOLGATE_INTERNAL="10.0.0.0/8,fd00::/8",
        SCHOOLGATE_POLICY="ignored here",
        OTHER="ignored",
    )
    assert settings.state == Path("/var/lib/schoolgate")
    assert settings.dns.listen == (Endpoint("127.0.0.1", 2222), Endpoint("::1", 3333))
    assert settings.proxy.transparent == {"staff": 8410, "pupils": 8420}
    assert settings.dns.zones == {
        "ad.example": ("10.10.0.2:53", "10.10.0.3:53"),
        "10.in-addr.arpa": ("10.10.0.2:53",),
    }
    assert len(settings.internal) == 2
    assert settings.portal.url == "http://a.example"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stat = 'x'", "{f}: stat: no such setting; did you mean `state`?"),
        ("[dns]\nlisten = '127.0.0.1'", "{f}: dns.listen.0: `127.0.0.1` is not ADDRESS:PORT"),
        ("[dns]\nlisten = ['::1:53']", "{f}: dns.listen.0: `::1:53` is not ADDRESS:PORT"),
        ("[dns]\nlisten = []", "{f}: dns.listen: at least one is needed"),
        (
            "[dns]\nlisten = ['localhost:53']",
            "{f}: dns.listen.0: `localhost:53`: `localhost` is not an IP address",
        ),
        (
            "[dns]\nlisten = ['127.0.0.1:65536']",
            "{f}: dns.listen.0: `127.0.0.1:65536`: a port is at most 65535",
        ),
        ("[dns]\nupstreams = ['dns.google']", "{f}: dns.upstreams.0: `dns.google` is not a resolver"),
        ("[dns]\nupstreams = [53]", "{f}: dns.upstreams.0: `53` is not a resolver"),
        (
            "[dns]\nupstreams = ['9.9.9.9#x.example']",
            "{f}: dns.upstreams.0: `9.9.9.9#x.example`: only tls://",
        ),
        ("[dns.zones]\n'ad.example' = []", "{f}: dns.zones.ad.example: "),
        ("[dns]\ntunnel_names = -1", "{f}: dns.tunnel_names: input should be greater than or equal to 0"),
        ("[dns]\nworkers = 0", "{f}: dns.workers: input should be greater than or equal to 1"),
        (
            "[dns]\nworkers = 2\nlisten = ['127.0.0.1:0']",
            "{f}: dns.workers: several processes need a port to share; dns.listen says 0",
        ),
        (
            "[proxy]\nworkers = 11\ntransparent = {staff = 8410, pupils = 8420}",
            "{f}: proxy: proxy.transparent.pupils: port 8420 is staff's already; 11 workers take as many ports",
        ),
        ("[proxy]\nworkers = 65", "{f}: proxy.workers: input should be less than or equal to 64"),
        ("[dns]\nlocal_zones = ['a b']", "{f}: dns.local_zones.0: 'a b' is not a host name"),
        ("internal = ['10.1.2.3/8']", "{f}: internal.0: `10.1.2.3/8` is not a range of addresses"),
        (
            "[dns]\nblock_page_address = ['here']",
            "{f}: dns.block_page_address.0: `here` is not an IP address",
        ),
        ("[proxy]\nexplicit = 8080", "{f}: proxy.explicit: `8080` is not ADDRESS:PORT in quotes"),
        ("[proxy]\ntransparent = {staff = 99999}", "{f}: proxy.transparent.staff: input should be less than"),
        ("[portal]\nurl = 'filter'", "{f}: portal.url: `filter` is not the address of a site"),
        ("[log]\nlevel = 'loud'", "{f}: log.level: input should be 'debug', 'info', 'warning' or 'error'"),
        ("dns = 5", "{f}: dns: input should be a valid dictionary"),
        (
            "[portal]\nlisten = '127.0.0.1:8080'",
            "{f}: portal.listen and proxy.explicit are both 127.0.0.1:8080",
        ),
        ("[dns", "{f}: expected ']'"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path, text, line):
    """Each mistake is said in one line, with the file, the key, and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    (said,) = caught.value.lines
    assert "\n" not in said
    assert said.startswith(line.format(f=tmp_path / "schoolgate.toml"))


def test_a_mistake_in_the_environment_names_the_variable(tmp_path):
    """A wrong variable is named as the person wrote it."""
    with pytest.raises(SettingsError, match=r"^SCHOOLGATE_DNS_LISTEN: `53` is not ADDRESS:PORT"):
        load(tmp_path, "", SCHOOLGATE_DNS_LISTEN="53")
    with pytest.raises(
        SettingsError, match=r"^SCHOOLGATE_DNS_LISTN: no such setting; did you mean `SCHOOLGATE_DNS_LISTEN`"
    ):
        load(tmp_path, "", SCHOOLGATE_DNS_LISTN="53")
    with pytest.raises(SettingsError, match=r"dns: input should be a valid dictionary"):
        load(tmp_path, "dns = 5", SCHOOLGATE_DNS_LISTEN="127.0.0.1:53")


def test_all_mistakes_at_once(tmp_path):
    """Several mistakes give several lines."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, "stat = 1\n[dns]\nlisen = 1\n[log]\nlevel = 1\n")
    assert len(caught.value.lines) == 3


def test_a_file_that_is_asked_for_must_exist(tmp_path):
    """A settings file that was named and is not there is an error, not a silent default."""
    with pytest.raises(SettingsError, match="cannot be read: no such file or directory"):
        load_settings(tmp_path / "none.toml", {})


def test_system_resolvers(tmp_path):
    """The system's resolvers are read in order; what cannot be asked is left out."""
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver fe80::1%eth0x y\nnameserver\nnameserver 2001:db8::1\nnameserver no\n"
    )
    assert system_resolvers(file) == (
        Endpoint("192.0.2.1", 53),
        Endpoint("fe80::1%eth0x", 53),
        Endpoint("2001:db8::1", 53),
    )
    assert system_resolvers(tmp_path / "none") == ()
