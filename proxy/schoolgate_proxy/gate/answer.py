"""HTTP/1.1 responses as octets, for what the gate answers itself; pure."""

from schoolgate_proxy.blockpage import BlockResponse
from schoolgate_proxy.pages import Fields
from schoolgate_proxy.request import RequestHead

_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


def response(page: BlockResponse, method: str) -> bytes:
    """Return a response, after which the connection is closed; HEAD gets no body."""
    lines = [f"HTTP/1.1 {page.status} {_PHRASES.get(page.status, 'Refused')}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in page.headers]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else page.body)


def fields_of(request: RequestHead | None) -> Fields:
    """Return the fields of a request that its answer suits, empty where it has none."""
    if request is None:
        return Fields()
    names = ("accept", "sec-fetch-dest", "accept-language")
    return Fields(*(next(iter(request.values(name)), "") for name in names))
