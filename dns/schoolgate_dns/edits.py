"""Rewriting a message when, and only when, a record has to change: the one place that re-encodes what others wrote.

dnslib is the codec. A message it cannot read or write again is a `WireError`, so that nothing hides in it.
"""

import struct
from collections.abc import Mapping

from dnslib import RD, DNSError, DNSRecord
from dnslib.buffer import BufferError as CodecBufferError
from dnslib.label import DNSLabelError

from schoolgate_dns.wire import WireError


def rewrite(message: bytes, changes: Mapping[int, bytes | None]) -> bytes:
    """Return the message with the data of the records at the given places replaced; None takes a record out.

    Places count the records of all sections in message order, from 0.
    """
    try:
        parsed = DNSRecord.parse(message)
        place = 0
        for section in (parsed.rr, parsed.auth, parsed.ar):
            kept = []
            for record in section:
                data = changes.get(place, record)
                place += 1
                if isinstance(data, bytes):
                    record.rdata = RD(data)
                if data is not None:
                    kept.append(record)
            section[:] = kept
        return bytes(parsed.pack())
    except (DNSError, DNSLabelError, CodecBufferError, struct.error, ValueError) as error:
        raise WireError(f"a message that must be edited cannot be re-encoded: {error}") from error
