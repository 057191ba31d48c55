"""The canary: a name that nothing in a policy can open."""

import pytest
from policies import judge

from schoolgate_policy.canary import CANARY, HOST
from schoolgate_policy.decision import Reason


@pytest.mark.parametrize("address", ["10.10.0.5", "10.10.0.20", "10.20.0.5", "10.30.0.5", "192.0.2.1"])
@pytest.mark.parametrize("host", [HOST, HOST.upper() + ".", f"a.b.{HOST}"])
def test_nothing_opens_it(address: str, host: str) -> None:
    """Neither `always_allow` nor a rule nor an exception for everything; on every network."""
    body = (
        f"always_allow: [{HOST}, internal-school.example]\nrules: [{{allow: [everything], reason: x}}]\n"
        f"exceptions: [{{id: A, allow: [{HOST}], for: [staff], from: 2026-11-01, until: 2026-12-18, reason: x}}]\n"
    )
    found = judge(body, host, address=address)
    assert (found.blocked, found.reason) == (True, Reason.LOCKED)


@pytest.mark.parametrize("host", ["internal", f"x{HOST}", "schoolgate.internal", "example.org"])
def test_other_names_are_not_it(host: str) -> None:
    """Only the name and all below it."""
    assert not CANARY.hosts.covers(host)
    assert len(CANARY.hosts) == 1
