"""From a template and values to a response: security headers, one style sheet, nothing loaded from anywhere."""

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from schoolgate_exceptions.ports import Page

_SECURITY = (
    ("Cache-Control", "no-store"),
    # Not `no-referrer`: with it a browser says `Origin: null` for our own forms.
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)


def html(
    template: str, status: int, tag: str, values: dict[str, Any], more: Iterable[tuple[str, str]] = ()
) -> Page:
    """Return a page made from a template."""
    _, csp = _style()
    body = text(template, values).encode()
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", tag),
        ("Content-Security-Policy", csp),
        *_SECURITY,
        *more,
        ("Content-Length", str(len(body))),
    )
    return Page(status, headers, body)


def text(template: str, values: dict[str, Any]) -> str:
    """Return what a template says with some values; our style sheet is among them."""
    return _templates().get_template(template).render(style=_style()[0], **values)


def allow_picture(page: Page, origin: str) -> Page:
    """Return a page that may show pictures of another origin, in `object` elements."""
    headers = tuple(
        (
            name,
            f"{value}; object-src {origin}; frame-src {origin}"
            if name == "Content-Security-Policy"
            else value,
        )
        for name, value in page.headers
    )
    return Page(page.status, headers, page.body)


def raw(status: int, kind: str, body: bytes, more: Iterable[tuple[str, str]] = ()) -> Page:
    """Return what is no page: text, JSON, a file."""
    headers = (
        ("Content-Type", kind),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        *_SECURITY,
        *more,
        ("Content-Length", str(len(body))),
    )
    return Page(status, headers, body)


def redirect(to: str, *more: tuple[str, str]) -> Page:
    """Send the browser on with GET (303 See Other, RFC 9110 15.4.4); `to` is a path of ours."""
    return raw(303, "text/plain; charset=utf-8", b"", (("Location", to), *more))


def with_headers(page: Page, *more: tuple[str, str]) -> Page:
    """Return a page with further header fields."""
    return Page(page.status, (*page.headers, *more), page.body)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("schoolgate_exceptions"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pad"] = lambda text: Markup(" ") + text if text else ""
    environment.filters["sentence"] = lambda text: f"{text[:1].upper()}{text[1:]}"
    return environment


@cache
def _style() -> tuple[str, str]:
    """Return the style sheet, and the Content-Security-Policy that admits it and nothing else."""
    style = (files("schoolgate_exceptions") / "templates" / "portal.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
