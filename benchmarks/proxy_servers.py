"""The servers that `bench_proxy.py` measures: mitmdump, Schoolgate, squid and e2guardian, and the origin behind them."""

# ruff: noqa: PLC0415 - only the measured process itself loads the proxy
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ORIGIN, PORT = "127.0.0.2", 443
PASSED, OPENED, BLOCKED = "passed.example", "opened.example", "blocked.example"
GUEST = "127.0.30.5"
LARGE = 256  # MB of the large file
POLICY = f"""
version: 1
school: {{name: Bench, timezone: Europe/London, bank_holidays: england}}
networks:
  pupils: {{people: pupil, addresses: [127.0.0.0/16], inspection: all, otherwise: allow}}
  guests: {{people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: allow}}
unknown_clients: pupils
never_inspect: [{PASSED}]
rules: [{{block: [{BLOCKED}], reason: Not at school}}]
"""
MITMDUMP = f"""
from mitmproxy import http
class Bench:
    def tls_clienthello(self, data):
        data.ignore_connection = data.client_hello.sni == "{PASSED}"
    def requestheaders(self, flow):
        flow.response = http.Response.make(403, b"no" * 2000) if flow.request.host == "{BLOCKED}" else None
    def responseheaders(self, flow):
        flow.response.stream = True
    def server_connect(self, data):
        data.server.address = ("{ORIGIN}", {PORT})
addons = [Bench()]
"""
SQUID = """
http_port 127.0.0.1:{port} ssl-bump cert={folder}/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=8MB
sslcrtd_program /usr/lib/squid/security_file_certgen -s {folder}/certs -M 8MB
acl step1 at_step SslBump1
acl passed ssl::server_name @passed@
acl blocked dstdomain @blocked@
ssl_bump peek step1
ssl_bump splice passed
ssl_bump bump all
http_access deny blocked
http_access allow all
tls_outgoing_options flags=DONT_VERIFY_PEER
sslproxy_cert_error allow all
hosts_file {folder}/hosts
cache deny all
cache_mem 8 MB
access_log none
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
workers 1
shutdown_lifetime 0 seconds
""".replace("@passed@", PASSED).replace("@blocked@", BLOCKED)


def on_core(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core % (os.cpu_count() or 1)), *command]


@contextmanager
def running(
    command: list[str], port: int, host: str = "127.0.0.1", **named: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it listens, and end it afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, **named)  # type: ignore[call-overload]
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection((host, port), timeout=1):
                break
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended by itself")
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for left in Path("/dev/shm").glob(f"bench{os.getpid()}-*"):
            left.unlink()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def certificates(folder: Path) -> None:
    run = subprocess.run
    subject = ["-nodes", "-days", "2", "-subj", "/CN=bench"]
    names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in (PASSED, OPENED, BLOCKED))
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", folder / "o.key", "-out", folder / "o.pem", "-addext", names, *subject], check=True, capture_output=True)  # fmt: skip
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", folder / "ca.key", "-out", folder / "ca.crt", *subject], check=True, capture_output=True)  # fmt: skip
    (folder / "ca.pem").write_bytes((folder / "ca.key").read_bytes() + (folder / "ca.crt").read_bytes())


def origin(folder: Path) -> list[str]:
    """Write the origin's files and return the command that runs it."""
    (folder / "small").write_bytes(b"x" * 1024)
    with (folder / "large").open("wb") as file:
        file.truncate(LARGE << 20)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit; user root;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {folder}/b;\n"
        f"proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;\n"
        f"scgi_temp_path {folder}/s; server {{ listen {ORIGIN}:{PORT} ssl; root {folder};\n"
        f"ssl_certificate {folder}/o.pem; ssl_certificate_key {folder}/o.key; ssl_protocols TLSv1.3; }} }}\n"
    )
    return ["nginx", "-c", str(config), "-p", str(folder)]


def peer_command(name: str, folder: Path, port: int) -> list[str]:
    here = Path(sys.executable).parent
    if name == "mitmdump":
        (folder / "bench_mitm.py").write_text(MITMDUMP)
        words = ["-q", "-s", str(folder / "bench_mitm.py"), "--listen-host", "127.0.0.1", "-p", str(port)]
        words += ["--set", f"confdir={folder}/mitm", "--set", "connection_strategy=lazy", "--ssl-insecure"]
        return [str(here / "mitmdump"), *words, "--set", "upstream_cert=false"]
    if name == "schoolgate":
        return [sys.executable, __file__, "one", str(folder), str(port)]
    if name == "e2guardian":
        return e2guardian(folder, port)
    (folder / "hosts").write_text("".join(f"{ORIGIN} {host}\n" for host in (PASSED, OPENED, BLOCKED)))
    (folder / "squid.conf").write_text(SQUID.format(port=port, folder=folder))
    shutil.rmtree(folder / "certs", ignore_errors=True)
    subprocess.run(
        ["/usr/lib/squid/security_file_certgen", "-c", "-s", str(folder / "certs"), "-M", "8MB"],
        check=True,
        capture_output=True,
    )
    if os.geteuid() == 0:  # squid gives up its rights
        subprocess.run(["chown", "-R", "proxy", str(folder / "certs"), str(folder / "ca.pem")], check=True)
        folder.chmod(0o777)
    return ["squid", "-N", "-n", f"bench{os.getpid()}", "-f", str(folder / "squid.conf")]


def e2guardian(folder: Path, port: int) -> list[str]:
    """Write its configuration, and return the command that runs it with our names in a hosts file of its own."""
    (folder / "hosts").write_text("".join(f"{ORIGIN} {host}\n" for host in (PASSED, OPENED, BLOCKED)))
    shutil.copytree("/etc/e2guardian", folder / "e2", dirs_exist_ok=True)
    said = {
        "filterip": "127.0.0.1", "filterports": str(port), "nodaemon": "on", "nologger": "on", "loglevel": "0",
        "pidfilename": f"'{folder}/e2.pid'", "transparenthttpsport": "0", "httpworkers": "50",
    }  # fmt: skip
    text = (folder / "e2" / "e2guardian.conf").read_text().replace("/etc/e2guardian", str(folder / "e2"))
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() not in said]
    lines = kept + [f"{name} = {value}" for name, value in said.items()]
    (folder / "e2" / "e2guardian.conf").write_text("\n".join(lines) + "\n")
    for file in (folder / "e2").rglob("*.conf"):
        file.write_text(file.read_text(errors="replace").replace("/etc/e2guardian", str(folder / "e2")))
    start = f"mount --bind {folder}/hosts /etc/hosts && exec e2guardian -N -c {folder}/e2/e2guardian.conf"
    return ["unshare", "--mount", "sh", "-c", start]


async def serve(folder: Path, port: int, *, shared: bool = False) -> None:
    """Run Schoolgate's proxy with its real metrics and recorder."""
    from datetime import UTC, datetime
    from ipaddress import ip_network

    from schoolgate import logs
    from schoolgate.metrics import Metrics
    from schoolgate.metrics_proxy import ProxyMetrics
    from schoolgate.record import MetricsRecorder
    from schoolgate_policy.store import PolicyStore
    from schoolgate_proxy.config import ProxyConfig
    from schoolgate_proxy.server import ProxyServer

    class Quiet:
        def policy_loaded(self, *_: object) -> None: ...
        def policy_rejected(self, *_: object, **__: object) -> None: ...

    async def resolve(_name: str, _port: int) -> list[tuple[str, int]]:
        return [(ORIGIN, PORT)]

    logs.configure("info", "proxy")
    (folder / "policy.yaml").write_text(POLICY)
    metrics = Metrics("proxy")
    config = ProxyConfig(
        state=folder / "schoolgate",
        most_per_client=1_000_000,
        most_new_per_client=1_000_000_000,
        explicit=(("127.0.0.1", port),),
        upstream_ca=folder / "o.pem",
        allowed_upstream=(ip_network("127.0.0.0/8"),),
        resolve=resolve,
        share_ports=shared,
    )
    server = ProxyServer(
        config,
        PolicyStore(folder / "policy.yaml", None, Quiet()),
        MetricsRecorder(metrics),
        ProxyMetrics(metrics.registry),
        lambda: datetime.now(UTC),
    )
    await server.start()
    await server.run()


def serve_two(folder: str, port: str) -> None:
    """Run two workers until they end."""
    command = [sys.executable, __file__, "shared", folder, port]
    for process in [subprocess.Popen(command) for _ in range(2)]:
        process.wait()


def two_workers(folder: Path, port: int) -> list[str]:
    """Return the command that runs two workers behind one port."""
    return [sys.executable, __file__, "two", str(folder), str(port)]


if __name__ == "__main__":
    kind, where, number = sys.argv[1:]
    if kind == "two":
        serve_two(where, number)
    else:
        asyncio.run(serve(Path(where), int(number), shared=kind == "shared"))
