"""A client's question in our own words, and what an answer to it must repeat (RFC 5452)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from schoolgate_dns.query import Query
from schoolgate_dns.reply import OUR_UDP_SIZE
from schoolgate_dns.wire import AD, CD, DO, HEADER, IN, QR, QUESTION_TAIL, RD, RECORD, Qtype

_PADDING = 12  # option code, RFC 7830
_BLOCK = 128  # RFC 8467 section 4.1: queries over TLS are padded to multiples of this

# A message that asks, but for id and name: what follows each of them (`asked_in`), and the OPT record.
type Around = tuple[bytes, bytes, bytes]

# The bit that makes a small letter a capital one, for octets that are small letters.
_CASE_BIT = bytes(0x20 if 0x61 <= octet <= 0x7A else 0 for octet in range(256))


@dataclass(frozen=True, slots=True)
class Asking:
    """One question as it goes out: the message, and what an answer must repeat."""

    message: bytes
    ident: bytes
    question: bytes

    def answered_by(self, reply: bytes) -> bool:
        """Whether a message answers this question to the letter."""
        return self._matches(reply) and reply[HEADER.size : HEADER.size + len(self.question)] == self.question

    def answered_in_other_case(self, reply: bytes) -> bool:
        """Whether a message answers it but for letter case: the server loses it, or somebody guesses."""
        echoed = reply[HEADER.size : HEADER.size + len(self.question)]
        return self._matches(reply) and echoed.lower() == self.question.lower()

    def respelt(self, reply: bytes) -> bytes:
        """Return the reply with our own spelling of the question: what follows takes it as we asked it."""
        return reply[: HEADER.size] + self.question + reply[HEADER.size + len(self.question) :]

    def with_ident(self, ident: bytes) -> "Asking":
        """Return the same question under another id."""
        return replace(self, message=ident + self.message[2:], ident=ident)

    def _matches(self, reply: bytes) -> bool:
        if len(reply) < HEADER.size + len(self.question) or reply[:2] != self.ident:
            return False
        _, flags, questions, *_ = HEADER.unpack_from(reply)
        return bool(flags & QR) and not flags >> 11 & 0xF and questions == 1


def ask(query: Query, *, edns: bool = True, padded: bool = False) -> Asking:
    """Put a client's question into our own words: nothing of its options, client subnet above all, goes along.

    `padded` hides the length of the name from whoever watches an encrypted connection.
    """
    head, tail, opt = asked_in(query)
    ident = os.urandom(2)
    question = random_case([query.name])[0] + tail
    if not edns:
        head, opt = head[:-1] + b"\0", b""
    elif padded:
        options = _padding(HEADER.size + len(question) + len(opt))
        opt = opt[:-2] + len(options).to_bytes(2) + options
    return Asking(ident + head + question + opt, ident, question)


def asked_in(query: Query) -> Around:
    """Return what stands around id and name in the message that asks a question."""
    return _around(query.qtype, CD if query.checking_disabled else 0, DO if query.dnssec_ok else 0)


@lru_cache(maxsize=1024)
def _around(qtype: int, cd: int, do: int) -> Around:
    head = HEADER.pack(0, RD | AD | cd, 1, 0, 0, 1)[2:]
    opt = b"\0" + RECORD.pack(Qtype.OPT, OUR_UDP_SIZE, do, 0)
    return head, QUESTION_TAIL.pack(qtype, IN), opt


def _padding(size: int) -> bytes:
    missing = -(size + QUESTION_TAIL.size) % _BLOCK
    return QUESTION_TAIL.pack(_PADDING, missing) + bytes(missing)


def random_case(names: Sequence[bytes]) -> list[bytes]:
    """Return names in lower case with each letter in random case: 0x20 is the one bit that tells them apart."""
    together = b"".join(names)
    turned = int.from_bytes(together.translate(_CASE_BIT)) & int.from_bytes(os.urandom(len(together)))
    spelt = (int.from_bytes(together) ^ turned).to_bytes(len(together))
    ends = list(accumulate(map(len, names)))
    return [spelt[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
