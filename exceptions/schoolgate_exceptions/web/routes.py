"""One page: its address, who may come, and what answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from re import Match, Pattern

from starlette.routing import compile_path

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit

type Handler = Callable[[Counter, Visit], Page]

_SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """A page.

    `kind` is what metrics call it. `signed_in`: only with a session, and with its second factor unless `half`.
    `roles` are those who may come (none named: any). `most` is how many bytes a form may have.
    """

    path: str
    kind: str
    get: Handler | None = None
    post: Handler | None = None
    signed_in: bool = False
    half: bool = False
    roles: tuple[Role, ...] = ()
    most: int = _SMALL
    json: bool = False
    pattern: Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", compile_path(self.path)[0])

    def match(self, path: str) -> Match[str] | None:
        """Return the parts of a path that is this page's."""
        return self.pattern.match(path)

    def handler(self, method: str) -> Handler | None:
        """Return what answers a method; HEAD is answered as GET."""
        return self.post if method == "POST" else self.get if method in {"GET", "HEAD"} else None

    @property
    def methods(self) -> str:
        """The methods it answers, as `Allow` lists them."""
        return ", ".join((*(("GET", "HEAD") if self.get else ()), *(("POST",) if self.post else ())))
