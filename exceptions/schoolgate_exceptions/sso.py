"""Signing in with the school's own accounts: OpenID Connect, as Google Workspace and Microsoft Entra speak it.

The code flow with PKCE and a nonce (RFC 6749, RFC 7636, OpenID Connect Core 3.1). What the provider says of groups is
mapped to roles by the settings; a second factor is the provider's business. Needs the extra `sso`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import parse_authorization_code_response, prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from itsdangerous import BadData, URLSafeSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from schoolgate_exceptions.accounts import check_email
from schoolgate_exceptions.errors import InvalidInput, SignInFailed, Unavailable
from schoolgate_exceptions.keys import digest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Role

_SCOPES = "openid email profile"
_ALGORITHMS = ("RS256", "ES256", "PS256")
_SECONDS = 10.0
_LEEWAY_S = 60
_ATTEMPT_S = 600  # how long somebody may take at the provider
_FAILED = "the school's sign-in did not work; try again"


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider. `groups` maps what it calls a group to roles; empty: roles are given in the portal only.

    `issuer` is that of one organisation (for Entra with its tenant's number in it), since an address proves nothing
    where anybody can make an organisation. `domain` is what addresses must end in.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str
    domain: str
    groups: Mapping[str, tuple[Role, ...]] = field(default_factory=dict)
    groups_claim: str = "groups"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser is sent, and what a cookie keeps until it comes back (signed; same-site lax, ten minutes)."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for. `roles` is None where groups are not mapped."""

    email: str
    name: str
    provider: str
    roles: frozenset[Role] | None


class Provider:
    """Sends people to the provider and reads what they bring back."""

    def __init__(
        self, office: Office, config: ProviderConfig, redirect_uri: str, client: httpx.Client | None = None
    ) -> None:
        self._office = office
        self._config = config
        self._redirect_uri = redirect_uri
        self._http = client or httpx.Client(timeout=_SECONDS, follow_redirects=False)
        self._signer = URLSafeSerializer(office.keys.derive("sso"), salt=config.name)
        self._found: dict[str, Any] | None = None

    def close(self) -> None:
        """Close the connections to the provider."""
        self._http.close()

    def begin(self) -> Begun:
        """Start a sign-in.

        Raises:
            Unavailable: the provider does not answer.

        """
        state, nonce, verifier = self._office.token(), self._office.token(), self._office.token()
        url = prepare_grant_uri(
            self._endpoint("authorization_endpoint"),
            self._config.client_id,
            "code",
            self._redirect_uri,
            _SCOPES,
            state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        kept = [digest(state), nonce, verifier, int(self._office.now().timestamp())]
        return Begun(str(url), str(self._signer.dumps(kept)))

    def finish(self, address: str, cookie: str) -> Identity:
        """Return who came back; `address` is the whole address the browser was sent to.

        Raises:
            SignInFailed: it is not the answer to our question, or not from this provider, or not of this school.
            Unavailable: the provider does not answer.

        """
        kept_state, nonce, verifier = self._kept(cookie)
        try:
            answer = parse_authorization_code_response(address)
        except AuthlibBaseError as error:
            raise SignInFailed(_FAILED) from error
        if digest(str(answer.get("state", ""))) != kept_state:
            raise SignInFailed(_FAILED)
        claims = self._claims(self._token(str(answer["code"]), verifier), nonce)
        return self._identity(claims)

    def _kept(self, cookie: str) -> tuple[str, str, str]:
        try:
            state, nonce, verifier, at = self._signer.loads(cookie)
        except (BadData, ValueError, TypeError):
            raise SignInFailed(_FAILED) from None
        if self._office.now().timestamp() - at > _ATTEMPT_S:
            raise SignInFailed("this took too long; try again")
        return state, nonce, verifier

    def _token(self, code: str, verifier: str) -> str:
        answer = self._ask(
            "POST",
            self._endpoint("token_endpoint"),
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._redirect_uri,
                "client_id": self._config.client_id,
                "client_secret": self._config.client_secret,
                "code_verifier": verifier,
            },
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInFailed(_FAILED)
        return token

    def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """Check signature, issuer, audience, time and nonce (OpenID Connect Core 3.1.3.7)."""
        try:
            keys = KeySet.import_key_set(self._ask("GET", self._endpoint("jwks_uri")))  # type: ignore[arg-type]
            claims = jwt.decode(token, keys, algorithms=list(_ALGORITHMS)).claims
            jwt.JWTClaimsRegistry(
                now=int(self._office.now().timestamp()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self._config.issuer},
                aud={"essential": True, "value": self._config.client_id},
                exp={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise SignInFailed(_FAILED) from error
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        named = claims.get("email") or claims.get("preferred_username") or ""
        try:
            email = check_email(str(named))
        except InvalidInput:
            raise SignInFailed("the school's sign-in gave no address") from None
        if claims.get("email_verified") is False or not email.endswith(f"@{self._config.domain.lower()}"):
            raise SignInFailed(f"only addresses of {self._config.domain} can sign in")
        roles = None
        if self._config.groups:
            groups = claims.get(self._config.groups_claim)
            known = groups if isinstance(groups, list) else []
            roles = frozenset(role for group in known for role in self._config.groups.get(str(group), ()))
        return Identity(
            email, str(claims.get("name") or email.partition("@")[0])[:100], self._config.name, roles
        )

    def _endpoint(self, name: str) -> str:
        """Return an address from the provider's own description (OpenID Connect Discovery 4)."""
        if self._found is None:
            found = self._ask("GET", f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self._config.issuer:
                raise Unavailable(f"{self._config.name} says it is somebody else; nothing was recorded")
            self._found = found
        address = str(self._found.get(name, ""))
        if urlsplit(address).scheme != urlsplit(self._config.issuer).scheme:
            raise Unavailable(f"{self._config.name} has no usable {name}; nothing was recorded")
        return address

    def _ask(self, method: str, url: str, data: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, url, data=data)
            if answer.status_code in {400, 401}:
                raise SignInFailed(_FAILED)
            answer.raise_for_status()
            read = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"{self._config.name} does not answer; nothing was recorded") from error
        if not isinstance(read, dict):
            raise Unavailable(f"{self._config.name} does not answer as it should; nothing was recorded")
        return read
