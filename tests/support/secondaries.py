"""Real resolvers on loopback that take zones from us: BIND and Unbound, each in a folder of its own."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from running import eventually

SECRET = "c2Nob29sZ2F0ZS10ZXN0LWtleS1vZi0zMi1vY3RldHM="
KEY = f'key "trust" {{\n  algorithm hmac-sha256;\n  secret "{SECRET}";\n}};\n'


def dig(port: int, name: str, kind: str = "A", *more: str, key: str = "") -> str:
    """Ask with dig and return all it prints."""
    words = ["dig", "@127.0.0.1", "-p", str(port), name, kind, "+tries=2", "+time=5", *more]
    words += ["-y", key] if key else []
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout


@dataclass(frozen=True)
class Answer:
    """A reply boiled down: its code and the data of its answers."""

    rcode: str
    data: tuple[str, ...]


def ask(port: int, name: str, kind: str = "A") -> Answer:
    """Ask a resolver and return what it says."""
    text = dig(port, name, kind, "+noedns", "+noall", "+comments", "+answer")
    rcode = text.partition("status: ")[2].partition(",")[0]
    lines = [line.split() for line in text.splitlines() if line and not line.startswith(";")]
    return Answer(rcode, tuple(sorted(line[4] for line in lines if line[3] == kind or line[3] == "CNAME")))


@contextlib.contextmanager
def named(
    folder: Path, port: int, primary: int, zones: tuple[str, ...], upstream: int, *, secret: str = SECRET
) -> Iterator[int]:
    """Run BIND with our zones as its policy, everything else forwarded to a stand-in upstream."""
    program = shutil.which("named") or "/usr/sbin/named"
    policies = " ".join(f'zone "{zone}" max-policy-ttl 60;' for zone in zones)
    declared = "\n".join(
        f'zone "{zone}" {{ type secondary; primaries {{ 127.0.0.1 port {primary} key "trust"; }};'
        f' file "{folder}/{zone}.db"; masterfile-format text; allow-notify {{ key "trust"; }};'
        f" allow-query {{ 127.0.0.1; }}; allow-transfer {{ none; }}; min-retry-time 1; min-refresh-time 5; }};"
        for zone in zones
    )
    config = folder / "named.conf"
    config.write_text(
        KEY.replace(SECRET, secret)
        + f"""
options {{
  directory "{folder}"; pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key";
  managed-keys-directory "{folder}"; lock-file none;
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-query {{ any; }}; dnssec-validation no; qname-minimization off;
  forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  empty-zones-enable no; notify no;
  response-policy {{ {policies} }} break-dnssec yes qname-wait-recurse no min-update-interval 0;
}};
controls {{ }};
{declared}
"""
    )
    log = (folder / "named.log").open("w")
    process = subprocess.Popen(
        [program, "-g", "-c", str(config), "-n", "1"],
        cwd=folder,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: "running" in (folder / "named.log").read_text() or process.poll() is not None, 60)
        assert process.poll() is None, (folder / "named.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@contextlib.contextmanager
def unbound(folder: Path, port: int, primary: int, zone: str, upstream: int) -> Iterator[int]:
    """Run Unbound with one zone of ours as its policy, taken from an address that may have it without a key."""
    program = shutil.which("unbound") or "/usr/sbin/unbound"
    config = folder / "unbound.conf"
    config.write_text(
        f"""
server:
  interface: 127.0.0.1@{port}
  username: "" \n  chroot: "" \n  directory: "{folder}" \n  pidfile: "" \n  do-daemonize: no
  use-syslog: no \n  logfile: "" \n  verbosity: 2
  num-threads: 1 \n  so-reuseport: no
  module-config: "respip iterator"
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  qname-minimisation: no
  val-permissive-mode: yes
rpz:
  name: "{zone}"
  primary: 127.0.0.1@{primary}
  zonefile: "{folder}/zone"
  rpz-log: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
remote-control:
  control-enable: no
"""
    )
    log = (folder / "unbound.log").open("w")
    process = subprocess.Popen(
        [program, "-d", "-p", "-c", str(config)], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )
    try:
        eventually(
            lambda: "start of service" in (folder / "unbound.log").read_text() or process.poll() is not None,
            60,
        )
        assert process.poll() is None, (folder / "unbound.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)
        log.close()
