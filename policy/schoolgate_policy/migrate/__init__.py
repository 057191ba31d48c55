"""From an older version of the policy language to the one this program reads, a numbered step at a time.

A step changes the text by the same splices as every other edit (see `document.py`), so comments and layout stay. A
step is never changed once a release has it; a new version of the language brings a new step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schoolgate_policy.errors import EditError
from schoolgate_policy.migrate import v0_to_v1
from schoolgate_policy.migrate.change import Text
from schoolgate_policy.yaml_text import read_yaml

type Step = Callable[[Text], bytes]

STEPS: Mapping[int, Step] = MappingProxyType({0: v0_to_v1.step})  # the version each starts from
CURRENT = max(STEPS) + 1


@dataclass(frozen=True, slots=True)
class Migration:
    """The text in the newest version of the language, and the version that it was in."""

    before: int
    after: int
    data: bytes


def migrate(data: bytes, file: str = "policy.yaml", steps: Mapping[int, Step] = STEPS) -> Migration:
    """Bring a policy's text to the newest version of the language; unchanged where it is in that already.

    Raises:
        EditError: the text has no version, one from the future, or is written so that only a person can change it.

    """
    newest = max(steps) + 1
    before = version = version_of(data, file)
    if not min(steps) <= version <= newest:
        raise EditError(
            f"{file}: version: {version} is not known here; versions {min(steps)} to {newest} are"
        )
    while version < newest:
        data = steps[version](Text(data, file))
        reached = version_of(data, file)
        if reached != version + 1:
            raise EditError(f"{file}: version: the step from {version} led to {reached}; nothing was changed")
        version = reached
    return Migration(before, version, data)


def version_of(data: bytes, file: str = "policy.yaml") -> int:
    """Return the version of the language that a text says it is written in.

    Raises:
        EditError: the text cannot be read, or does not say.

    """
    document, issues = read_yaml(data, file)
    if document is None:
        raise EditError(str(issues[0]))
    version = document.value.get("version") if isinstance(document.value, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise EditError(
            f"{file}: version: a whole number is expected here; the newest is `version: {CURRENT}`"
        )
    return version
