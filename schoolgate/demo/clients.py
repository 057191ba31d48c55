"""What people's devices do: ask DNS for a name, and fetch a page through the proxy. Blocking; run in threads."""

import http.client
import socket
import ssl
from enum import StrEnum

from dnslib import EDNS0, QTYPE, DNSError, DNSRecord

from schoolgate.demo.internet import ADDRESS, GREETING

_SECONDS = 10.0


class Seen(StrEnum):
    """What a device experienced."""

    ALLOW = "allow"
    BLOCK = "block"
    FAILED = "failed"  # neither: something is broken


def ask_dns(server: tuple[str, int], source: str, host: str) -> Seen:
    """Ask for a name from a loopback address: allowed is the address the stand-in internet gave."""
    query = DNSRecord.question(host, "A")
    query.add_ar(EDNS0(udp_len=1232))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)
        sock.bind((source, 0))
        sock.connect(server)
        sock.send(query.pack())
        try:
            reply = DNSRecord.parse(sock.recv(4096))
        except (OSError, DNSError):
            return Seen.FAILED
    if any(record.rtype == QTYPE.A and str(record.rdata) == ADDRESS for record in reply.rr):
        return Seen.ALLOW
    return Seen.BLOCK if _says_blocked(reply) else Seen.FAILED


def _says_blocked(reply: DNSRecord) -> bool:
    """Whether the reply carries the extended error 15, Blocked (RFC 8914)."""
    options = [option for record in reply.ar if record.rtype == QTYPE.OPT for option in record.rdata]
    return any(option.code == 15 and option.data[:2] == b"\x00\x0f" for option in options)


def fetch(proxy: tuple[str, int], source: str, host: str, path: str, trust: ssl.SSLContext) -> Seen:
    """Fetch a page over HTTPS through the proxy from a loopback address."""
    connection = http.client.HTTPSConnection(
        *proxy, source_address=(source, 0), context=trust, timeout=_SECONDS
    )
    connection.set_tunnel(host, 443)
    try:
        connection.request("GET", path, headers={"Accept": "text/html"})
        response = connection.getresponse()
        body = response.read()
    except ssl.SSLCertVerificationError:
        return Seen.FAILED
    except (ssl.SSLError, ConnectionError):
        return Seen.BLOCK  # closed without a page: nothing is opened on this network
    except OSError as error:
        return Seen.BLOCK if "403" in str(error) else Seen.FAILED  # how http.client reports a refused CONNECT
    finally:
        connection.close()
    if response.status == 403:
        return Seen.BLOCK
    return Seen.ALLOW if response.status == 200 and GREETING.encode() in body else Seen.FAILED
