"""Our own page where mitmproxy would show its stock one: a site that does not answer, or cannot prove who it is.

Also one that was allowed, and closed before it was dialled: what is said there is why nothing comes, not what the policy says.

mitmproxy offers no way to choose that page, and the `error` hook comes too late to answer. Its two HTTP modules call
one function for the body, by a name of their own; that name is pointed here.
"""

from mitmproxy import version
from mitmproxy.proxy.layers.http import _http1, _http2

from schoolgate_proxy.blockpage import render_notice

CLOSED_MEANWHILE = "refused: closed since it was allowed"  # the error of a connection that ends in that page


def install(school: str) -> None:
    """Show our page in this process from now on."""

    def page(status: int, message: str) -> bytes:
        title, lead = _words(status, message)
        return render_notice(status, title, lead, school, accept="text/html").body

    for module in (_http1, _http2):
        if not callable(getattr(module, "format_error", None)):
            raise RuntimeError("this mitmproxy makes its error pages otherwise")  # noqa: TRY004 - of another version
        module.format_error = page  # type: ignore[attr-defined]
    version.MITMPROXY = "Schoolgate"


def _words(status: int, message: str) -> tuple[str, str]:
    if status != 502:
        return (
            "This request was not understood",
            "Your browser and the school's filter did not understand each other.",
        )
    if message.endswith(CLOSED_MEANWHILE):  # mitmproxy says first that it has killed the connection
        return (
            "This page has just closed",
            "It closed in the moment in which it was being opened. Load it again to see why, and until when.",
        )
    if "certificate" in message.lower():
        return (
            "This site cannot prove who it is",
            "Its certificate does not hold. The school's filter does not connect to it, so that nobody can listen in.",
        )
    return "This site did not answer", "The site is not there at the moment. Please try again later."
