"""Who may see and send what: sign-in, the second factor, forms from elsewhere, cookies, methods, and odd requests."""

import httpx
import pytest
from live_portal import KEY, LivePortal
from school import PASSWORD, School

from schoolgate_exceptions import totp
from schoolgate_exceptions.errors import SignInFailed
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.map import ROUTES

OFFICE = [route for route in ROUTES if route.signed_in and "{" not in route.path]
LOCATIONS = {"/queue/{id}", "/policy/history/{version}", "/people/{number}"}


@pytest.mark.parametrize("route", OFFICE, ids=lambda route: route.path)
def test_nobody_gets_in_without_a_session(live, route):
    """Every page of the office sends who is not signed in to signing in, with GET and POST; the API says 401."""
    for method, handler in (("GET", route.get), ("POST", route.post)):
        if handler is None:
            continue
        page = live.browser().client.request(method, route.path, follow_redirects=False)
        if route.json:
            assert page.status_code == 401
            assert page.headers["Content-Type"] == "application/problem+json"
        else:
            assert page.status_code == 303
            assert page.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("role", [role for role in Role if role.is_assignable])
def test_every_role_sees_its_pages_and_no_others(live, role):
    """No page fails for any role: it is shown or refused with 403; what a role may see `More` links to."""
    somebody = live.signed_in("somebody@school.example", role)
    seen = {}
    for route in OFFICE:
        if route.get is not None and not route.half:
            seen[route.path] = somebody.get(route.path).status_code
    assert set(seen.values()) <= {200, 403}, seen
    assert seen["/home"] == 200
    links = somebody.get("/more").text + somebody.get("/home").text
    for path, status in seen.items():
        if f'href="{path}"' in links:
            assert status == 200, path
    assert (seen["/queue"] == 200) is (role in {Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL})
    assert (seen["/policy/edit"] == 200) is (role is Role.OFFICER)


def test_signing_in(live):
    """A wrong password says so without saying what was wrong; the right one needs the code; out is out."""
    live.account("officer@school.example", Role.OFFICER)
    browser = live.browser()
    for email in ("officer@school.example", "nobody@school.example"):
        page = browser.post("/sign-in", email=email, password="wrong wrong wrong")
        assert page.status_code == 422
        assert "The name or the password is wrong" in page.text
    page = browser.post("/sign-in", email="officer@school.example", password=PASSWORD, next="/queue")
    assert page.url.path == "/sign-in/code"
    assert browser.get("/queue").url.path == "/sign-in/code"
    assert browser.post("/sign-in/code", code="000000").status_code == 422
    page = browser.post("/sign-in/code", code=live.code(), next="/queue")
    assert page.url.path == "/queue"
    assert browser.post("/sign-out", page="/account").url.path == "/signed-out"
    assert browser.get("/queue").url.path == "/sign-in"


def test_many_wrong_passwords(live):
    """After five wrong passwords even the right one has to wait."""
    live.account("officer@school.example", Role.OFFICER)
    browser = live.browser()
    for _ in range(6):
        browser.post("/sign-in", email="officer@school.example", password="wrong wrong wrong")
    page = browser.post("/sign-in", email="officer@school.example", password=PASSWORD)
    assert "too many failed attempts" in page.text.lower()


def test_first_account_and_authenticator(live):
    """The first account is made by its link, once; its role needs an app, which is set up before anything else."""
    token = live.school.service.accounts.first_invitation()
    browser = live.browser()
    wrong = browser.post(f"/set-up/{token}", name="Sam", email="sam@school.example", password="short")
    assert 'href="#password"' in wrong.text
    page = browser.post(f"/set-up/{token}", name="Sam", email="sam@school.example", password=PASSWORD)
    assert page.url.path == "/account/second-factor"
    assert '<svg class="qr"' in page.text
    assert browser.get("/queue").url.path == "/account/second-factor"
    import base64

    key = base64.b32encode(KEY).decode()
    bad = browser.post("/account/second-factor", key=key, code="000000")
    assert bad.status_code == 422
    code = totp.code_at(KEY, totp.step_of(live.school.clock.at))
    assert browser.post("/account/second-factor", key=key, code=code).url.path == "/home"
    assert browser.get("/queue").status_code == 200
    again = live.browser().post(f"/set-up/{token}", name="Eve", email="eve@school.example", password=PASSWORD)
    assert again.status_code == 410


def test_the_app_is_not_replaced_by_who_only_knows_the_password(live):
    """A session without its second factor cannot set up another telephone."""
    live.account("officer@school.example", Role.OFFICER)
    browser = live.browser()
    browser.post("/sign-in", email="officer@school.example", password=PASSWORD)
    assert browser.get("/account/second-factor").url.path == "/sign-in/code"
    import base64

    page = browser.post(
        "/account/second-factor", page="/sign-in/code", key=base64.b32encode(bytes(20)).decode(), code="1"
    )
    assert page.status_code == 403


def test_invitation(live):
    """Somebody who was added gets a link that is shown once, sets a password by it, and is in."""
    keeper = live.signed_in("keeper@school.example", Role.TECHNICIAN)
    page = keeper.post("/people", name="Tess", email="tess@school.example", roles="teacher")
    link = page.text.partition("/invitation/")[2].partition("<")[0]
    guest = live.browser()
    assert guest.post(f"/invitation/{link}", password="short").status_code == 422
    assert guest.post(f"/invitation/{link}", password=PASSWORD).url.path == "/home"
    assert live.browser().post(f"/invitation/{link}", password=PASSWORD).status_code == 410


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_forms_from_elsewhere(live, headers):
    """A form that another page sends is refused, even with the right token, and changes nothing."""
    officer = live.signed_in("officer@school.example", Role.OFFICER)
    request = live.school.ask()
    data = {"_token": officer.token("/account"), "do": "refuse", "answer": "no"}
    page = officer.client.post(f"/queue/{request.id}", data=data, headers=headers)
    assert page.status_code == 403
    assert "Nothing was changed" in page.text
    assert (
        live.school.service.asking.standing(request.reference, live.school.service.asking.asker("x")).state
        == "submitted"
    )


def test_a_form_needs_its_token(live):
    """Without the token of the session, or with somebody else's, a form is refused."""
    officer, other = live.signed_in("officer@school.example", Role.OFFICER), live.browser()
    for token in ("", "0" * 32, other.token("/report")):
        page = officer.client.post("/sign-out", data={"_token": token}, headers={"Origin": live.url})
        assert page.status_code == 403


def test_an_idle_session_ends(live):
    """After half an hour without a page the session is over; a form leads to signing in and changes nothing."""
    officer = live.signed_in("officer@school.example", Role.OFFICER)
    live.school.clock.forward(minutes=31)
    assert officer.get("/queue").url.path == "/sign-in"


def test_cookies_and_headers(live):
    """Cookies are for us alone; pages run no script, load nothing, are framed by nobody and stored nowhere."""
    live.account("teacher@school.example", Role.TEACHER)
    page = httpx.get(live.url + "/sign-in")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Cache-Control"] == "no-store"
    assert "<script" not in page.text
    assert "Server" not in page.headers
    for cookie in page.headers.get_list("set-cookie"):
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Domain" not in cookie


@pytest.mark.parametrize(
    "onwards", ["//evil.example", "https://evil.example", "/\\evil.example", "/ok\r\nX: y", "\\"]
)
def test_no_way_out_by_next(live, onwards):
    """What a link says about where to go after signing in leads to a page of ours or home."""
    live.account("teacher@school.example", Role.TEACHER)
    page = live.browser().post("/sign-in", email="teacher@school.example", password=PASSWORD, next=onwards)
    assert page.url.path == "/home"
    assert str(page.url).startswith(live.url)


def test_methods(live):
    """A method that a page does not know is 405 with `Allow`; HEAD has no body."""
    client = live.browser().client
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"):
        page = client.request(method, "/report", headers={"Origin": live.url})
        assert page.status_code == 405
        assert page.headers["Allow"] == "GET, HEAD, POST"
    head = client.head("/report")
    assert head.status_code == 200
    assert head.content == b""


def test_long_and_broken_bodies(live):
    """A form of a megabyte is 413, thousands of fields and bytes that are no text are refused; none is a fault."""
    client = live.browser().client
    headers = {"Origin": live.url, "Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/report", content=b"host=" + b"a" * 1_000_000, headers=headers).status_code == 413
    assert client.post("/report", content=b"a=1&" * 5_000, headers=headers).status_code == 403
    assert client.post("/report", content=b"\xff\xfe=%ff%00", headers=headers).status_code == 403
    assert (
        client.post("/report", content=b"{}", headers={**headers, "Content-Type": "text/plain"}).status_code
        == 403
    )


@pytest.mark.parametrize(
    "path", ["/nowhere", "/queue/../etc", "/sign-in/", "/%00", "/api/nothing", "/requests/" + "A" * 3000]
)
def test_pages_that_do_not_exist(live, path):
    """An unknown path is 404 and no fault."""
    assert live.browser().get(path).status_code == 404


def test_broken_cookies(live):
    """Cookies of any shape are no session and no fault."""
    for cookie in (
        "sg-session=x.y",
        "sg-session=\xff",
        "=;;;",
        "sg-form=" + "a" * 5000,
        "sg-session=" + "é" * 10,
    ):
        page = httpx.get(
            live.url + "/home", headers={"Cookie": cookie.encode("utf-8")}, follow_redirects=False
        )
        assert page.status_code == 303


class SchoolsOwn:
    """The school's own sign-in, which vouches for somebody."""

    email = "tess@school.example"
    name, provider, roles = "Tess", "School account", frozenset({Role.TEACHER})
    cookie = "kept"

    @property
    def url(self):
        return "https://accounts.example/authorize?state=s"

    def begin(self):
        return self

    def finish(self, address, cookie):
        if cookie != "kept" or "code=right" not in address:
            raise SignInFailed("the school's sign-in did not work; try again")
        return self


def test_the_schools_own_sign_in(school_tmp):
    """Who comes back from the school's own sign-in is in, with the roles it says; who brings nonsense is not."""
    live = LivePortal(school_tmp, {"School account": SchoolsOwn()})
    browser = live.browser()
    assert "Sign in with School account" in browser.get("/sign-in").text
    gone = browser.client.get("/sign-in/with/School%20account", follow_redirects=False)
    assert gone.headers["Location"].startswith("https://accounts.example/")
    wrong = browser.get("/sign-in/back/School%20account", code="wrong")
    assert wrong.status_code == 422
    page = browser.get("/sign-in/back/School%20account", code="right")
    assert page.url.path == "/home"
    assert "Tess" in page.text
    assert live.browser().get("/sign-in/back/School%20account", code="right").status_code == 422
    assert live.browser().get("/sign-in/with/Other").status_code == 404
    live.stop()


@pytest.fixture
def school_tmp(tmp_path, sqlite_only):
    """A school without a portal."""
    school = School(tmp_path, sqlite_only)
    yield school
    school.service.close()
