"""`/metrics`, `/livez`, `/readyz` over real sockets, well-behaved clients and others."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schoolgate.health import HealthServer
from schoolgate.metrics import Metrics


def talk(request: bytes, ready=None):
    """Send bytes to a health server and return all that comes back."""

    async def conversation():
        server = HealthServer(Metrics("test").registry, {"door": lambda: None} if ready is None else ready)
        await server.start("127.0.0.1", 0)
        host, _, port = server.address.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            if request:
                writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return answer.decode()
        finally:
            await server.stop()

    return asyncio.run(conversation())


def get(path, **more):
    head, _, body = talk(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), **more).partition("\r\n\r\n")
    return int(head.split()[1]), head, body


def test_metrics_can_be_parsed():
    """What /metrics serves is Prometheus's text format, with help for everything of ours."""
    status, head, body = get("/metrics")
    assert status == 200
    assert "text/plain" in head
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert "schoolgate_decisions" in families
    assert all(family.documentation for name, family in families.items() if name.startswith("schoolgate_"))


def test_livez_and_readyz():
    """Alive is always fine; ready names what is not."""
    assert get("/livez")[::2] == (200, "ok\n")
    assert get("/readyz")[::2] == (200, "door: ok\n")
    status, _, body = get("/readyz", ready={"door": lambda: None, "upstream": lambda: "silent"})
    assert (status, body) == (503, "door: ok\nupstream: silent\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"HEAD /livez HTTP/1.1\r\n\r\n", "200"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"GET /secrets HTTP/1.1\r\n\r\n", "404"),
        (b"GET /livez?x=1 HTTP/1.0\r\n\r\n", "200"),
        (b"\x00\xff\r\n\r\n", "405"),
    ],
)
def test_odd_requests_get_a_proper_answer(request_bytes, status):
    """Whatever is asked gets the protocol's answer."""
    assert talk(request_bytes).split()[1] == status


@pytest.mark.parametrize("request_bytes", [b"GET / HTTP/1.1\r\n", b"x" * 20_000 + b"\r\n\r\n"])
def test_half_and_huge_heads_get_none(request_bytes):
    """A head that never ends or is too long ends the connection."""
    assert talk(request_bytes) == ""


def test_head_has_no_body():
    """HEAD gets the length, and nothing after the head."""
    head, _, body = talk(b"HEAD /livez HTTP/1.1\r\n\r\n").partition("\r\n\r\n")
    assert "Content-Length: 3" in head
    assert body == ""
