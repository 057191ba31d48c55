"""The addresses of the portal's pages that letters and block pages lead to: one place that both sides agree on."""

from urllib.parse import quote, urlencode

_PATHS = {
    "approve": "/approve/{token}",  # what a link in a letter opens
    "case": "/queue/{id}",
    "queue": "/queue",
    "attempts": "/attempts",
    "standing": "/requests/{reference}",
    "invitation": "/invitation/{token}",
    "set-up": "/set-up/{token}",
}


def link(base: str, page: str, **parts: str) -> str:
    """Return the address of a page of the portal below `base`."""
    return base + _PATHS[page].format_map({name: quote(value, safe="") for name, value in parts.items()})


def ask_link(base: str, reference: str) -> str:
    """Return where the block page's button leads."""
    return f"{base}/ask?{urlencode({'about': reference})}"
