"""The links and codes a headteacher approves by: random, kept as hashes, for one request and one person, used once.

Opening a link changes nothing, since mail scanners open links too. A code is a second thing to show for somebody who
is not signed in; it is bound to its link, ends soon, and allows few guesses.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions.errors import InvalidToken, TooMany
from schoolgate_exceptions.keys import digest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.tables import tokens

_INVALID = "this link is not valid any more; sign in to see what waits for you"


@dataclass(frozen=True, slots=True)
class Token:
    """What a link stands for."""

    key: str
    request: int
    account: int
    role: Role


class Tokens:
    """Makes, checks and uses up links and codes; every method works in its caller's transaction."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def issue(self, connection: Connection, request: int, account: int, role: Role) -> str:
        """Return a new link's token; earlier ones of the same person for the same request end."""
        same = sa.and_(tokens.c.request == request, tokens.c.account == account)
        connection.execute(tokens.delete().where(same, tokens.c.used_at.is_(None)))
        token = self._office.token()
        ends = self._office.now() + self._office.limits.token
        connection.execute(
            tokens.insert().values(key=digest(token), request=request, account=account, role=role, ends=ends)
        )
        return token

    def find(self, connection: Connection, token: str) -> Token:
        """Return what a token stands for; it stays usable.

        Raises:
            InvalidToken: forged, used, or older than 72 hours.

        """
        row = connection.execute(sa.select(tokens).where(tokens.c.key == digest(token))).one_or_none()
        if row is None or row.used_at is not None or row.ends <= self._office.now():
            raise InvalidToken(_INVALID)
        return Token(row.key, row.request, row.account, Role(row.role))

    def use(self, connection: Connection, token: Token) -> None:
        """Use a token up.

        Raises:
            InvalidToken: somebody was faster.

        """
        unused = sa.and_(tokens.c.key == token.key, tokens.c.used_at.is_(None))
        done = connection.execute(tokens.update().where(unused).values(used_at=self._office.now(), code=None))
        if done.rowcount != 1:
            raise InvalidToken(_INVALID)

    def end_all(self, connection: Connection, request: int) -> None:
        """End every link of a request that was decided."""
        connection.execute(
            tokens.update()
            .where(tokens.c.request == request, tokens.c.used_at.is_(None))
            .values(used_at=self._office.now(), code=None)
        )

    def new_code(self, connection: Connection, token: Token) -> str:
        """Return a code of six digits for a link; an earlier one ends. Guesses made so far stay counted."""
        code = f"{self._office.random.below(1_000_000):06}"
        ends = self._office.now() + self._office.limits.code
        values = {"code": digest(token.key + code), "code_ends": ends}
        connection.execute(tokens.update().where(tokens.c.key == token.key).values(values))
        return code

    def count_code(self, connection: Connection, token: Token) -> None:
        """Note that a code is to be sent for a link, which may be done a few times only.

        Raises:
            TooMany: whoever holds the link has had enough letters sent to its owner.

        """
        limits = self._office.limits
        fewer = sa.and_(tokens.c.key == token.key, tokens.c.codes < limits.codes)
        if connection.execute(tokens.update().where(fewer).values(codes=tokens.c.codes + 1)).rowcount != 1:
            raise TooMany(
                "enough codes were sent for this link; sign in instead", int(limits.token.total_seconds())
            )

    def check_code(self, connection: Connection, token: Token, code: str) -> bool:
        """Whether a code is the link's; it is used up when it is, and a wrong guess is counted.

        Raises:
            InvalidToken: too many wrong guesses; the link is dead.

        """
        row = connection.execute(sa.select(tokens).where(tokens.c.key == token.key)).one()
        if row.code_tries >= self._office.limits.code_tries:
            raise InvalidToken("too many wrong codes; this link is dead, sign in instead")
        typed = "".join(code.split())
        right = (
            row.code is not None
            and row.code_ends > self._office.now()
            and row.code == digest(token.key + typed)
        )
        values = {"code": None} if right else {"code_tries": row.code_tries + 1}
        connection.execute(tokens.update().where(tokens.c.key == token.key).values(values))
        return right
