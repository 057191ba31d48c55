"""What boxes ask of the centre, over HTTPS: to be enrolled, what is signed for them, files of it, to take their events."""

import asyncio
import json
import time
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from schoolgate.centre.identity import Identity
from schoolgate.centre.manifest import OLDEST, Manifest, content_of, is_request, sign
from schoolgate.centre.parcel import Packer
from schoolgate.events.receiver import EventReceiver
from schoolgate.events.wire import BadDatagram, decode
from schoolgate_exceptions.boxes import Box, Boxes
from schoolgate_exceptions.errors import InvalidToken, NotAllowed, NotFound, Unavailable
from schoolgate_policy.event import Event
from schoolgate_policy.ports import Recorder

_MOST_BODY = 4 * 1024 * 1024
_MOST_HEALTH = 20
_WRITING = 15.0  # seconds in which events have to be written


class Desk:
    """Answers boxes."""

    def __init__(
        self, boxes: Boxes, packer: Packer, identity: Identity, events: EventReceiver, recorder: Recorder
    ) -> None:
        self._boxes = boxes
        self._packer = packer
        self._identity = identity
        self._events = events
        self._recorder = recorder
        self._taken: dict[int, int] = {}  # by box: the sequence of the last events that are on their way
        self._turns: dict[int, asyncio.Lock] = {}
        self.app = Starlette(
            routes=[
                Route("/box/enrol", self._enrol, methods=["POST"]),
                Route("/box/policy", self._policy, methods=["POST"]),
                Route("/box/file/{sha256}", self._file, methods=["GET"]),
                Route("/box/events", self._take, methods=["POST"]),
            ],
            exception_handlers={Exception: self._fault},
        )

    async def _fault(self, request: Request, error: Exception) -> Response:
        del request
        self._recorder.fault("centre", error)
        return _says(503, "the centre has a hiccup; try again")

    async def _enrol(self, request: Request) -> Response:
        about = _object(await _body(request))
        code, key = str(about.get("code", "")), str(about.get("public_key", ""))
        try:
            box = await asyncio.to_thread(self._boxes.enrol, code, key)
        except InvalidToken as error:
            return _says(403, str(error))
        except Unavailable as error:
            return _says(503, str(error))
        return JSONResponse({"box": box.number, "name": box.name})

    async def _policy(self, request: Request) -> Response:
        body = await _body(request)
        box = await self._who(request, body)
        if isinstance(box, Response):
            return box
        about = _object(body)
        said = about.get("health")
        entries = list(said.items())[:_MOST_HEALTH] if isinstance(said, dict) else []
        health = {str(key)[:40]: str(text)[:200] for key, text in entries}
        applied = about.get("applied")
        try:
            parcel = await asyncio.to_thread(self._packer.pack, box.networks)
            content = content_of(parcel.files)
            number = applied if type(applied) is int and 0 <= applied < 1 << 62 else 0
            version = await asyncio.to_thread(self._boxes.seen, box, content, number, health)
        except NotAllowed as error:
            return _says(403, str(error))
        except (OSError, Unavailable) as error:
            return _says(503, str(error).lower())
        data = Manifest(box.number, version, int(time.time()), parcel.files).to_bytes()
        signature = b64encode(sign(self._identity.key, data)).decode()
        return Response(data, headers={"X-Signature": signature}, media_type="application/json")

    async def _file(self, request: Request) -> Response:
        box = await self._who(request, b"")
        if isinstance(box, Response):
            return box
        parcel = await asyncio.to_thread(self._packer.pack, box.networks)
        content = parcel.contents.get(request.path_params["sha256"])
        if content is None:
            return _says(404, "no such file for this box (any more)")
        if isinstance(content, bytes):
            return Response(content, media_type="application/octet-stream")
        return FileResponse(content, media_type="application/octet-stream")

    async def _take(self, request: Request) -> Response:
        """Take a box's events, each once: those that are written already, or on their way, are not taken again."""
        body = await _body(request)
        box = await self._who(request, body)
        if isinstance(box, Response):
            return box
        try:
            batches = _batches(body)
        except (ValueError, KeyError, TypeError, BadDatagram) as error:
            return _says(400, f"no events: {type(error).__name__}")
        async with self._turns.setdefault(box.number, asyncio.Lock()):
            done = max(self._taken.get(box.number, 0), box.sequence)
            fresh = [(number, events) for number, events in batches if number > done]
            if not fresh and box.sequence >= batches[-1][0]:
                return JSONResponse({"written": box.sequence})
            last = max(done, batches[-1][0])
            events = [one for _, some in fresh for one in some]
            written = self._events.bring(events, box.number, last)
            if written is None:
                return _says(503, "too many events wait to be written")
            self._taken[box.number] = last
            if not await asyncio.to_thread(written.wait, _WRITING):
                return _says(503, "the events are not written yet")
        return JSONResponse({"written": last})

    async def _who(self, request: Request, body: bytes) -> Box | Response:
        """Return the box that signed a request, or why it is refused."""
        kind, _, rest = request.headers.get("authorization", "").partition(" ")
        number, _, more = rest.partition(":")
        moment, _, signature = more.partition(":")
        if kind != "Box" or not number.isdecimal() or not moment.isdecimal() or len(number + moment) > 30:
            return _says(401, "not signed by a box")
        try:
            box = await asyncio.to_thread(self._boxes.get, int(number))
            proof = b64decode(signature, validate=True)
        except (NotFound, BadBase64):
            return _says(401, "not signed by a box of this centre")
        except Unavailable as error:
            return _says(503, str(error))
        parts = (request.method.encode(), request.url.path.encode(), moment.encode(), body)
        return _refusal(box, proof, parts, int(moment)) or box


def _refusal(box: Box, proof: bytes, parts: tuple[bytes, ...], moment: int) -> Response | None:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(box.public_key)) if box.public_key else None
    if key is None or not is_request(key, proof, *parts):
        return _says(401, "not signed by a box of this centre")
    if not box.serves:
        return _says(403, "this box was revoked")
    if abs(time.time() - moment) > OLDEST:
        return _says(401, "the box's clock is wrong")
    return None


def _batches(body: bytes) -> list[tuple[int, list[Event]]]:
    """Return the events of a request: sequences that go up, each with one datagram's events."""
    rows = json.loads(body)["batches"]
    batches = [(int(number), decode(text.encode())) for number, text in rows]
    numbers = [number for number, _ in batches]
    if not numbers or numbers != sorted(set(numbers)) or numbers[0] < 1:
        raise ValueError("sequences that do not go up")
    return batches


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY:
            raise ValueError("a request is too long")
    return body


def _object(body: bytes) -> dict[str, Any]:
    try:
        about = json.loads(body)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def _says(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
