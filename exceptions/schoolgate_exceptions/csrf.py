"""Whether a form comes from our own page: Fetch Metadata first, the Origin where a browser sends none, and a token.

Pure. Browsers send `Sec-Fetch-Site` only over HTTPS and to localhost, so plain HTTP rests on Origin and token.
"""

import hmac

from schoolgate_exceptions.keys import Keys

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_same_site(method: str, host: str, *, fetch_site: str = "", origin: str = "") -> bool:
    """Whether a request may change something, by its `Host`, `Sec-Fetch-Site` and `Origin` header fields.

    `none` (typed into the address bar) never posts a form. `null` is the Origin of a sandboxed page.
    """
    if method in _SAFE:
        return True
    if fetch_site:
        return fetch_site == "same-origin"
    if not origin:
        return False
    return origin.partition("://")[2].lower() == host.lower()


def form_token(keys: Keys, form_key: str, purpose: str = "") -> str:
    """Return the token of a form, bound to a session (or to a cookie of who is not signed in) and a purpose."""
    return keys.pseudonym("form", f"{form_key} {purpose}")


def is_token(keys: Keys, form_key: str, token: str, purpose: str = "") -> bool:
    """Whether a token belongs to a session and a purpose."""
    return bool(form_key) and hmac.compare_digest(
        form_token(keys, form_key, purpose).encode(), token.encode()
    )
