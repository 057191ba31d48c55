"""What a look at the installation brings to light."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from schoolgate.settings import Settings
from schoolgate_policy.errors import PolicyIssue
from schoolgate_policy.model import Policy


class Weight(StrEnum):
    """How bad it is: an error lets filtering fail or leak, a warning will one day."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in which area, and what to do about it."""

    area: str
    weight: Weight
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The installation that is looked at; without a policy that can be used, `policy` is None."""

    policy_file: Path
    settings_file: Path | None
    settings: Settings
    policy: Policy | None
    issues: tuple[PolicyIssue, ...]
    now: datetime
