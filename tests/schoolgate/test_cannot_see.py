"""The proxy says by itself what it cannot see."""

from pathlib import Path

from structlog.testing import capture_logs

from schoolgate import app
from schoolgate_policy.load import load_policy

SHIPPED = Path(__file__).parents[2] / "policy.yaml"


def test_each_network_s_blind_spots_are_logged_at_the_start() -> None:
    """For every network of the shipped policy one line says what its level of inspection cannot see."""
    policy = load_policy(SHIPPED)
    with capture_logs() as lines:
        app._tell_limits(policy)
    assert {line["network"] for line in lines} == set(policy.networks)
    for line in lines:
        assert line["event"] == "proxy.cannot_see"
        assert line["unseen"]
    names_only = next(line for line in lines if line["inspection"] == "names")
    assert any("domain fronting" in text for text in names_only["unseen"])
