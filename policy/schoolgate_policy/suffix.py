"""Public suffixes (`co.uk`, `github.io`): names below which strangers register. Data ships with the package."""

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def is_public_suffix(name: str) -> bool:
    """Whether a canonical name is a suffix below which anybody can have a name; a single label always is."""
    return "." not in name or bool(_suffixes().is_public(name))


def registrable_domain(name: str) -> str:
    """Return the name that somebody registered: one label more than the public suffix, else the name itself."""
    return _suffixes().privatesuffix(name) or name
