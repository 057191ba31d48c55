"""Signing in with the school's own accounts, on the running product, and what its settings refuse."""

import shutil
import sqlite3

import httpx
import pytest
from oidc_provider import CLIENT, SECRET, OidcProvider
from ports import free_port
from running import FREE_PORTS, ROOT, Running, schoolgate

from schoolgate.settings_file import SettingsError, load_settings

SSO = """
[portal]
url = "{url}"
[sso]
name = "Google"
issuer = "{issuer}"
client_id = "{client}"
secret_file = "sso.secret"
domain = "school.example"
groups = {{ leaders = ["headteacher", "governor"], teaching = "teacher", staff = "requester" }}
"""


def come_in(url):
    """Press the button and follow where it leads."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
        assert "Sign in with Google" in browser.get("/sign-in").text
        return browser.get("/sign-in/with/Google")


def test_signing_in_at_the_schools_provider(internet, tmp_path):
    """Groups give roles, staff without one are known, strangers and other schools stay outside; the audit says by what."""
    at = f"127.0.0.1:{free_port()}"
    url = f"http://{at}"
    with OidcProvider(f"{url}/sign-in/back/Google") as provider:
        (tmp_path / "sso.secret").write_text(f"{SECRET}\n")
        text = SSO.format(url=url, issuer=provider.issuer, client=CLIENT)
        (tmp_path / "schoolgate.toml").write_text(text)
        running = Running(tmp_path, internet, SCHOOLGATE_PORTAL_LISTEN=at)
        try:
            running.wait_ready()
            usual = {"email": "Ruth@school.example", "email_verified": True, "name": "Ruth Evans"}
            provider.person = {**usual, "groups": ["leaders", "choir"]}
            page = come_in(url)
            assert page.url.path == "/home"
            assert "Ruth Evans" in page.text
            provider.person = {**usual, "email": "cook@school.example", "name": "Cook", "groups": ["staff"]}
            assert come_in(url).url.path == "/home"
            for person, why in (
                ({"email": "pupil@school.example", "groups": ["year 5"]}, "no account"),
                (
                    {"email": "ruth@elsewhere.example", "groups": ["leaders"]},
                    "addresses of school.example can sign in",
                ),
                ({"email_verified": False, "groups": ["leaders"]}, "addresses of school.example can sign in"),
            ):
                provider.person = {**usual, **person}
                page = come_in(url)
                assert page.status_code == 422
                assert why in page.text
        finally:
            running.stop()
    database = sqlite3.connect(running.state / "portal.db")
    held = database.execute(
        "SELECT email, role FROM accounts LEFT JOIN roles ON account = accounts.number ORDER BY 1, 2"
    ).fetchall()
    said = database.execute("SELECT COUNT(*) FROM audit WHERE body LIKE '%Google%'").fetchone()
    database.close()
    assert held == [
        ("cook@school.example", None), ("ruth@school.example", "governor"), ("ruth@school.example", "headteacher"),
    ]  # fmt: skip
    assert said == (2,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('issuer = "accounts.google.com"', "no issuer"),
        ('issuer = "http://accounts.google.com"', "no issuer"),
        ('issuer = "https://a.example"\nclient_id = "x"', "needs sso.secret_file, sso.domain as well"),
        ('issuer = "https://a.example"\nclient_id = "x"\nsecret_file = "s"\ndomain = "b.example"', "portal.url"),
        ('groups = {a = "janitor"}', "`janitor` is no role; available: requester, teacher"),
        ('groups = {a = "deputy"}', "`deputy` is no role"),
        ("groups = {a = []}", "at least one"),
        ('name = "a/b"', "match"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(tmp_path, text, said):
    """Each mistake is one line that says what is missing or possible."""
    file = tmp_path / "schoolgate.toml"
    file.write_text(f"[sso]\n{text}\n")
    with pytest.raises(SettingsError) as error:
        load_settings(file, {})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "said"), [(None, "no such file"), ("", "is empty")])
def test_a_secret_that_is_not_there(tmp_path, content, said):
    """A missing or empty secret keeps the portal from starting, in one line that names the file."""
    if content is not None:
        (tmp_path / "sso.secret").write_text(content)
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    text = SSO.format(url="http://portal.example", issuer="https://a.example", client="x")
    (tmp_path / "schoolgate.toml").write_text(text)
    done = schoolgate("portal", cwd=tmp_path, **FREE_PORTS)
    assert done.returncode == 2
    assert said in done.stderr
    assert "sso.secret" in done.stderr
    assert "Traceback" not in done.stderr
