"""What a grant would do to policy.yaml, shown before anybody decides."""

import difflib
from dataclasses import dataclass

from schoolgate_exceptions.granting import Objection, exception_of, objections
from schoolgate_exceptions.model import AccessRequest, Grant
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Role
from schoolgate_policy.document import add_exception, add_target
from schoolgate_policy.errors import EditError, Severity
from schoolgate_policy.history import digest_of
from schoolgate_policy.load import parse_policy, reader_below


@dataclass(frozen=True, slots=True)
class Preview:
    """The lines that would change, what speaks against it, and of which version of the file this was said.

    `diff` is a unified diff without its two head lines, empty where `problem` says why there is none.
    """

    diff: tuple[str, ...]
    objections: tuple[Objection, ...]
    version: str
    problem: str = ""
    paste: str = ""

    @property
    def blocked(self) -> bool:
        """Whether it cannot be approved like this."""
        return bool(self.problem) or any(one.blocks for one in self.objections)


def preview(office: Office, request: AccessRequest, grant: Grant) -> Preview:
    """Return what a grant would change in the file as it is now; nothing is written."""
    found = objections(request, grant, office.engine, office.now())
    try:
        data = office.policy_file.read_bytes()
    except OSError as error:
        return Preview((), found, "", f"{office.policy_file.name} cannot be read: {error.strerror}")
    version = digest_of(data)
    try:
        new = changed(office, data, request, grant)
    except EditError as error:
        return Preview((), found, version, str(error), error.snippet)
    diff = difflib.unified_diff(
        data.decode(errors="replace").splitlines(),
        new.decode(errors="replace").splitlines(),
        lineterm="",
        n=2,
    )
    lines = tuple(diff)[2:]
    folder = office.policy_file.parent
    policy, issues = parse_policy(
        new, office.policy_file.name, office.policy.catalogue, reader_below(folder, office.state)
    )
    problem = "" if policy else next(str(one) for one in issues if one.severity is Severity.ERROR)
    return Preview(lines, found, version, problem)


def changed(office: Office, data: bytes, request: AccessRequest, grant: Grant) -> bytes:
    """Return the file with a grant in it.

    Raises:
        EditError: that cannot be done by machine.

    """
    if grant.rule is None:
        return add_exception(
            data, exception_of(request, grant, office.zone, Role.HEAD), office.policy_file.name
        )
    for target in grant.targets:
        data = add_target(data, grant.rule, target, office.policy_file.name)
    return data
