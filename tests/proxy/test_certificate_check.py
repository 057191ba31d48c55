"""The name by which a device finds out whether it trusts the certificate."""

import ssl
from typing import Any

import pytest

from schoolgate_policy.certificate_check import HOST


@pytest.mark.parametrize("address", ["127.0.10.5", "127.0.20.5", "127.0.30.5"])
def test_the_check_is_answered_here_on_every_network(internet: Any, address: str) -> None:
    """Whoever trusts the authority sees the picture, also where nothing else is opened; nothing is forwarded or noted."""
    reply = internet.get(HOST, "/cy.svg", address)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    assert b"image/svg+xml" in head
    assert "yn ymddiried" in body.decode()
    assert internet.untouched
    assert not internet.notes.decisions


def test_the_check_fails_without_the_certificate(internet: Any) -> None:
    """A device that does not trust the authority sees nothing."""
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError), internet.tunnel(HOST) as raw:
        context.wrap_socket(raw, server_hostname=HOST)
