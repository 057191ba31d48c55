"""Passwords: Argon2id, and the few rules that help (NIST SP 800-63B 5.1.1): long enough, not the obvious."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from schoolgate_exceptions.errors import InvalidInput

LEAST = 12
_MOST = 200
_TELLING = 4  # letters of a name that make a password guessable
_OBVIOUS = ("password", "passw0rd", "schoolgate", "qwertyuiop", "1234567890", "letmein", "welcome")

_hasher = PasswordHasher()  # RFC 9106's second recommended choice: 64 MiB, three passes, four lanes
_NOBODYS = _hasher.hash("what is compared with when there is no such account")


def check_new(password: str, email: str) -> None:
    """See that a password is worth hashing.

    Raises:
        InvalidInput: it is too short, too long, or the first that anybody would try.

    """
    lowered = password.casefold()
    if len(password) < LEAST:
        raise InvalidInput(password=f"use {LEAST} characters or more; three words are easy to remember")
    if len(password) > _MOST:
        raise InvalidInput(password=f"use {_MOST} characters or fewer")
    name = email.partition("@")[0].casefold()
    if (len(name) >= _TELLING and name in lowered) or any(word in lowered for word in _OBVIOUS):
        raise InvalidInput(password="choose one that is harder to guess; three random words are good")  # noqa: S106
    if len(set(lowered)) < LEAST // 2:
        raise InvalidInput(password="use more different characters")  # noqa: S106


def hash_password(password: str) -> str:
    """Return what is kept of a password."""
    return _hasher.hash(password)


def is_right(kept: str | None, password: str) -> bool:
    """Whether a password is the one that was kept; as slow when there is none."""
    try:
        _hasher.verify(kept or _NOBODYS, password[:_MOST])
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether a kept password was hashed with less than what is usual now."""
    return _hasher.check_needs_rehash(kept)
