"""Signing in with the school's own provider: a real one over HTTP, played by the test."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from school import School

from schoolgate_exceptions.errors import SignInFailed, Unavailable
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.sso import Provider, ProviderConfig

KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"})
BACK = "http://portal.example/sso/back"


class FakeProvider:
    """Describes itself, gives keys, and turns a code into a token once."""

    def __init__(self) -> None:
        self.claims: dict[str, object] = {}
        self.key = KEY
        self.asked: dict[str, str] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                known = {
                    "/.well-known/openid-configuration": {
                        "issuer": provider.issuer, "authorization_endpoint": f"{provider.issuer}/authorize",
                        "token_endpoint": f"{provider.issuer}/token", "jwks_uri": f"{provider.issuer}/keys",
                    },
                    "/keys": {"keys": [KEY.as_dict(private=False)]},
                }  # fmt: skip
                self._answer(known[self.path])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.asked = {name: values[0] for name, values in parse_qs(body).items()}
                header = {"alg": "RS256", "kid": "one"}
                self._answer({"id_token": jwt.encode(header, provider.claims, provider.key)})

            def _answer(self, value: object) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def fake():
    """A provider on loopback."""
    fake = FakeProvider()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def sso_school(tmp_path, sqlite_only):
    """A school on SQLite."""
    school = School(tmp_path, sqlite_only)
    yield school
    school.service.close()


def provider(school: School, fake: FakeProvider, **changes: object) -> Provider:
    """Return our side of it."""
    values = {"groups": {"staff-teachers": (Role.TEACHER,), "leaders": (Role.HEAD,)}, **changes}
    config = ProviderConfig("google", fake.issuer, "client", "secret", "school.example", **values)  # type: ignore[arg-type]
    return Provider(school.service.office, config, BACK)


def come_back(school: School, fake: FakeProvider, ours: Provider, **claims: object):
    """Go to the provider and come back with a token that says the usual, with changes."""
    begun = ours.begin()
    query = {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
    now = int(school.clock.at.timestamp())
    usual = {"iss": fake.issuer, "aud": "client", "exp": now + 300, "iat": now, "nonce": query["nonce"],
             "email": "Anna@School.example", "email_verified": True, "name": "Anna", "groups": ["staff-teachers"]}  # fmt: skip
    fake.claims = {**usual, **claims}
    return ours.finish(f"{BACK}?code=abc&state={query['state']}", begun.cookie)


def test_groups_become_roles(sso_school, fake):
    """The first sign-in makes the account; groups give and take roles; the question was asked with PKCE."""
    ours = provider(sso_school, fake)
    who = come_back(sso_school, fake, ours)
    assert (who.email, who.roles) == ("anna@school.example", {Role.TEACHER})
    assert fake.asked["code_verifier"]
    signed = sso_school.service.signing_in.by_provider(who.email, who.provider, who.name, who.roles)
    assert signed.session.actor.has(Role.TEACHER)
    who = come_back(sso_school, fake, ours, groups=["leaders", "choir"])
    signed = sso_school.service.signing_in.by_provider(who.email, who.provider, who.name, who.roles)
    assert signed.session.actor.roles == {Role.HEAD, Role.REQUESTER}
    who = come_back(sso_school, fake, ours, email="new@school.example", groups=["choir"])
    with pytest.raises(SignInFailed, match="no account"):
        sso_school.service.signing_in.by_provider(who.email, who.provider, who.name, who.roles)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"}, {"iss": "https://evil.example"}, {"nonce": "x"}, {"exp": 1}, {"email_verified": False},
        {"email": "anna@evil.example"}, {"email": "a@school.example@evil.example"}, {"email": ""}, {"nonce": None},
    ],
)  # fmt: skip
def test_tokens_that_are_not_for_us(sso_school, fake, claims):
    """Another audience, issuer, nonce, an old token, an address that is unverified or of elsewhere: refused."""
    with pytest.raises(SignInFailed):
        come_back(sso_school, fake, provider(sso_school, fake), **claims)


def test_a_token_signed_by_somebody_else(sso_school, fake):
    """The signature is checked against the provider's own keys."""
    fake.key = OTHER_KEY
    with pytest.raises(SignInFailed):
        come_back(sso_school, fake, provider(sso_school, fake))


def test_answers_to_no_question(sso_school, fake):
    """A forged state, another cookie, an error, too late: refused before anything is asked of the provider."""
    ours = provider(sso_school, fake)
    begun = ours.begin()
    state = parse_qs(urlsplit(begun.url).query)["state"][0]
    for address, cookie in (
        (f"{BACK}?code=abc&state=x", begun.cookie), (f"{BACK}?code=abc&state={state}", "x"), (f"{BACK}?state={state}", begun.cookie),
        (f"{BACK}?error=access_denied&state={state}", begun.cookie), (f"{BACK}?code=abc&state={state}", ours.begin().cookie),
    ):  # fmt: skip
        with pytest.raises(SignInFailed):
            ours.finish(address, cookie)
    sso_school.clock.forward(minutes=11)
    with pytest.raises(SignInFailed, match="too long"):
        ours.finish(f"{BACK}?code=abc&state={state}", begun.cookie)
    assert fake.asked == {}


def test_a_provider_that_does_not_answer(sso_school, fake):
    """A provider that is away is `Unavailable`, not a stack trace."""
    fake.server.shutdown()
    fake.server.server_close()
    with pytest.raises(Unavailable):
        provider(sso_school, fake).begin()
