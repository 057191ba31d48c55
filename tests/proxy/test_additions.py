"""What the proxy adds to requests on opened connections: filtered search, and whose accounts may sign in."""

from typing import Any

import pytest

GUEST, STAFF, PUPIL = "127.0.30.5", "127.0.10.5", "127.0.20.5"
DIRECTORY, RULES = "1a2b3c4d-0000-4000-8000-1a2b3c4d5e6f", "99999999-0000-4000-8000-1a2b3c4d5e6f"


def asked(internet: Any, host: str, path: str = "/", address: str = PUPIL, headers: str = "") -> Any:
    """Ask for a page and return what reached an origin."""
    reply = internet.get(host, path, address, headers=headers)
    assert reply.startswith(b"HTTP/1.1 200 "), reply[:300]
    [seen] = internet.origin.seen + internet.elsewhere.seen
    return seen


@pytest.mark.parametrize(
    ("host", "path", "wanted"),
    [
        ("www.google.co.uk", "/search?q=cats", "/search?q=cats&safe=active"),
        ("www.google.com", "/search?safe=off&q=cats&s%61fe=images", "/search?q=cats&safe=active"),
        ("www.bing.com", "/images/search?q=cats&adlt=off", "/images/search?q=cats&adlt=strict"),
        ("duckduckgo.com", "/?q=cats&kp=-2", "/?q=cats&kp=1"),
        ("search.brave.com", "/search?q=cats", "/search?q=cats&safesearch=strict"),
        ("www.google.com", "/", "/"),
        ("www.google.com", "/complete?x=1", "/complete?x=1"),
    ],
)
def test_searches_are_filtered(internet: Any, host: str, path: str, wanted: str) -> None:
    """A search asks for filtered results whatever the client asked for; other requests stay as they are."""
    internet.use_policy("rules: []", network="safe_search: strict")
    assert asked(internet, host, path).path == wanted


@pytest.mark.parametrize(("strength", "word"), [("strict", "Strict"), ("moderate", "Moderate")])
def test_youtube_is_restricted_by_header(internet: Any, strength: str, word: str) -> None:
    """YouTube is asked for its Restricted Mode, in the place of what the client says."""
    internet.use_policy("rules: []", network=f"safe_search: {{youtube: {strength}}}")
    seen = asked(internet, "www.youtube.com", "/watch?v=1", headers="YouTube-Restrict: none\r\n")
    assert seen.headers["youtube-restrict"] == [word]


def test_filtered_address_serves_connections_that_are_not_opened(internet: Any) -> None:
    """Without inspection the search engine is dialled where it serves filtered results, under its own name."""
    internet.names.special["forcesafesearch.google.com"] = [("127.0.0.1", internet.elsewhere.https)]
    internet.use_policy("rules: []", network="safe_search: strict")
    seen = asked(internet, "www.google.com", "/search?q=cats", GUEST)
    assert (seen.origin, seen.sni, seen.path) == ("B", "www.google.com", "/search?q=cats")


def test_connections_are_opened_only_where_something_is_added(internet: Any) -> None:
    """On a `needed` network a search engine is opened, and a site to which nothing is added is not."""
    internet.use_policy("rules: []", network="safe_search: strict")
    assert asked(internet, "www.bing.com", "/search?q=cats", STAFF).path.endswith("adlt=strict")
    internet.origin.seen.clear()
    assert asked(internet, "fine.example", "/search?q=cats", STAFF).path == "/search?q=cats"
    staff = internet.source.engine.policy.networks["staff"]
    assert staff.inspection == "needed"


ACCOUNTS = f"accounts: {{google: [school.example, trust.example], microsoft: {{directory: {DIRECTORY}, tenants: school.example}}}}"


@pytest.mark.parametrize("address", [PUPIL, STAFF])
def test_accounts_are_the_schools(internet: Any, address: str) -> None:
    """Google and Microsoft are told whose accounts may sign in, on their own hosts and nowhere else."""
    internet.use_policy("rules: []", network=ACCOUNTS)
    forged = "X-GoogApps-Allowed-Domains: gmail.example\r\n"
    google = asked(internet, "accounts.google.com", "/signin", address, forged).headers
    assert google["x-googapps-allowed-domains"] == ["school.example,trust.example"]
    internet.origin.seen.clear()
    microsoft = asked(internet, "login.microsoftonline.com", "/", address).headers
    assert microsoft["restrict-access-to-tenants"] == ["school.example"]
    assert microsoft["restrict-access-context"] == [DIRECTORY]
    internet.origin.seen.clear()
    assert asked(internet, "login.live.com", "/", address).headers["sec-restrict-tenant-access-policy"] == [
        "restrict-msa"
    ]
    internet.origin.seen.clear()
    other = asked(internet, "notgoogle.com", "/", address).headers
    assert not {"x-googapps-allowed-domains", "restrict-access-context"} & other.keys()


def test_tenant_restrictions_of_the_second_version(internet: Any) -> None:
    """A policy of the directory is named instead of tenants, also where private accounts sign in."""
    second = f"accounts: {{microsoft: {{directory: {DIRECTORY}, policy: {RULES}}}}}"
    internet.use_policy("rules: []", network=second)
    for host in ("login.microsoft.com", "login.live.com"):
        internet.origin.seen.clear()
        seen = asked(internet, host)
        assert seen.headers["sec-restrict-tenant-access-policy"] == [f"{DIRECTORY}:{RULES}"]
        assert "restrict-access-context" not in seen.headers
