"""From policy.yaml on disk to a `Policy`: the one place where reading, checking and building meet."""

import hashlib
from datetime import date
from pathlib import Path

from schoolgate_policy.build import Builder
from schoolgate_policy.catalogue_installed import load_installed
from schoolgate_policy.errors import PolicyError, PolicyIssue, Severity
from schoolgate_policy.lint import lint
from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.lists.section import ListReader
from schoolgate_policy.model import Catalogue, Policy
from schoolgate_policy.validate import validate
from schoolgate_policy.yaml_text import read_yaml


def parse_policy(
    data: bytes, file: str, catalogue: Catalogue, read_list: ListReader
) -> tuple[Policy | None, list[PolicyIssue]]:
    """Read a policy from bytes; `file` is its name in messages.

    Returns the policy, or None where an issue is an error, and all issues in the order of the file.
    """
    document, issues = read_yaml(data, file)
    if document is None:
        return None, issues
    parsed, shape = validate(document)
    issues += shape
    if parsed is None:
        return None, _ordered(issues)
    builder = Builder(document, parsed, catalogue, read_list, hashlib.sha256(data).hexdigest()[:12])
    policy = builder.build()
    issues += builder.issues
    broken = any(issue.severity is Severity.ERROR for issue in issues)
    return (None if broken else policy), _ordered(issues)


def _ordered(issues: list[PolicyIssue]) -> list[PolicyIssue]:
    return sorted(dict.fromkeys(issues), key=lambda issue: (issue.line, issue.column))


def load_policy(path: Path, catalogue: Catalogue | None = None, state: Path | None = None) -> Policy:
    """Read, check and build the policy in a file; `state` has what was fetched of its lists.

    Raises:
        PolicyError: the file cannot be read or is no usable policy; it carries every issue.

    """
    policy, issues = check_policy(path, catalogue, state)
    if policy is None:
        raise PolicyError(tuple(issue for issue in issues if issue.severity is Severity.ERROR))
    return policy


def check_policy(
    path: Path,
    catalogue: Catalogue | None = None,
    state: Path | None = None,
    *,
    today: date | None = None,
) -> tuple[Policy | None, list[PolicyIssue]]:
    """Read a policy and report everything found; with `today`, what `lint` finds in a policy without errors too.

    `state` has what was fetched of its lists, and the catalogue where a newer one was installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, [PolicyIssue(str(path), 0, 0, "", f"cannot be read: {error.strerror}")]
    policy, issues = parse_policy(
        data, path.name, catalogue or load_installed(state)[0], reader_below(path.parent, state)
    )
    document = read_yaml(data, path.name)[0] if policy is not None and today is not None else None
    if policy is None or document is None or today is None:
        return policy, issues
    return policy, _ordered([*issues, *lint(policy, document, today)])


def reader_below(folder: Path, state: Path | None = None) -> ListReader:
    """Return a reader of lists for the policy in a folder, who changes nothing in `state`, where lists are kept."""
    return ListLibrary(folder, state, keeps=False).read
