"""Reads `ech.yaml`: the names behind which an Encrypted ClientHello (RFC 9849) hides the one it is for."""

from functools import cache
from importlib.resources import files

from schoolgate_policy.errors import PolicyError
from schoolgate_policy.names import canonical_host
from schoolgate_policy.yaml_text import read_yaml


@cache
def outer_names() -> frozenset[str]:
    """Return the known outer names, canonical.

    Raises:
        PolicyError: the installed file is damaged.

    """
    document, issues = read_yaml((files(__package__) / "ech.yaml").read_bytes(), "ech.yaml")
    if document is None or issues or not isinstance(document.value, dict):
        raise PolicyError(tuple(issues))
    return frozenset(canonical_host(name) for name in document.value)
