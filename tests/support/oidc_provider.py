"""A sign-in provider on loopback that checks what it is asked as strictly as the real ones do (OpenID Connect Core 3.1)."""

import base64
import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from running import eventually
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "schoolgate-portal", "a secret of the provider's"


@dataclass
class _Code:
    nonce: str
    challenge: str
    redirect_uri: str


@dataclass
class OidcProvider:
    """Vouches for whoever `person` is at that moment; `back` is the one address it sends people back to."""

    back: str
    person: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": "today"})
        self._codes: dict[str, _Code] = {}
        app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self._server.started, 20)
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        self.issuer = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    async def _describe(self, _: Request) -> Response:
        ends = {
            f"{name}_endpoint": f"{self.issuer}/{path}"
            for name, path in (("authorization", "authorize"), ("token", "token"))
        }
        return JSONResponse({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **ends})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        fine = (
            query["client_id"] == CLIENT
            and query["redirect_uri"] == self.back
            and query["response_type"] == "code"
            and "openid" in query["scope"].split()
            and query["code_challenge_method"] == "S256"
        )
        if not fine:
            return PlainTextResponse(f"not a question of ours: {dict(query)}", 400)
        code = secrets.token_urlsafe()
        self._codes[code] = _Code(query["nonce"], query["code_challenge"], query["redirect_uri"])
        answer = urlencode({"code": code, "state": query["state"]})
        return RedirectResponse(f"{self.back}?{answer}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        known = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        fine = (
            known is not None
            and (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
            and form["redirect_uri"] == known.redirect_uri
            and base64.urlsafe_b64encode(digest).decode().rstrip("=") == known.challenge
        )
        if known is None or not fine:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": known.nonce}
        token = jwt.encode({"alg": "RS256", "kid": "today"}, {**claims, **self.person}, self._key)
        return JSONResponse({"id_token": token, "access_token": "x", "token_type": "Bearer"})
