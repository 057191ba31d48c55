"""The seams between the portal and the world: what it is handed by whoever composes it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from schoolgate_exceptions.roles import Role
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine

type Endpoint = tuple[str, int]  # an IP address as text, and a port
type Readings = Mapping[str, Mapping[str, float]]  # by series, and by what a number is of


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """Where the portal listens, and the host name it is reached by besides its addresses.

    With `listen_tls` it listens there with TLS as well, and what asks for its own pages without TLS is sent to
    `https_url`, which is how people reach that; block pages are shown either way.
    """

    listen: Endpoint = ("127.0.0.1", 8000)
    host: str | None = None
    listen_tls: Endpoint | None = None
    https_url: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """An HTTP response; `headers` hold the content's length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class BlockPage(Protocol):
    """Makes the page that people see instead of a blocked one."""

    def __call__(
        self, engine: Engine, attempt: Attempt, decision: Decision, accept: str, dest: str, language: str
    ) -> Page:
        """Return the page for a blocked attempt: `Accept`, `Sec-Fetch-Dest` and `Accept-Language` of the request."""
        ...


class Certificate(Protocol):
    """The portal's certificate, as the connections that come next are shown it."""

    @property
    def context(self) -> ssl.SSLContext:
        """What TLS connections are made with; always the same object."""
        ...

    def renew(self) -> None:
        """Put a newer certificate into the context where there is one; raises OSError where it cannot be used."""
        ...


class PortalCounters(Protocol):
    """Takes note of what the portal shows; must return at once and never raise."""

    def page(self, page: str, status: int) -> None:
        """Count a page: `home`, `blocked`, `open`, `missing`, `refused` or `fault`."""
        ...


class Instruments(Protocol):
    """Reads how the box is: the series of `schoolgate_exceptions.sampling`. May take seconds and never raises."""

    def read(self) -> Readings:
        """Return levels as they are, and of what is counted how much it grew since the reading before."""
        ...


class SignInBegun(Protocol):
    """A sign-in at a provider that has begun."""

    @property
    def url(self) -> str:
        """Where the browser is sent."""
        ...

    @property
    def cookie(self) -> str:
        """What a cookie keeps until the browser comes back."""
        ...


class SignInIdentity(Protocol):
    """Whom a provider vouches for; `roles` is None where it says nothing about them."""

    @property
    def email(self) -> str:
        """The address of the account."""
        ...

    @property
    def name(self) -> str:
        """What they are called."""
        ...

    @property
    def provider(self) -> str:
        """Which provider it was."""
        ...

    @property
    def roles(self) -> frozenset[Role] | None:
        """The roles it says they have; None where it says nothing."""
        ...


class SignInProvider(Protocol):
    """The school's own sign-in, such as `schoolgate_exceptions.sso.Provider`."""

    def begin(self) -> SignInBegun:
        """Start a sign-in; raises `Unavailable`."""
        ...

    def finish(self, address: str, cookie: str) -> SignInIdentity:
        """Return who came back to an address; raises `SignInFailed` or `Unavailable`."""
        ...
