"""How long somebody stays signed in is the school's to say, within bounds."""

from datetime import timedelta

import pytest
from policies import HEAD, policy_of, problems_of


def test_the_period_is_read_and_has_a_default():
    """Ten hours, or what the policy says."""
    assert policy_of("").privacy.keep_sessions == timedelta(hours=10)
    assert policy_of("privacy: {keep_sessions: 45 minutes}\n").privacy.keep_sessions == timedelta(minutes=45)


@pytest.mark.parametrize("text", ["14 minutes", "8 days", "1 year", "forever", "0 hours"])
def test_what_is_no_time_to_stay_signed_in_is_refused(text):
    """Too short to work with, too long to be safe, and nonsense are one message each, with what is allowed."""
    (problem,) = problems_of(HEAD + f"privacy: {{keep_sessions: {text}}}\n")
    assert "privacy.keep_sessions" in problem
    assert "7 days" in problem or "units" in problem
