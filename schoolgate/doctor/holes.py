"""Holes in what we build on that are known, as of one day: looked up by people, shipped with the release (ADR 42)."""

from datetime import date
from typing import Final

AS_OF: Final = date(2026, 11, 21)  # the day on which the table was last compared with the advisories

# Package, the first version without the hole, and what the hole is.
HOLES = (
    ("mitmproxy", (12, 1, 2), "requests can be smuggled past the filter (GHSA-847f-9342-265h)"),
    ("h2", (4, 3, 0), "requests can be split by header values (CVE-2025-57804)"),
    ("h11", (0, 16, 0), "chunked bodies can be smuggled (CVE-2025-43859)"),
    ("jinja2", (3, 1, 6), "templates can break out of their sandbox (CVE-2025-27516)"),
    ("starlette", (0, 49, 1), "a Range header can keep the portal busy (CVE-2025-62727)"),
    (
        "cryptography",
        (44, 0, 1),
        "it brings an OpenSSL that takes raw public keys for trusted (CVE-2024-12797)",
    ),
)
