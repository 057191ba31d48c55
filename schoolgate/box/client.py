"""How a box speaks to its centre: HTTPS to the one certificate it knows, each request signed with the box's key."""

import base64
import hashlib
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schoolgate.box.home import Centre
from schoolgate.centre.manifest import sign_request

_SECONDS = 20.0
_BLOCK = 1 << 20
_MOST_ANSWER = 16 << 20
_OK = 200


class Away(OSError):  # noqa: N818 - reads as what it is
    """The centre cannot be reached, is another one, or says no; one line."""


class Client:
    """Asks one centre; a connection for each request, so that nothing old is relied upon."""

    def __init__(self, centre: Centre, key: Ed25519PrivateKey) -> None:
        self._centre = centre
        self._key = key

    def enrol(self, code: str) -> dict[str, Any]:
        """Use a one-time code up; raises Away."""
        public = self._key.public_key().public_bytes_raw().hex()
        body = json.dumps({"code": code, "public_key": public}).encode()
        return self._object(*self._ask("POST", "/box/enrol", body))

    def policy(self, applied: int, health: dict[str, str]) -> tuple[bytes, bytes]:
        """Return the manifest that is signed for this box, and the signature; raises Away."""
        body = json.dumps({"applied": applied, "health": health}).encode()
        data, headers = self._ask("POST", "/box/policy", body)
        try:
            return data, base64.b64decode(headers.get("X-Signature", ""), validate=True)
        except ValueError:
            return data, b""

    def file(self, sha256: str) -> Iterator[bytes]:
        """Yield the content of a file, in pieces; raises Away."""
        connection = self._open()
        try:
            response = self._send(connection, "GET", f"/box/file/{sha256}", b"")
            while block := response.read(_BLOCK):
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise _away(error) from error
        finally:
            connection.close()

    def events(self, batches: list[tuple[int, str]]) -> int:
        """Hand over events with their sequences; return the last one that is written. Raises Away."""
        body = json.dumps({"batches": batches}).encode()
        written = self._object(*self._ask("POST", "/box/events", body)).get("written")
        if type(written) is not int:
            raise Away("the centre did not say what it has written")
        return written

    def _ask(self, method: str, path: str, body: bytes) -> tuple[bytes, http.client.HTTPMessage]:
        connection = self._open()
        try:
            response = self._send(connection, method, path, body)
            return response.read(_MOST_ANSWER), response.headers
        except (OSError, http.client.HTTPException) as error:
            raise _away(error) from error
        finally:
            connection.close()

    def _open(self) -> http.client.HTTPSConnection:
        where = urlsplit(self._centre.url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = (
            False  # it is known by its fingerprint, which is compared before anything is sent
        )
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, timeout=_SECONDS, context=context
        )
        try:
            connection.connect()
            shown = connection.sock.getpeercert(binary_form=True)
            if hashlib.sha256(shown or b"").hexdigest() != self._centre.fingerprint:
                raise Away("another certificate than the centre's: somebody stands between box and centre")
        except OSError as error:
            connection.close()
            raise _away(error) from error
        return connection

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: bytes
    ) -> http.client.HTTPResponse:
        moment = str(int(time.time()))
        proof = sign_request(self._key, method.encode(), path.encode(), moment.encode(), body)
        told = f"Box {self._centre.box}:{moment}:{base64.b64encode(proof).decode()}"
        connection.request(method, path, body, {"Authorization": told, "Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != _OK:
            said = self._object(response.read(4096), response.headers).get("error", "")
            raise Away(f"the centre says {response.status}: {said}")
        return response

    @staticmethod
    def _object(data: bytes, _headers: object) -> dict[str, Any]:
        try:
            about = json.loads(data)
        except ValueError:
            return {}
        return about if isinstance(about, dict) else {}


def _away(error: Exception) -> Away:
    if isinstance(error, Away):
        return error
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Away(f"the centre cannot be reached: {reason.lower()}")
