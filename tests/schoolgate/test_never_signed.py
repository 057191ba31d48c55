"""Names that the certificate authority may not sign for: what the running product does with them."""

import os
import subprocess

import pytest
from running import PUPIL, InternetThread, Running, schoolgate

from schoolgate.demo.internet import GREETING, Internet

POLICY = """\
version: 1
school: {name: Test School, timezone: Europe/London, bank_holidays: none}
networks:
  pupils: {vlan: 20, people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow}
unknown_clients: pupils
rules:
  - {block: games.health.example, reason: No games}
"""


def fetched(running: Running, roots: str, host: str) -> tuple[int, str]:
    """Fetch a page as a pupil who trusts these roots and no others; return curl's exit code and the page."""
    done = subprocess.run(
        ["curl", "-sS", "--interface", PUPIL, "-x", "http://{}:{}".format(*running.address("proxy")), "--cacert", roots,
         "-m", "60", f"https://{host}/"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_what_cannot_be_signed_for_passes_unread(tmp_path):
    """With `ca init --never-for` such sites work where everything is inspected: unread; blocked ones stay blocked."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    if os.geteuid() != 0:
        pytest.skip("only root may stand for ports 80 and 443")
    made = schoolgate("ca", "init", "--never-for", "health.example", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    with InternetThread(Internet("127.0.99.81", web_ports=True)) as internet:
        running = Running(tmp_path, internet, SCHOOLGATE_PROXY_UPSTREAM_CA=str(internet.roots))
        try:
            running.wait_ready()
            ours, theirs = str(tmp_path / "state/ca.pem"), str(internet.roots)
            code, page = fetched(running, theirs, "www.health.example")
            assert (code, GREETING in page) == (0, True)
            assert fetched(running, ours, "www.health.example")[0] == 60  # the site's own certificate
            code, page = fetched(running, ours, "news.example")
            assert (code, GREETING in page) == (0, True)
            assert GREETING not in fetched(running, theirs, "games.health.example")[1]
            assert '"proxy.never_opened"' in running.log.read_text()
        finally:
            running.stop()
