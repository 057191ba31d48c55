"""Public suffixes (`co.uk`, `github.io`): names below which strangers register. Data ships with the package."""

from functools import cache
from pathlib import Path

from publicsuffixlist import PSLFILE, PublicSuffixList


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


@cache
def _crowded() -> frozenset[str]:
    """Return the names of one or two labels at or below which there are public suffixes of two labels or more."""
    found: set[str] = set()
    for line in Path(PSLFILE).read_text(encoding="utf-8").splitlines():
        rule = line.partition(" ")[0].strip().lower().removeprefix("!")
        if "." in rule and not rule.startswith("//"):
            text = rule if rule.isascii() else rule.encode("idna").decode("ascii")
            above, top = text.rsplit(".", 2)[-2:]
            found.add(top if above == "*" else f"{above}.{top}")
    return frozenset(found)


def is_public_suffix(name: str) -> bool:
    """Whether a canonical name is a suffix below which anybody can have a name; a single label always is."""
    return "." not in name or bool(_suffixes().is_public(name))


def registrable_domain(name: str) -> str:
    """Return the name that somebody registered: one label more than the public suffix, else the name itself."""
    return _suffixes().privatesuffix(name) or name


def registered_domain(name: str) -> str:
    """Return the same for names in general; below a suffix that nobody listed, the last two labels."""
    return registered_name(name.split("."))


def registered_name(labels: list[str]) -> str:
    """Return the same for a name in labels."""
    if len(labels) < 3:
        return ".".join(labels)
    last_two = f"{labels[-2]}.{labels[-1]}"
    crowded = _crowded()
    if last_two not in crowded and labels[-1] not in crowded:
        return last_two  # most names: found by two looks instead of twenty
    name = ".".join(labels)
    domain = registrable_domain(name)
    if domain == name:
        return name if is_public_suffix(last_two) else last_two
    return domain
