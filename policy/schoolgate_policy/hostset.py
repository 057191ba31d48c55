"""Lists of hosts as files bring them: one name a line, or the hosts format (`0.0.0.0 name`)."""

from collections.abc import Iterable

from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import as_ip, canonical_host, suffixes

_HOSTS_WORDS = 2
_LOCAL = {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"}


class NameSet:
    """A set of names; each covers all below it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def covers(self, host: str) -> bool:
        """Whether the canonical host, or any name above it, is listed."""
        return any(name in self._names for name in suffixes(host))

    def __len__(self) -> int:
        return len(self._names)


def parse_names(text: str) -> NameSet:
    """Read a list; `#` starts a comment.

    Raises:
        ValueError: a line names no host; the message has its number.

    """
    names = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) >= _HOSTS_WORDS and as_ip(words[0]):
            names += [_name(word, number) for word in words[1:] if word not in _LOCAL]
        elif len(words) == 1:
            names.append(_name(words[0], number))
        else:
            raise ValueError(
                f"line {number}: `{line.strip()[:60]}` is neither one name nor an address and names"
            )
    return NameSet(names)


def _name(text: str, number: int) -> str:
    try:
        return canonical_host(text)
    except InvalidHost as error:
        raise ValueError(f"line {number}: {error}") from None
