"""The portal's own pages; pure. Nothing is loaded from anywhere, and no script runs."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from schoolgate_exceptions.ports import Page
from schoolgate_policy.model import Policy

_SECURITY = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


def home(policy: Policy) -> Page:
    """Return the home page: whose filter this is, whom it knows, and that it works."""
    return _page(200, "home.html.j2", policy, f"{policy.school.name}: web filter")


def try_again(policy: Policy, host: str) -> Page:
    """Return the page for a site that is open by now: the browser still holds the address of the block page."""
    return _page(503, "again.html.j2", policy, "This page is open now", (("Retry-After", "10"),), host=host)


def missing(policy: Policy) -> Page:
    """Return the page for a path that the portal does not have."""
    return _page(404, "missing.html.j2", policy, "There is no such page")


def plain(status: int, text: str) -> Page:
    """Return a page of one line, for whoever is no browser, or when no policy can be asked."""
    body = f"{text}\n".encode()
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Security-Policy", "default-src 'none'"),
        *_SECURITY,
        ("Content-Length", str(len(body))),
    )
    return Page(status, headers, body)


def _page(
    status: int,
    template: str,
    policy: Policy,
    title: str,
    more: tuple[tuple[str, str], ...] = (),
    **values: str,
) -> Page:
    style, csp = _style()
    text = _templates().get_template(template).render(policy=policy, title=title, style=style, **values)
    body = text.encode()
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", "en-GB"),
        ("Content-Security-Policy", csp),
        *_SECURITY,
        *more,
        ("Content-Length", str(len(body))),
    )
    return Page(status, headers, body)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("schoolgate_exceptions"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> tuple[str, str]:
    """Return the style sheet, and the Content-Security-Policy that admits it and nothing else."""
    style = (files("schoolgate_exceptions") / "templates" / "portal.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
