"""A pupil who tries every way round the filter: each is stopped at the box, and counted under its own name."""

import pytest
from netns_school import NETWORKS
from ways_round import TRIES, Try

pytestmark = pytest.mark.netns
CASES = [
    pytest.param(role, one, there, id=f"{role}-{one.name}-{'IPv6' if ':' in there else 'IPv4'}")
    for one in TRIES
    for role in one.roles
    for there in one.families
]


@pytest.mark.parametrize(("role", "one", "there"), CASES)
def test_stopped_and_counted(role, one: Try, there: str, school, box, counts, leaks) -> None:
    """It does not work, nothing of it has reached the internet, and it is counted as what it is."""
    host, network = school.hosts()[role], NETWORKS[role]
    before = counts(one.technique, network)
    assert one.act(host, there), "it was not stopped"
    assert counts.rises(one.technique, network, before), f"not counted as {one.technique}"
    assert leaks() == []
