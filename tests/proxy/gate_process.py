"""A proxy in a process of its own, for tests that kill it, weigh it or want several: `gate_process.py FOLDER ORIGIN [PORT]`.

Prints the port of its explicit listener; with PORT it shares that port with others. Guests (127.0.30.0/24) are passed on
unread, everybody else is opened; `FOLDER/origin.pem`, where there is one, holds the roots of the origin.
"""

import asyncio
import sys
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.ports import Uncounted
from schoolgate_proxy.script import LoggedNotes
from schoolgate_proxy.server import ProxyServer

POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks:
  pupils: {people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow}
  guests: {people: guest, addresses: [127.0.30.0/24, 127.0.0.0/24], inspection: names, otherwise: allow}
unknown_clients: guests
rules: [{block: blocked.example, reason: Not at school}]
"""


class _Source:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


async def _main(folder: Path, origin: int, port: int) -> None:
    (folder / "policy.yaml").write_text(POLICY)

    async def resolve(_name: str, _port: int) -> list[tuple[str, int]]:
        return [("127.0.0.1", origin)]

    config = ProxyConfig(
        state=folder,
        explicit=(("127.0.0.1", port),),
        allowed_upstream=(ip_network("127.0.0.1/32"),),
        upstream_ca=folder / "origin.pem" if (folder / "origin.pem").exists() else None,
        resolve=resolve,
        share_ports=port != 0,
    )
    source = _Source(Engine(load_policy(folder / "policy.yaml")))
    server = ProxyServer(config, source, LoggedNotes(), Uncounted(), lambda: datetime.now(UTC))
    await server.start()
    print(server.addresses[0].address[1], flush=True)  # noqa: T201 - what it is asked for
    await server.run()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 0))
