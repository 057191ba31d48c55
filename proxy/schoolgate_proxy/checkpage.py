"""What the proxy says for itself at the name by which devices find out whether they trust the certificate."""

from dataclasses import replace

from schoolgate_policy.certificate_check import HOST, picture
from schoolgate_policy.decision import Decision, Verdict
from schoolgate_proxy.blockpage import BlockResponse


def is_check(decision: Decision) -> bool:
    """Whether the name is the one that is answered here."""
    return decision.host == HOST


def as_own(decision: Decision) -> Decision:
    """Return the decision under which a connection to the name is opened and goes no further, on every network."""
    return replace(decision, verdict=Verdict.BLOCK, open_tls=True, path_decides=False)


def check_page(path: str | None) -> BlockResponse:
    """Return the picture that says yes, which only a device that trusts the certificate gets to see."""
    body = picture(path or "/")
    headers = (
        ("Content-Type", "image/svg+xml"),
        ("Content-Security-Policy", "default-src 'none'"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", str(len(body))),
    )
    return BlockResponse(200, headers, body)
