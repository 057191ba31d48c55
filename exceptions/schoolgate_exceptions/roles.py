"""Who may do something: the roles of the school, and the person who acts in them."""

from dataclasses import dataclass
from enum import StrEnum

from schoolgate_exceptions.errors import NotAllowed


class Role(StrEnum):
    """A part somebody plays; the values stand in policy.yaml and in the audit."""

    REQUESTER = "requester"
    TEACHER = "teacher"
    OFFICER = "e-safety officer"
    HEAD = "headteacher"
    DEPUTY = "deputy"
    DSL = "dsl"
    TECHNICIAN = "technician"
    DPO = "dpo"
    GOVERNOR = "governor"
    SYSTEM = "schoolgate"  # the clock: expiry, publication, purges; never an account's

    @property
    def is_assignable(self) -> bool:
        """Whether an account can be given this role."""
        return self not in {Role.SYSTEM, Role.REQUESTER}


NEEDS_SECOND_FACTOR = frozenset({Role.OFFICER, Role.HEAD, Role.DEPUTY})
_WEIGHTS = [  # the less a role may do, the further in front
    Role.REQUESTER, Role.GOVERNOR, Role.TEACHER, Role.TECHNICIAN, Role.DPO, Role.DSL, Role.OFFICER, Role.DEPUTY,
    Role.HEAD, Role.SYSTEM,
]  # fmt: skip
APPROVERS = frozenset({Role.HEAD, Role.DEPUTY})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, with the roles in force at that instant (a deputy's only within its dates).

    `account` is None for somebody who is not signed in and for the clock. `name` and `email` are the account's.
    """

    roles: frozenset[Role]
    account: int | None = None
    name: str = ""
    email: str = ""
    device: str = ""  # keyed hash of the address, for who is not signed in

    def has(self, *roles: Role) -> bool:
        """Whether the actor has one of some roles."""
        return bool(self.roles & set(roles))

    @property
    def foremost(self) -> Role | None:
        """The role that tells most about what the actor may do: that of everybody last, None where there is none."""
        return max(self.roles, key=_WEIGHTS.index, default=None)

    def require(self, *roles: Role) -> Role:
        """Return the first of some roles that the actor has.

        Raises:
            NotAllowed: it has none of them.

        """
        for role in roles:
            if role in self.roles:
                return role
        raise NotAllowed(f"this needs the role {' or '.join(roles)}")


SYSTEM = Actor(frozenset({Role.SYSTEM}), name="schoolgate")
ANYBODY = Actor(frozenset({Role.REQUESTER}))
