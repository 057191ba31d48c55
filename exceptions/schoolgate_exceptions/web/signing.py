"""Signing in and out, the first account, invitations, and one's own account."""

import base64
import binascii
from collections.abc import Mapping

from schoolgate_exceptions.errors import InvalidInput, InvalidToken, NotFound, SignInFailed, TooMany
from schoolgate_exceptions.ports import Page, SignInProvider
from schoolgate_exceptions.sessions import Session, Signed
from schoolgate_exceptions.web.desk import Counter, own_path
from schoolgate_exceptions.web.failures import lines_of
from schoolgate_exceptions.web.frame import redirect, with_headers
from schoolgate_exceptions.web.qr import Svg, svg
from schoolgate_exceptions.web.visit import PROVIDER, SESSION, Visit, cookie, read_cookies
from schoolgate_exceptions.web.words import LANGUAGES


def sign_in(counter: Counter, visit: Visit) -> Page:
    """Ask for name and password."""
    if visit.session is not None:
        return counter.to("/home")
    return counter.page(visit, "account/sign-in.html.j2", email="", next=own_path(visit.query.one("next")))


def signed_in(counter: Counter, visit: Visit) -> Page:
    """Open a session, and go on to the code where one is needed."""
    email, onwards = visit.form.one("email"), own_path(visit.form.one("next"))
    try:
        signed = counter.service.signing_in.by_password(email, visit.form.one("password"), visit.address)
    except (SignInFailed, TooMany) as error:
        errors = {"email": str(error)}
        return counter.again(visit, "account/sign-in.html.j2", errors, email=email, next=onwards)
    return _begin(counter, signed, onwards)


def code(counter: Counter, visit: Visit) -> Page:
    """Ask for the code of the authenticator app."""
    return counter.page(visit, "account/code.html.j2", next=own_path(visit.query.one("next")))


def check_code(counter: Counter, visit: Visit) -> Page:
    """Add the second factor to the session."""
    onwards, session = own_path(visit.form.one("next")), _session(visit)
    if counter.service.sessions.complete(session, visit.form.one("code")) is not None:
        return counter.to(onwards)
    try:
        counter.service.signing_in.code_failed(session.account, visit.address)
    except TooMany as error:
        errors = {"code": str(error)}
    else:
        errors = {"code": visit.t("sign-in.code-wrong")}
    return counter.again(visit, "account/code.html.j2", errors, next=onwards)


def sign_out(counter: Counter, visit: Visit) -> Page:
    """End the session."""
    if visit.session is not None:
        counter.service.sessions.end(visit.session)
    return redirect("/signed-out", cookie(SESSION, "", secure=counter.secure, seconds=0))


def signed_out(counter: Counter, visit: Visit) -> Page:
    """Say that the session is over."""
    title, text = visit.t("sign-in.out-title"), visit.t("sign-in.out")
    return counter.message(visit, 200, title, text, link=("/sign-in", visit.t("sign-in.go")))


def at_provider(counter: Counter, visit: Visit) -> Page:
    """Send the browser to the school's own sign-in; a cookie keeps what has to be known when it comes back."""
    begun = _provider(counter, visit).begin()
    kept = cookie(PROVIDER, begun.cookie, secure=counter.secure, seconds=_AT_PROVIDER_SECONDS)
    return redirect(begun.url, kept)


def from_provider(counter: Counter, visit: Visit) -> Page:
    """Open a session for whom the school's own sign-in vouches for."""
    kept = read_cookies(visit.headers, secure=counter.secure).get(PROVIDER, "")
    address = f"{counter.service.office.url}{visit.path}?{visit.raw_query}"
    try:
        who = _provider(counter, visit).finish(address, kept)
        signed = counter.service.signing_in.by_provider(who.email, who.provider, who.name, who.roles)
    except SignInFailed as error:
        errors = {"email": str(error)}
        return counter.again(visit, "account/sign-in.html.j2", errors, email="", next="/home")
    gone = cookie(PROVIDER, "", secure=counter.secure, seconds=0)
    return with_headers(_begin(counter, signed, "/home"), gone)


def _provider(counter: Counter, visit: Visit) -> SignInProvider:
    found = counter.providers.get(visit.parts["provider"])
    if found is None:
        raise NotFound("there is no such way of signing in")
    return found


_AT_PROVIDER_SECONDS = 600


def set_up(counter: Counter, visit: Visit) -> Page:
    """Show the form for the first account of all."""
    return counter.page(visit, "account/set-up.html.j2", key=visit.parts["token"], name="", email="")


def make_first(counter: Counter, visit: Visit) -> Page:
    """Make the first account, and sign it in."""
    key, name, email = visit.parts["token"], visit.form.one("name"), visit.form.one("email")
    password = visit.form.one("password")
    try:
        counter.service.accounts.set_up(key, email, name, password)
    except InvalidInput as error:
        return counter.again(visit, "account/set-up.html.j2", error.fields, key=key, name=name, email=email)
    except InvalidToken as error:
        return _dead(counter, visit, error)
    return _begin(counter, counter.service.signing_in.by_password(email, password, visit.address), "/home")


def invitation(counter: Counter, visit: Visit) -> Page:
    """Show the form for a password of one's own."""
    return counter.page(visit, "account/invited.html.j2", key=visit.parts["token"])


def accept(counter: Counter, visit: Visit) -> Page:
    """Set the password, and sign in with it."""
    key, password = visit.parts["token"], visit.form.one("password")
    try:
        account = counter.service.accounts.accept(key, password)
    except InvalidInput as error:
        return counter.again(visit, "account/invited.html.j2", error.fields, key=key)
    except InvalidToken as error:
        return _dead(counter, visit, error)
    signed = counter.service.signing_in.by_password(account.email, password, visit.address)
    return _begin(counter, signed, "/home")


def account(counter: Counter, visit: Visit) -> Page:
    """Show one's own account."""
    return counter.page(visit, "account/account.html.j2", done=visit.query.one("done"), languages=_LANGUAGES)


def change_password(counter: Counter, visit: Visit) -> Page:
    """Change one's own password; every session ends, this one too."""
    old, new = visit.form.one("old"), visit.form.one("password")
    try:
        counter.service.accounts.change_password(visit.actor, old, new)
    except SignInFailed as error:
        return _account_again(counter, visit, {"old": str(error)})
    except InvalidInput as error:
        return _account_again(counter, visit, error.fields)
    return redirect("/sign-in", cookie(SESSION, "", secure=counter.secure, seconds=0))


def set_language(counter: Counter, visit: Visit) -> Page:
    """Choose the language of one's letters, and of the pages on this device."""
    wanted = visit.form.one("language")
    try:
        counter.service.accounts.set_language(visit.actor, _session(visit).account.email, wanted)
    except InvalidInput as error:
        return _account_again(counter, visit, error.fields)
    return counter.to("/account", done="language", lang=wanted)


def end_sessions(counter: Counter, visit: Visit) -> Page:
    """End every session of one's own account."""
    counter.service.sessions.end_all(visit.actor, _session(visit).account.email)
    return redirect("/sign-in", cookie(SESSION, "", secure=counter.secure, seconds=0))


def second_factor(counter: Counter, visit: Visit) -> Page:
    """Show a new key for an authenticator app; whoever only knows the password must not replace the old one."""
    if _session(visit).account.has_second_factor and not _session(visit).second_factor:
        return counter.to("/sign-in/code")
    key, uri = counter.service.accounts.begin_second_factor(visit.actor)
    return _second_factor(counter, visit, key, uri, {})


def keep_second_factor(counter: Counter, visit: Visit) -> Page:
    """Keep the key once the app has shown that it works, and complete the session with it."""
    session = _session(visit)
    try:
        key = base64.b32decode(visit.form.one("key"), casefold=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        return second_factor(counter, visit)
    code = visit.form.one("code")
    try:
        counter.service.sessions.enrol(session, key, code)
    except SignInFailed as error:
        uri = visit.form.one("uri")
        return _second_factor(counter, visit, key, uri, {"code": str(error)})
    return counter.to("/home" if session.incomplete else "/account", done="second-factor")


_KEY_BYTES = 20
_LANGUAGES = tuple(LANGUAGES.items())


def _second_factor(counter: Counter, visit: Visit, key: bytes, uri: str, errors: dict[str, str]) -> Page:
    text = base64.b32encode(key).decode()
    if not uri.startswith("otpauth://totp/"):
        uri = ""
    values = {
        "key": text,
        "grouped": " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
        "uri": uri,
        "picture": svg(uri.encode()) if uri else Svg(0, ""),
        "errors": errors,
    }
    return counter.page(visit, "account/second-factor.html.j2", 422 if errors else 200, **values)


def _begin(counter: Counter, signed: Signed, onwards: str) -> Page:
    session = signed.session
    to = onwards
    if session.incomplete:
        to = "/sign-in/code" if session.account.has_second_factor else "/account/second-factor"
    page = counter.to(to, next=onwards) if session.incomplete else counter.to(to)
    return redirect(dict(page.headers)["Location"], cookie(SESSION, signed.cookie, secure=counter.secure))


def _session(visit: Visit) -> Session:
    assert visit.session is not None  # noqa: S101 - the route is for those who are signed in
    return visit.session


def _account_again(counter: Counter, visit: Visit, errors: Mapping[str, str]) -> Page:
    return counter.again(visit, "account/account.html.j2", errors, done="", languages=_LANGUAGES)


def _dead(counter: Counter, visit: Visit, error: InvalidToken) -> Page:
    title = visit.t("approval.dead-title")
    return counter.message(
        visit, 410, title, *lines_of(error, visit.t), link=("/sign-in", visit.t("sign-in.go"))
    )
