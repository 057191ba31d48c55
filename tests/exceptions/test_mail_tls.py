"""Letters over TLS: each way of it with a real mail host, its certificate checked, and nothing said in the clear."""

import socket
import ssl

import pytest
import sqlalchemy as sa
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from ports import free_port
from school import School

from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.outbox import MailHost, Recipient
from schoolgate_exceptions.roles import Role

USER, PASSWORD = "filter@school.example", "its password"


class Taken:
    """Keeps whether each letter came over TLS, and who had signed in."""

    def __init__(self, way):
        self.always_tls = way == "tls"  # it understands nothing else then
        self.letters = []
        self.tried = []

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802 - aiosmtpd's name
        """Take a letter."""
        self.letters.append((self.always_tls or session.ssl is not None, bool(session.authenticated)))
        return "250 OK"

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        """Take the one password."""
        self.tried.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=self.tried[-1] == (USER, PASSWORD), handled=False)


@pytest.fixture(scope="module")
def authority():
    """Who signs mail hosts."""
    return trustme.CA()


@pytest.fixture
def host(authority):
    """Makes mail hosts: `way` is how they speak, `name` whose certificate they show."""
    controllers = []

    def make(way, name="127.0.0.1", signer=authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        signer.issue_cert(name).configure_cert(context)
        taken = Taken(way)
        more = {
            "tls": {"ssl_context": context, "auth_require_tls": False},
            "starttls": {"tls_context": context, "require_starttls": True},
            "none": {},
        }[way]
        if way != "none":
            more |= {"authenticator": taken.authenticate, "auth_required": way == "starttls"}
        port = free_port()
        controller = Controller(taken, hostname="127.0.0.1", port=port, **more)
        if way == "tls":  # the base class looks with a plain connection whether it is there
            controller._trigger_server = lambda: socket.create_connection(("127.0.0.1", port), 5).close()
        controller.start()
        controllers.append(controller)
        return taken, port

    yield make
    for controller in controllers:
        controller.stop(no_assert=True)


def posted(tmp_path, url, authority, port, tls, user=USER, password=PASSWORD):
    """Let a school send one letter; return the school, and what came of it."""
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    credentials = (user, password) if tls != "none" else ("", "")
    school = School(
        tmp_path,
        url,
        mail=MailHost("127.0.0.1", port, "filter@school.example", *credentials, tls, 5, trust),
    )
    school.person("head@school.example", Role.HEAD)
    school.recommended(school.person("officer@school.example", Role.OFFICER))
    ran = next(one for one in school.service.jobs.run_due() if one.job == "mail")
    with school.service.office.read() as connection:
        problem = connection.execute(sa.text("SELECT problem FROM outbox WHERE sent_at IS NULL")).scalar()
    waiting = school.service.outbox.waiting()
    school.service.close()
    return ran, waiting, problem


@pytest.mark.parametrize("way", ["tls", "starttls", "none"])
def test_each_way(tmp_path, sqlite_only, authority, host, way):
    """TLS from the first byte, TLS after STARTTLS, none: the letter arrives that way, signed in where a user is set."""
    taken, port = host(way)
    ran, waiting, problem = posted(tmp_path, sqlite_only, authority, port, way)
    assert (ran.count, waiting, problem) == (1, 0, None)
    secure = way != "none"
    assert taken.letters == [(secure, secure)]


@pytest.mark.parametrize("way", ["tls", "starttls"])
def test_somebody_elses_certificate(tmp_path, sqlite_only, authority, host, way):
    """A certificate for another name, or of an unknown authority: no letter, no password; it waits, and the log says why."""
    for number, (name, signer) in enumerate(
        (("mail.elsewhere.example", authority), ("127.0.0.1", trustme.CA()))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "portal.db").write_bytes((tmp_path / "portal.db").read_bytes())
        taken, port = host(way, name, signer)
        url = sqlite_only.replace(str(tmp_path), str(folder))
        ran, waiting, problem = posted(folder, url, authority, port, way)
        assert (ran.count, waiting) == (0, 1)
        assert "certificate does not hold" in str(ran.problem)
        assert "CERTIFICATE_VERIFY_FAILED" in problem
        assert (taken.letters, taken.tried) == ([], [])


def test_a_host_without_starttls_gets_nothing(tmp_path, sqlite_only, authority, host):
    """Where TLS is asked for and not to be had neither password nor letter goes over in the clear."""
    taken, port = host("none")
    ran, waiting, _ = posted(tmp_path, sqlite_only, authority, port, "starttls")
    assert (ran.count, waiting) == (0, 1)
    assert "SMTPNotSupportedError" in str(ran.problem)
    assert (taken.letters, taken.tried) == ([], [])


def test_a_wrong_password(tmp_path, sqlite_only, authority, host):
    """The letter waits; what is logged names the mail host and its code, and no address."""
    taken, port = host("starttls")
    ran, waiting, problem = posted(tmp_path, sqlite_only, authority, port, "starttls", password="another")
    assert (ran.count, waiting, taken.letters) == (0, 1, [])
    assert str(ran.problem).endswith("SMTPAuthenticationError 535")
    assert "@" not in str(ran.problem)
    assert "535" in problem


def test_the_settings_become_a_mail_host(tmp_path, monkeypatch, authority, host):
    """`[mail]` alone is enough: host, port, user, password file, and the system's own trust for the certificate."""
    taken, port = host("starttls")
    authority.cert_pem.write_to_path(tmp_path / "trust.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trust.pem"))
    school = School(tmp_path, f"sqlite:///{tmp_path / 'unused.db'}")
    (tmp_path / "mail.password").write_text(f"{PASSWORD}\n")
    mail = {
        "host": "127.0.0.1",
        "port": port,
        "sender": USER,
        "user": USER,
        "password_file": tmp_path / "mail.password",
    }
    settings = Settings.model_validate({"state": tmp_path / "state", "mail": mail})
    service = open_service(settings, school.policy, school.source, school.clock)
    school.service.close()
    school.service = service
    school.person("head@school.example", Role.HEAD)
    with service.office.write() as connection:
        service.outbox.post(connection, Letter.WAITING, Recipient(USER), count=1, since="Monday")
    assert next(one for one in service.jobs.run_due() if one.job == "mail").count == 1
    service.close()
    assert taken.letters == [(True, True)]
    assert taken.tried == [(USER, PASSWORD)]
