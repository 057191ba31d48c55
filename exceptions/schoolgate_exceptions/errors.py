"""What can go wrong with a request, split by who must act. Each message is one line for the person who reads it."""

from schoolgate_policy.errors import SchoolgateError


class InvalidInput(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """A form that cannot be taken as it is: a message for each wrong field."""

    def __init__(self, **fields: str) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in fields.items()))
        self.fields = fields


class InvalidReference(SchoolgateError):  # noqa: N818
    """A link from a block page that was forged, changed, or is too old; `stale` tells the last from the others."""

    def __init__(self, message: str, *, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


class InvalidToken(SchoolgateError):  # noqa: N818
    """A link or code to approve by that is forged, used up, too old, or somebody else's."""


class TooMany(SchoolgateError):  # noqa: N818
    """A device or an account did something so often that it has to wait; `seconds` says how long at most."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class WorkflowError(SchoolgateError):
    """A move that the table of moves does not have, or not for this role; names the states."""


class NotAllowed(SchoolgateError):  # noqa: N818
    """Somebody lacks the role for what they wanted, or acts on a request they may not act on."""


class NotGranted(SchoolgateError):  # noqa: N818
    """What was to be opened may not be: it exceeds the limits of the policy. `warnings` are the reasons."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class NotFound(SchoolgateError):  # noqa: N818
    """There is nothing of that name."""


class SignInFailed(SchoolgateError):  # noqa: N818
    """A wrong name, password or code; never says which."""


class Unavailable(SchoolgateError):  # noqa: N818
    """The database is locked or its disk is full: nothing was recorded, trying again does no harm."""


class AuditBroken(SchoolgateError):  # noqa: N818
    """The audit was changed, or rows of it are missing; names the first place."""


class MailFailed(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """Letters wait because the mail host could not be used; names nobody."""
