"""What every page is handed: the use cases, and how to show something."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from schoolgate_exceptions.errors import Unavailable
from schoolgate_exceptions.ports import Page, SignInProvider
from schoolgate_exceptions.queue import READERS, Filter
from schoolgate_exceptions.roles import APPROVERS, Role
from schoolgate_exceptions.service import Service
from schoolgate_exceptions.web.frame import html, redirect
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.web.wording import worded
from schoolgate_exceptions.web.words import LANGUAGES
from schoolgate_exceptions.workflow import State
from schoolgate_policy.model import Policy

_SECTIONS: tuple[tuple[str, tuple[Role, ...]], ...] = (  # their names are `nav.` in the texts
    ("home", ()),
    ("queue", READERS),
    ("lessons", (Role.TEACHER,)),
    ("policy", ()),
    ("explain", ()),
    ("more", ()),
)


@dataclass(frozen=True, slots=True)
class Counter:
    """Where pages get what they show, and are made into responses."""

    service: Service
    secure: bool  # reached over HTTPS
    providers: Mapping[str, SignInProvider] = field(default_factory=dict)  # by the name on their button

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.service.office.policy

    def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> Page:
        """Show a template; `errors` and `title` are always known to it. Errors of services are put in its words."""
        errors: Mapping[str, str] = values.get("errors") or {}
        shown: dict[str, Any] = {
            "policy": self.policy,
            "t": visit.t,
            "say": lambda text: worded(text, visit.t),
            "form_token": visit.token,
            "visit": visit,
            "signed_in": visit.session,
            "title": "",
            "root": "",
            "providers": list(self.providers),
            "other_language": _other_language(visit),
            "nav": self._nav(visit) if visit.session and not visit.session.incomplete else [],
            **values,
            "errors": {name: worded(text, visit.t) for name, text in errors.items()},
        }
        return html(template, status, visit.t.tag, shown)

    def again(self, visit: Visit, template: str, errors: Mapping[str, str], **values: Any) -> Page:
        """Show a form again with what is wrong with it (422 Unprocessable Content, RFC 9110 15.5.21)."""
        return self.page(visit, template, 422, errors=dict(errors), **values)

    def message(
        self, visit: Visit, status: int, title: str, *lines: str, link: tuple[str, str] | None = None
    ) -> Page:
        """Show a few words."""
        link = link or ("/", visit.t("errors.start"))
        return self.page(visit, "message.html.j2", status, title=title, lines=lines, link=link)

    def to(self, path: str, *more: tuple[str, str], **query: str) -> Page:
        """Send the browser to a page of ours."""
        return redirect(f"{path}?{urlencode(query)}" if query else path, *more)

    def _nav(self, visit: Visit) -> list[dict[str, Any]]:
        return [
            {
                "href": f"/{name}",
                "name": visit.t(f"nav.{name}"),
                "here": visit.path == f"/{name}" or visit.path.startswith(f"/{name}/"),
                "count": self._waiting(visit) if name == "queue" else 0,
            }
            for name, roles in _SECTIONS
            if not roles or visit.actor.has(*roles)
        ]

    def _waiting(self, visit: Visit) -> int:
        """Return how many requests wait for whoever looks; what cannot be counted is not worth failing for."""
        states = set()
        if visit.actor.has(Role.OFFICER, Role.DSL):
            states |= {State.SUBMITTED, State.UNDER_REVIEW}
        if visit.actor.has(*APPROVERS):
            states |= {State.RECOMMENDED}
        try:
            return self.service.queue.count(visit.actor, Filter(states=frozenset(states)))
        except Unavailable:
            return 0


def _other_language(visit: Visit) -> dict[str, str] | None:
    code = next((one for one in LANGUAGES if one != visit.t.language), None)
    if code is None or visit.posts:
        return None
    fields = [(name, value) for name, values in visit.query.fields.items() for value in values]
    query = urlencode([*((name, value) for name, value in fields if name != "lang"), ("lang", code)])
    return {"code": code, "name": LANGUAGES[code], "href": f"{quote(visit.path)}?{query}"}


def own_path(text: str) -> str:
    """Return a path of ours that a form or a link carries along; the home page for anything else."""
    plain = (
        text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii() and text.isprintable()
    )
    return text if plain and "\\" not in text else "/home"
