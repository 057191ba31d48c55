"""The exception classes of the policy core, split by who must act.

`PolicyError` and `EditError` are for whoever edits policy.yaml, `PolicyConflict` for whoever was second to;
`PolicyUnwritable` and `HistoryError` for whoever looks after the box; `InvalidHost` and `InvalidPath` are for whoever sent the name.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is: an error keeps the policy from being used, a warning asks for a look, info for none."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class PolicyIssue:
    """One thing wrong in one place of a policy file.

    `line` and `column` count from 1; both are 0 where the finding is about the whole file.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what}" if self.severity is Severity.ERROR else f"{where}: {self.severity}: {what}"


class SchoolgateError(Exception):
    """Something that a caller acts on; its text is one line for a person."""


class PolicyError(SchoolgateError):
    """A policy that cannot be used, with every reason why."""

    def __init__(self, issues: tuple[PolicyIssue, ...]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = issues


class EditError(SchoolgateError):
    """A change that cannot be made by machine without touching anything else; `snippet` is what to paste instead."""

    def __init__(self, message: str, snippet: str = "") -> None:
        super().__init__(message)
        self.snippet = snippet


class PolicyConflict(SchoolgateError):  # noqa: N818 - what it is called in the field
    """The policy file is not what the change was made for; nothing was written."""


class PolicyUnwritable(SchoolgateError):  # noqa: N818
    """The policy file cannot be written; `snippet` is what to paste into it."""

    def __init__(self, message: str, snippet: str = "") -> None:
        super().__init__(message)
        self.snippet = snippet


class HistoryError(SchoolgateError):
    """The versions that were kept cannot be read, or there is none of that name."""


class InvalidHost(ValueError):  # noqa: N818 - reads as what it is where it is raised and caught
    """Text that is no host name and no IP address."""


class InvalidPath(ValueError):  # noqa: N818
    """A URL path that cannot be brought into one canonical form."""
