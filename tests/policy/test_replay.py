"""Recorded attempts, judged again by two policies."""

import json

import pytest
from policies import policy_of

from schoolgate_policy.replay import InvalidRecord, read_records, replay

OLD = policy_of("rules:\n  - {block: facebook, for: pupils, reason: no}\n")
NEW = policy_of(
    "rules:\n  - {block: [twitter, example.org], for: [pupils, office-pc], during: lessons, reason: no}\n"
)


def record(host: str, at: str = "2026-11-23T10:15:00Z", network: str = "pupils", **more: object) -> str:
    """Write one recorded attempt."""
    return json.dumps({"at": at, "network": network, "host": host, **more})


def test_changes_are_counted_and_nobody_is_named() -> None:
    """Counts by network and service, the largest first; no host, address or device comes out."""
    lines = [
        *[record("m.facebook.com", address="10.20.0.7", user="x")] * 3,
        record("x.com", network="staff", device="office-pc"),
        record("x.com", network="staff"),
        record("x.com", "2026-11-23T12:30:00Z"),
        record("www.example.org", path="/a"),
        record("bbc.co.uk"),
        record("x.com", network="nobodys"),
        "",
    ]
    result = replay(OLD, NEW, read_records(lines))
    assert list(result.as_lines()) == [
        "9 recorded attempts, 5 would be judged otherwise",
        "1 were not judged: their network or device is in neither policy",
        "pupils: facebook: blocked → allowed: 3",
        "pupils: other sites: allowed → blocked: 1",
        "staff: twitter: allowed → blocked: 1",
    ]
    text = json.dumps(result.as_mapping())
    assert not any(secret in text for secret in ("10.20", "office-pc", "m.facebook", "example.org"))
    assert result.as_mapping()["changed"] == 5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: a recorded attempt is an object"),
        ('{"at": "2026-11-23T10:15:00Z", "network": "pupils"}', "line 1: `host` is missing or no text"),
        (record("x.com", "yesterday"), "is no instant such as"),
        (record("x.com", "2026-11-23T10:15:00"), "`at` needs an offset"),
        (record("x.com", path=3), "`path` is no text"),
    ],
)
def test_what_is_no_record_is_refused(line: str, words: str) -> None:
    """A broken line is named by its number."""
    with pytest.raises(InvalidRecord, match=r"^line 1") as caught:
        list(read_records([line]))
    assert words in str(caught.value)
