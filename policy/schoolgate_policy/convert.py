"""Sections of policy.yaml that become values of the model as they are, without a look at anything else."""

from schoolgate_policy.model import Accounts, MicrosoftAccounts
from schoolgate_policy.schedule import DateRange
from schoolgate_policy.schema import AccountsSection, DaysSection


def accounts_of(section: AccountsSection) -> Accounts:
    """Return whose accounts people may sign in with."""
    given = section.microsoft
    microsoft = (
        MicrosoftAccounts(given.directory, tuple(given.tenants), given.policy, given.personal)
        if given
        else None
    )
    return Accounts(tuple(section.google), microsoft)


def range_of(section: DaysSection) -> DateRange:
    """Return the days from the first to the last."""
    first, last = section.on or section.first, section.on or section.last
    assert first is not None  # noqa: S101 - the section's own validator saw to it
    assert last is not None  # noqa: S101
    return DateRange(section.name, first, last)
