"""`accounts` in policy.yaml: what it may say, and what is added where."""

import pytest
from policies import HEAD, judge, policy_of, problems_of

from schoolgate_policy.additions import additions

GUID = "1a2b3c4d-0000-4000-8000-1a2b3c4d5e6f"


def head(accounts: str, inspection: str = "all") -> str:
    """Return the usual head with accounts on the pupils' network."""
    return HEAD.replace("inspection: all", f"inspection: {inspection}, accounts: {accounts}", 1)


@pytest.mark.parametrize(
    ("accounts", "inspection", "says"),
    [
        ("{google: school.example}", "names", "needs `inspection: needed` or `all`"),
        ("{google: 'not a host'}", "all", "not a host"),
        (f"{{microsoft: {{directory: {GUID}}}}}", "all", "needs one of `tenants` and `policy`"),
        (f"{{microsoft: {{directory: {GUID}, tenants: a.example, policy: {GUID}}}}}", "all", "needs one of"),
        ("{microsoft: {directory: school, tenants: a.example}}", "all", "`school` is no id such as"),
        ("{apple: x.example}", "all", "unknown key `apple`"),
    ],
)
def test_mistakes_are_told(accounts: str, inspection: str, says: str) -> None:
    """What cannot be meant is refused in words."""
    assert any(says in line for line in problems_of(head(accounts, inspection)))


def test_private_accounts_can_be_let_in() -> None:
    """Google takes a word for it among the domains, Microsoft a key of its own."""
    microsoft = f"{{directory: {GUID}, tenants: [a.example, b.example], personal: allow}}"
    said = f"{{google: [school.example, consumer_accounts], microsoft: {microsoft}}}"
    network = next(one for one in policy_of("", head(said)).networks.values() if one.accounts)

    def headers(host: str) -> dict[str, str]:
        added = additions(network, host)
        return dict(added.headers) if added else {}

    assert headers("mail.google.com") == {"X-GoogApps-Allowed-Domains": "school.example,consumer_accounts"}
    assert headers("login.live.com") == {}
    assert headers("login.windows.net") == {
        "Restrict-Access-To-Tenants": "a.example,b.example",
        "Restrict-Access-Context": GUID,
    }


def test_nothing_is_opened_for_nothing() -> None:
    """A connection is opened for what is added to its requests, and not where nothing is."""
    assert not judge("", "www.google.com", address="10.10.0.5").open_tls
