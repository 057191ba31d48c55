"""The state that is switched on, as the portal writes it into the state folder: `state.json`."""

from pydantic import BaseModel, ConfigDict, ValidationError

from schoolgate_policy.errors import PolicyError, PolicyIssue
from schoolgate_policy.model import Policy
from schoolgate_policy.validate import suggest

FILE = "state.json"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    active: str | None
    since: str = ""
    by: str = ""


def parse_state(data: bytes, policy: Policy) -> str | None:
    """Read which of the policy's states is switched on; None: none.

    Raises:
        PolicyError: the file is not what the portal writes, or names a state the policy does not have.

    """
    try:
        active = _File.model_validate_json(data).active
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        path = ".".join(map(str, detail["loc"]))
        raise PolicyError((PolicyIssue(FILE, 0, 0, path, detail["msg"]),)) from None
    if active is not None and active not in policy.states:
        message = f"unknown state `{active}`; {suggest(active, policy.states)}"
        raise PolicyError((PolicyIssue(FILE, 0, 0, "active", message),))
    return active


def render_state(active: str | None, since: str, by: str) -> bytes:
    """Write the file; `since` is an instant, `by` the role that switched."""
    return _File(active=active, since=since, by=by).model_dump_json(indent=2).encode()
